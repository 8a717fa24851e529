"""Findings from plain values: secrets by name and content, links that lead out, names that are taken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ami_bakery.core.check.finding import (
    Level,
    leads_out,
    link_findings,
    name_finding,
    sharing_findings,
    sure_failure,
    template_findings,
)
from ami_bakery.core.config.model import ImageConfig
from ami_bakery.core.definition.manifest import Entry, EntryKind
from ami_bakery.template.facts import Builder, SourceAmiFilter, TemplateFacts, TemplateFormat, Unresolved
from ami_bakery.template.location import SourceLocation

PLACE = SourceLocation(file="a.json", line=3)


@pytest.mark.parametrize(
    ("path", "target", "out"),
    [
        ("a/l", "../b", False),
        ("a/l", "../../b", True),
        ("l", "../b", True),
        ("a/b/l", "../../c/../d", False),
        ("a/l", "./b/../../..", True),
        ("a/l", "/etc/passwd", True),
        ("a/l", "b", False),
    ],
)
def test_a_link_leads_out_where_it_climbs_above_the_root(path: str, target: str, out: bool) -> None:
    assert leads_out(path, target) is out
    entry = Entry(path=path, kind=EntryKind.LINK, target=target)
    assert [finding.code for finding in link_findings([entry], {path: (PLACE,)})] == ["link-out-of-tree"] * out


def name_of(ami_name: str | None, taken: tuple[str, ...] = (), *, by_digest: bool = False) -> str | None:
    builder = Builder(name="b", type="amazon-ebs", location=PLACE, ami_name=ami_name)
    finding = name_finding(builder, taken, by_digest=by_digest)
    return finding.code if finding else None


def test_a_name_that_is_taken_or_the_same_for_ever_is_found() -> None:
    assert name_of("app") == "constant-ami-name"
    assert name_of("app", ("app",)) == "ami-name-taken"
    assert name_of("app-dddd", by_digest=True) is None
    assert name_of("app-dddd", ("app-dddd",), by_digest=True) == "ami-name-taken"
    assert name_of("app-{{timestamp}}", ("app-{{timestamp}}",)) is None
    assert name_of(None) is None


@pytest.mark.parametrize("taken", [(), ("app",)])
def test_a_name_that_packer_frees_by_force_is_not_in_the_way(taken: tuple[str, ...]) -> None:
    builder = Builder(name="b", type="amazon-ebs", location=PLACE, ami_name="app", force_deregister=True)
    finding = name_finding(builder, taken, by_digest=False)
    assert finding is not None
    assert (finding.code, finding.level.value) == ("constant-ami-name", "warning")
    assert "deregisters the AMI of the bake before" in finding.message


def test_what_the_template_alone_tells() -> None:
    search = SourceAmiFilter(filters=(), owners=(), most_recent=True)
    facts = TemplateFacts(
        format=TemplateFormat.JSON,
        files=("a.json",),
        variables=(),
        builders=(
            Builder(name="a", type="amazon-ebs", location=PLACE, skip_create_ami=True),
            Builder(name="b", type="amazon-ebs", location=PLACE, source_ami_filter=search),
        ),
        unresolved=(Unresolved(location=PLACE, expression="${x}", why="x is not known"),),
    )
    found = [(finding.level, finding.code) for finding in template_findings(facts)]
    assert found == [
        (Level.WARNING, "unresolved-path"),
        (Level.ERROR, "skip-create-ami"),
        (Level.ERROR, "filter-without-owners"),
    ]


def test_organizations_cannot_be_given_snapshots() -> None:
    organization = "arn:aws:organizations::123456789012:organization/o-123example"
    both = ImageConfig(name="a", template="a.json", share_with=("123456789012", organization), share_snapshots=True)
    (finding,) = sharing_findings(both, "bakery.toml")
    assert (finding.level, finding.code) == (Level.WARNING, "snapshots-not-shared")
    assert organization in finding.message
    for image in (replace(both, share_snapshots=False), replace(both, share_with=("123456789012",))):
        assert list(sharing_findings(image, "bakery.toml")) == []


@pytest.mark.parametrize(
    ("builders", "code"),
    [
        ([("amazon-ebs", "us-east-1", ())], None),
        ([("amazon-ebs", None, ())], None),
        ([("amazon-ebs", "eu-west-1", ())], "region-mismatch"),
        ([("amazon-ebs", "eu-west-1", ("us-east-1",))], None),
        ([("amazon-ebs", "us-east-1", ()), ("amazon-ebs", "eu-west-1", ())], None),
        ([("amazon-ebs", "us-east-1", ()), ("amazon-ebs", "us-east-1", ())], "several-amis"),
        ([("null", None, ())], "no-ami"),
        ([("somebody-else", None, ())], None),
    ],
)
def test_only_a_failure_that_is_sure_keeps_packer_from_running(
    builders: list[tuple[str, str | None, tuple[str, ...]]], code: str | None
) -> None:
    facts = TemplateFacts(
        format=TemplateFormat.JSON,
        files=("a.json",),
        variables=(),
        builders=tuple(
            Builder(name=f"b{number}", type=kind, location=PLACE, region=region, ami_regions=copies)
            for number, (kind, region, copies) in enumerate(builders)
        ),
    )
    found = sure_failure(facts, "us-east-1")
    assert (found.code if found else None) == code
