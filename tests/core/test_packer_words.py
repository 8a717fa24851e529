"""Packer's output and arguments: artifacts, validation issues, and arguments that are part of the definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.core.packer.arguments import parse_packer_arguments
from ami_bakery.core.packer.machine_output import (
    Artifact,
    ArtifactReader,
    Message,
    human_lines,
    parse_complaints,
    parse_message,
)


def artifacts(*lines: str) -> tuple[Artifact, ...]:
    reader = ArtifactReader()
    for line in lines:
        message = parse_message(line)
        assert message is not None
        reader.read_message(message)
    return reader.found()


def test_artifact_in_two_regions_is_two_amis() -> None:
    line = "1600000000,amazon-ebs,artifact,0,id,us-east-1:ami-0a%!(PACKER_COMMA)us-west-2:ami-0b"
    assert artifacts(line) == (
        Artifact(builder="amazon-ebs", region="us-east-1", ami="ami-0a"),
        Artifact(builder="amazon-ebs", region="us-west-2", ami="ami-0b"),
    )


def test_artifact_that_post_processors_print_again_is_one_ami() -> None:
    line = "1,amazon-ebs,artifact,{},id,us-east-1:ami-0a"
    assert len(artifacts(line.format(0), line.format(1))) == 1


def test_artifacts_that_are_not_amis_are_ignored() -> None:
    assert artifacts("1,x,artifact,0,id,VM", "1,x,artifact,0,files-count,0", "1,x,artifact,0,id,") == ()


def test_govcloud_region_is_read() -> None:
    assert artifacts("1,x,artifact,0,id,us-gov-west-1:ami-0a")[0].region == "us-gov-west-1"


def test_human_lines_are_unescaped_and_split() -> None:
    message = parse_message("1,,ui,say,==> x: a%!(PACKER_COMMA) b\\n==> x: c")
    assert message is not None
    assert human_lines(message) == ("==> x: a, b", "==> x: c")
    assert human_lines(Message(target="", type="artifact", data=("0", "id", "x"))) == ()


@given(st.text())
def test_reader_accepts_any_line(line: str) -> None:
    message = parse_message(line)
    reader = ArtifactReader()
    reader.read_plain(line)
    if message is not None:
        reader.read_message(message)
        human_lines(message)


def test_artifacts_are_read_from_plain_lines_of_a_debug_run() -> None:
    reader = ArtifactReader()
    for line in (
        "==> amazon-ebs: us-east-1: ami-99",
        "==> Builds finished. The artifacts of successful builds are:",
        "--> amazon-ebs: AMIs were created:",
        "us-east-1: ami-0a",
        "us-west-2: ami-0b",
        "",
        "something else",
        "us-east-1: ami-77",
    ):
        reader.read_plain(line)
    assert [artifact.ami for artifact in reader.found()] == ["ami-0a", "ami-0b"]


@pytest.mark.parametrize(
    "words",
    [("-var", "a=b=c"), ("-var=a=b=c",), ("--var=a=b=c",), ("--var", "a=b=c")],
)
def test_variable_after_the_dashes_is_part_of_the_definition(words: tuple[str, ...]) -> None:
    arguments = parse_packer_arguments(words)
    assert arguments.variables == (("a", "b=c"),)
    assert arguments.definition == words
    assert arguments.other == ()


def test_selection_after_the_dashes_is_not_passed_twice() -> None:
    arguments = parse_packer_arguments(["-only=a,b", "-except", "c", "-debug", "-on-error=ask"])
    assert (arguments.only, arguments.except_, arguments.debug) == (("a", "b"), ("c",), True)
    assert arguments.passed == ("-debug", "-on-error=ask")


def test_unknown_argument_is_part_of_the_definition() -> None:
    arguments = parse_packer_arguments(["-new-thing=1", "other.json", "-var-file", "x.json", "-debug=false"])
    assert arguments.other == ("-new-thing=1", "other.json")
    assert arguments.var_files == ("x.json",)
    assert not arguments.debug


def test_validation_issues_of_a_json_template() -> None:
    text = (
        'Error: Failed to prepare build: "amazon-ebs"\n\n2 errors occurred:\n'
        "\t* unknown configuration key: '\"nonsense\"'\n\t* ami_name must be specified\n\n\n\n"
    )
    assert [(complaint.message, complaint.file) for complaint in parse_complaints(text)] == [
        ("unknown configuration key: '\"nonsense\"'", ""),
        ("ami_name must be specified", ""),
    ]


def test_validation_issues_of_an_hcl2_template_have_lines() -> None:
    text = (
        "Error: Unsupported argument\n\n  on b.pkr.hcl line 4:\n  (source code not available)\n\n"
        'An argument named "nonsense" is not expected here.\n\n\n'
        "Error: 2 error(s) occurred:\n\n* one\n  Note: more of it\n* two\n\n  on b.pkr.hcl line 2, in source:\n"
    )
    assert [(complaint.message, complaint.line) for complaint in parse_complaints(text)] == [
        ('Unsupported argument: An argument named "nonsense" is not expected here.', 4),
        ("one Note: more of it", 2),
        ("two", 2),
    ]


def test_list_that_completes_a_sentence_is_one_issue() -> None:
    text = (
        "Error: Missing plugins\n\nThe following plugins are required, but not installed:\n\n"
        "* github.com/hashicorp/amazon 1.8.0\n* github.com/hashicorp/azure ~> 1\n\nDid you run packer init ?\n\n\n"
    )
    assert [complaint.message for complaint in parse_complaints(text)] == [
        "The following plugins are required, but not installed: github.com/hashicorp/amazon 1.8.0, "
        "github.com/hashicorp/azure ~> 1"
    ]


@given(st.text())
def test_failed_validation_has_at_least_one_issue(text: str) -> None:
    assert parse_complaints(text)
