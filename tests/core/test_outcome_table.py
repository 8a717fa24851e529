"""The summary at the end of a bake: one table that fits a terminal."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ami_bakery.core.ec2.ami import Ami, AmiState
from ami_bakery.core.plan.outcome import Outcome, Result
from ami_bakery.core.plan.plan import Action, ImagePlan, Reason
from ami_bakery.core.text.table import Cell, Table, clock_time
from ami_bakery.errors import PackerError
from ami_bakery.render.outcome_table import summary

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def ami(number: int, region: str) -> Ami:
    state = AmiState.AVAILABLE
    return Ami(id=f"ami-{number:017x}", region=region, name="app", state=state, created=NOW, owner="1")


def outcome(
    image: str, result: Result, *regions: str, reasons: tuple[Reason, ...] = (), failure: str = "", seconds: float = 0.0
) -> Outcome:
    plan = ImagePlan(image=image, action=Action.BAKE, digest=None, reasons=reasons, regions=regions, amis={})
    return Outcome(
        plan=plan,
        result=result,
        amis={} if failure else {region: ami(number, region) for number, region in enumerate(regions)},
        seconds=seconds,
        error=PackerError("baking", failure, "Mend it.") if failure else None,
    )


def lines(*outcomes: Outcome, width: int | None = None) -> list[str]:
    return ["".join(cell.text for cell in line).rstrip() for line in summary(outcomes).lines(width)]


def test_each_image_has_a_line_and_a_single_region_is_not_shown() -> None:
    never = Reason("never-baked", "base", "no AMI found for this image")
    no_ami = Reason("no-ami", "abc", "no AMI with digest abc")
    assert lines(
        outcome("base", Result.BAKED, "us-east-1", reasons=(never, no_ami), seconds=312.4),
        outcome("web-frontend", Result.REUSED, "us-east-1"),
    ) == [
        "IMAGE         OUTCOME  AMI                    TIME  REASON",
        "base          baked    ami-00000000000000000  5:12  never baked",
        "web-frontend  reused   ami-00000000000000000  0:00  unchanged",
    ]


def test_each_additional_region_has_a_line_and_long_reasons_wrap() -> None:
    reasons = (
        Reason("definition-changed", "ami-1", "the definition changed since ami-1"),
        Reason("file-changed", "a.sh", "images/base/a.sh changed"),
        Reason("file-added", "b.sh", "b.sh was added"),
    )
    assert lines(outcome("base", Result.BAKED, "us-east-1", "eu-west-1", reasons=reasons), width=80) == [
        "IMAGE  OUTCOME  REGION     AMI                    TIME  REASON",
        "base   baked    us-east-1  ami-00000000000000000  0:00  images/base/a.sh changed",
        "                                                        and 1 more",
        "                eu-west-1  ami-00000000000000001",
    ]


def test_changes_are_counted_without_their_part_and_without_caveats() -> None:
    files = Reason("files-changed", "files", "files changed")
    named = Reason("file-changed", "a.sh", "a.sh changed")
    moved = Reason("base-changed", "ami-2", "the source AMI changed from ami-1 to ami-2")
    dirty = Reason("tree-was-dirty", "c0ffee", "ami-1 was built with uncommitted changes")
    bare = Reason("commit-missing", "ami-1", "ami-1 has no commit tag")
    no_ami = Reason("no-ami", "abc", "no AMI with digest abc")
    told = {
        (files, named, dirty, no_ami): "a.sh changed",
        (files, named, moved, no_ami): "a.sh changed and 1 more",
        (files, moved, dirty, no_ami): "files changed and 1 more",
        (files, dirty, no_ami): "files changed",
        (files, bare, no_ami): "files changed",
        (files,): "files changed",
    }
    for reasons, reason in told.items():
        assert lines(outcome("app", Result.BAKED, "us-east-1", reasons=reasons))[1].endswith(f"  {reason}")


def test_failure_has_no_ami_and_a_short_reason() -> None:
    failure = "Packer exited with status 1; last lines of its output:\n  | x"
    (_, line) = lines(outcome("base", Result.FAILED, "us-east-1", failure=failure, seconds=3725))
    assert line == "base   failed   -    1:02:05  Packer exited with status 1"


def test_reason_of_a_copy_names_the_region() -> None:
    missing = Reason("region-missing", "eu-west-1", "ami-1 of us-east-1 is to be copied to eu-west-1")
    assert "not yet copied to eu-west-1" in lines(outcome("app", Result.COPIED, "us-east-1", reasons=(missing,)))[1]


def test_name_cannot_break_a_line() -> None:
    table = Table(columns=("A", "B"), rows=((Cell("a\nb"), Cell("c\x1b[31m")),))
    assert ["".join(cell.text for cell in line) for line in table.lines()] == ["A     B", "a\\nb  c\\x1b[31m"]


@pytest.mark.parametrize(("seconds", "text"), [(0.9, "0:00"), (7, "0:07"), (751, "12:31"), (3723, "1:02:03")])
def test_durations_are_shown_as_a_clock(seconds: float, text: str) -> None:
    assert clock_time(seconds) == text


def test_missing_ami_is_not_reported_as_a_changed_definition() -> None:
    no_ami = Reason("no-ami", "abc", "no AMI with digest abc")
    assert "no AMI with this digest" in lines(outcome("default", Result.BAKED, "us-east-1", reasons=(no_ami,)))[1]
    changed = Reason("definition-changed", "ami-1", "the definition changed since ami-1")
    assert "the definition changed" in lines(outcome("app", Result.BAKED, "us-east-1", reasons=(no_ami, changed)))[1]
