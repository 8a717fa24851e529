"""Describes reasons, steps and ages in words."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.plan.desired_state import Step, StepKind
from ami_bakery.values import replace

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.plan.plan import ImagePlan, Reason

_SHOWN = 10
_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))


def reason_lines(reasons: Sequence[Reason]) -> Iterator[str]:
    """Yields one line for each reason. Of many changes of one kind, shows the first ones and counts the others.

    `no-ami` follows from every other reason to build, so it is only shown if it is the only reason.
    """
    shown = [reason for reason in reasons if reason.kind != "no-ami"] or reasons
    for kind, group in itertools.groupby(shown, key=lambda reason: reason.kind.partition("-")[0]):
        members = list(group)
        yield from (reason.detail for reason in members[:_SHOWN])
        if len(members) > _SHOWN:
            yield f"and {len(members) - _SHOWN} more changes of a {kind}"


def step_lines(plan: ImagePlan) -> Iterator[str]:
    """Yields the steps that the action does not name.

    Permissions for AMIs that do not exist yet are one line for all regions.
    """
    later: dict[Step, list[str]] = {}
    for step in plan.steps:
        if step.kind in (StepKind.GRANT, StepKind.REVOKE) and step.ami is None:
            later.setdefault(replace(step, region=""), []).append(step.region)
        elif not _is_action(plan, step):
            yield describe_step(step)
    for step, regions in later.items():
        yield describe_step(replace(step, region=", ".join(regions)))


def _is_action(plan: ImagePlan, step: Step) -> bool:
    if step.kind in (StepKind.TEST, StepKind.ENABLE) and not step.targets:
        return plan.action.value == step.kind.value
    return step.kind is StepKind.BAKE and step.region == plan.regions[0]


def describe_step(step: Step) -> str:
    """Describes a step as a clause: `share ami-1 (us-east-1) with 123456789012`."""
    if not step.certain:
        return f"if it is built: {describe_step(replace(step, certain=True))}"
    match step.kind:
        case StepKind.BAKE:
            return f"build in {step.region}"
        case StepKind.ENABLE:
            shared = f", and share it with {', '.join(step.targets)} as before" if step.targets else ""
            return f"enable {step.ami} ({step.region}){shared}"
        case StepKind.TEST:
            return f"test {f'{step.ami} ({step.region})' if step.ami else 'it'}"
        case StepKind.COPY:
            encrypted = f", encrypted with {step.kms_key}" if step.kms_key else ""
            source = f"{step.ami} ({step.source})" if step.ami else "it"
            return f"copy {source} to {step.region}{encrypted}"
        case StepKind.TAG:
            ami = f"{step.ami} ({step.region})"
            values = ", ".join(f"{name} = {value}" for name, value in step.tags if value is not None)
            return f"tag {ami}: {values}" if values else f"remove the tag {', '.join(dict(step.tags))} from {ami}"
        case StepKind.GRANT:
            return _describe_share("share", step)
        case StepKind.REVOKE:
            return _describe_share("stop sharing", step)


def _describe_share(verb: str, step: Step) -> str:
    targets = ", ".join(step.targets)
    snapshots = f"snapshot {step.snapshot}" if step.snapshot else "the snapshots" if step.on_snapshot else ""
    if step.ami is None:
        return f"{verb}{' ' if snapshots else ''}{snapshots} with {targets} in {step.region}"
    return f"{verb} {f'{snapshots} of ' if snapshots else ''}{step.ami} ({step.region}) with {targets}"


def describe_age(ami: Ami, now: datetime) -> str:
    """`3 days ago`; `at an unknown time` if EC2 has no date."""
    return describe_time(ami.created, now)


def describe_time(since: datetime | None, now: datetime) -> str:
    """`3 days ago`; `at an unknown time` for None."""
    if since is None:
        return "at an unknown time"
    seconds = max(0, int((now - since).total_seconds()))
    for unit, length in _UNITS:
        if count := seconds // length:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def describe_duration(duration: timedelta) -> str:
    """`30 days`: in the largest unit without a remainder."""
    seconds = int(duration.total_seconds())
    for unit, length in _UNITS:
        if seconds % length == 0:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds} seconds"
