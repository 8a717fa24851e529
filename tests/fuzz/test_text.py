"""Every bakery.toml, template and Packer output gives a result, or an error of three parts."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ami_bakery.adapters.files.config_file import parse_config_file
from ami_bakery.adapters.files.source_tree import DiskTree
from ami_bakery.core.config.model import Config
from ami_bakery.core.packer.machine_output import ArtifactReader, Message, human_lines, parse_complaints, parse_message
from ami_bakery.errors import BakeryError
from ami_bakery.template.facts import TemplateRequest
from ami_bakery.template.template_reader import PackerTemplateReader
from tests.fuzz.mutate import FUZZ, mutated

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
CONFIGS = [path.read_bytes() for path in sorted(EXAMPLES.rglob("bakery.toml"))]
TEMPLATES = {
    "ami.json": [path.read_bytes() for path in sorted(EXAMPLES.rglob("*.json")) if b'"builders"' in path.read_bytes()],
    "image.pkr.hcl": [path.read_bytes() for path in sorted(EXAMPLES.rglob("*.pkr.hcl"))],
}
PACKER = [
    b"1700000000,,ui,say,==> amazon-ebs: Creating AMI a-1 from instance i-0123456789abcdef0",
    b"1700000000,amazon-ebs,artifact,0,id,us-east-1:ami-0123456789abcdef0%!(PACKER_COMMA)eu-west-1:ami-1",
    b"1700000000,amazon-ebs,artifact-count,1",
    b"--> amazon-ebs: AMIs were created:\nus-east-1: ami-0123456789abcdef0",
    b"Error: Failed\n\n  on a.pkr.hcl line 3:\n  (source code not available)\n\n* one\n* two",
]


def test_there_are_samples_to_mutate() -> None:
    assert len(CONFIGS) >= 2
    assert all(len(templates) >= 1 for templates in TEMPLATES.values())


@FUZZ
@given(data=st.one_of(mutated(CONFIGS), st.binary(max_size=200)))
@example(data=b"version = 1\n[images.a]\ntemplate = 'a'\nvars = { a = [[[[]]]] }")
def test_a_configuration_is_read_or_refused(data: bytes) -> None:
    try:
        config = parse_config_file(data, Path("/nowhere/bakery.toml"))
    except BakeryError as error:
        assert error.doing
        assert error.wrong
        assert error.todo
    else:
        assert isinstance(config, Config)
        assert all(image.template for image in config.images)


@pytest.mark.parametrize("name", TEMPLATES)
@FUZZ
@given(data=st.data())
def test_a_template_is_read_or_refused(name: str, data: st.DataObject) -> None:
    content = data.draw(mutated(TEMPLATES[name]))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(content)
        try:
            facts = PackerTemplateReader().read(DiskTree(folder), TemplateRequest(template=name, workdir="."))
        except BakeryError as error:
            assert error.doing
            assert error.wrong
            assert error.todo
        else:
            assert facts.files


@FUZZ
@given(data=mutated(PACKER))
def test_output_of_packer_is_parsed_to_amis_or_nothing(data: bytes) -> None:
    reader = ArtifactReader()
    for line in data.decode("utf-8", "replace").split("\n"):
        message = parse_message(line)
        if message is None:
            reader.read_plain(line)
        else:
            reader.read_message(message)
            assert all("\n" not in line for line in human_lines(message))
    for artifact in reader.found():
        assert artifact.ami.startswith("ami-")
        # Both are in Packer's output: nothing is invented.
        assert artifact.ami.encode() in data
        assert artifact.region.encode() in data


@FUZZ
@given(data=mutated(PACKER))
def test_validation_issues_are_never_empty(data: bytes) -> None:
    complaints = parse_complaints(data.decode("utf-8", "replace"))
    assert complaints
    assert all(complaint.message for complaint in complaints)


@given(target=st.text(max_size=5), parts=st.lists(st.text(max_size=10), max_size=4))
def test_a_message_of_any_parts_is_rendered_without_failing(target: str, parts: list[str]) -> None:
    for kind in ("ui", "artifact", "error"):
        message = Message(target=target, type=kind, data=tuple(parts))
        human_lines(message)
        ArtifactReader().read_message(message)
