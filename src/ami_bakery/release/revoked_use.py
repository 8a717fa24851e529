"""Finds channels and running instances that use revoked AMIs, for `check`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.core.check.finding import Finding, Level
from ami_bakery.core.concurrency import run_all
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.ec2.ami import IMAGE_TAG, REVOKED_TAG
from ami_bakery.core.text.sanitize import one_line
from ami_bakery.errors import AwsError
from ami_bakery.inspect.checks import JOBS, PLAN_FAILED, check_images
from ami_bakery.release.revocation import channels_with
from ami_bakery.template.location import SourceLocation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.plan.planner import Plans

CODE = "revoked-in-use"


def check_with_uses(
    resolver: Resolver, names: Sequence[str], jobs: int = JOBS, plans: Plans | None = None
) -> dict[str, tuple[Finding, ...]]:
    """Returns the findings of `check_images`, and those of `revoked_use` if all images can be planned."""
    found = check_images(resolver, names, jobs, plans)
    if not found or any(finding.code == PLAN_FAILED for findings in found.values() for finding in findings):
        return found
    in_use = revoked_use(resolver, names)
    return {name: (*findings, *in_use.get(name, ())) for name, findings in found.items()}


def revoked_use(resolver: Resolver, names: Sequence[str]) -> dict[str, tuple[Finding, ...]]:
    """Returns warnings by image: channels and running instances of revoked AMIs.

    One call in each region; more only if an image has revoked AMIs. Missing permissions are reported, and do not fail.
    """
    revoked = [ami for ami in _revoked(resolver, names) if ami.revoked]
    if not revoked:
        return {}
    found: dict[str, list[Finding]] = {}
    for image, finding in (*_channels(resolver, revoked), *_instances(resolver, revoked)):
        if image in names:
            found.setdefault(image, []).append(finding)
    return {image: tuple(findings) for image, findings in found.items()}


def _revoked(resolver: Resolver, names: Sequence[str]) -> Iterator[Ami]:
    by_region: dict[str, list[str]] = {}
    for image in map(resolver.image, names):
        for region in resolver.regions_of(image) if image.scheme is Scheme.SHA256 else ():
            by_region.setdefault(region, []).append(image.name)
    tagged = resolver.ports.ec2.find_tagged
    try:
        answers = run_all([partial(tagged, region, images, REVOKED_TAG) for region, images in by_region.items()])
    except AwsError as error:
        _report(resolver, error)
        return
    for amis in answers:
        yield from amis


def _channels(resolver: Resolver, revoked: Sequence[Ami]) -> Iterator[tuple[str, Finding]]:
    try:
        rows = channels_with(resolver, revoked)
    except AwsError as error:
        _report(resolver, error)
        return
    for row in rows:
        message = (
            f"channel {row.channel} has {row.parameter.value} ({row.region}), which is revoked: {one_line(row.revoked)}"
        )
        todo = f"Roll back: ami-bakery rollback {row.image} --channel {row.channel}"
        yield row.image, _finding(resolver, row.image, message, todo)


def _instances(resolver: Resolver, revoked: Sequence[Ami]) -> Iterator[tuple[str, Finding]]:
    by_region: dict[str, list[Ami]] = {}
    for ami in revoked:
        by_region.setdefault(ami.region, []).append(ami)
    for region, amis in by_region.items():
        for ami in amis:
            try:
                running = resolver.ports.temporary_resources.instances(region, amis=[ami.id])
            except AwsError as error:
                _report(resolver, error)
                return
            if running:
                ids = ", ".join(instance.id for instance in running[:5])
                more = f" and {len(running) - 5} more" if len(running) > 5 else ""
                message = f"{ids}{more} in {region} run {ami.id}, which is revoked: {one_line(ami.revoked)}"
                image = ami.tags.get(IMAGE_TAG, "")
                yield image, _finding(resolver, image, message, "Replace these instances.")


def _finding(resolver: Resolver, image: str, message: str, todo: str) -> Finding:
    line = resolver.config.image(image).line() if resolver.config.has(image) else 1
    location = SourceLocation(file=resolver.config.file, line=line)
    return Finding(level=Level.WARNING, code=CODE, location=location, message=message, todo=todo)


def _report(resolver: Resolver, error: AwsError) -> None:
    resolver.ports.reporter.warn(f"cannot check whether a revoked AMI is in use: {error}")
