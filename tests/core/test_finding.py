"""Findings of `check`: links out of the repository, AMI names, builders and shares."""

from __future__ import annotations

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
from ami_bakery.values import replace

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
def test_link_above_the_root_leads_out_of_the_tree(path: str, target: str, out: bool) -> None:
    assert leads_out(path, target) is out
    entry = Entry(path=path, kind=EntryKind.LINK, target=target)
    assert [finding.code for finding in link_findings([entry], {path: (PLACE,)})] == ["link-out-of-tree"] * out


def code_of(ami_name: str | None, existing: tuple[str, ...] = (), *, by_digest: bool = False) -> str | None:
    builder = Builder(name="b", type="amazon-ebs", location=PLACE, ami_name=ami_name)
    finding = name_finding(builder, existing, by_digest=by_digest)
    return finding.code if finding else None


def test_existing_and_constant_ami_names_are_found() -> None:
    assert code_of("app") == "constant-ami-name"
    assert code_of("app", ("app",)) == "ami-name-taken"
    assert code_of("app-dddd", by_digest=True) is None
    assert code_of("app-dddd", ("app-dddd",), by_digest=True) == "ami-name-taken"
    assert code_of("app-{{timestamp}}", ("app-{{timestamp}}",)) is None
    assert code_of(None) is None


@pytest.mark.parametrize("existing", [(), ("app",)])
def test_existing_name_is_a_warning_with_force_deregister(existing: tuple[str, ...]) -> None:
    builder = Builder(name="b", type="amazon-ebs", location=PLACE, ami_name="app", force_deregister=True)
    finding = name_finding(builder, existing, by_digest=False)
    assert finding is not None
    assert (finding.code, finding.level.value) == ("constant-ami-name", "warning")
    assert "deregisters the previous AMI" in finding.message


def test_findings_of_the_template_alone() -> None:
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


def test_snapshots_cannot_be_shared_with_organizations() -> None:
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
def test_only_a_certain_failure_prevents_the_build(
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
