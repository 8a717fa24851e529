"""Whether a template builds in the account that the bakery looks in: else it would be built again at every run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ami_bakery.core.check.finding import Finding, Level
from ami_bakery.errors import AwsError, BakeryError

if TYPE_CHECKING:
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.template.facts import Builder, TemplateFacts


def account_findings(resolver: Resolver, facts: TemplateFacts, region: str) -> Iterator[Finding]:
    """An error where it is another account for certain, a warning where it cannot be known."""
    for builder in facts.builders:
        if (why := builder.region_unknown) and builder.type.startswith("amazon-"):
            yield Finding(
                level=Level.WARNING,
                code="region-unknown",
                location=builder.location,
                message=f"which region {builder.name} builds in is not known before the build: {why}",
                todo=f"Write the variable aws_region as its region: it is given {region}.",
            )
        if builder.login is not None and builder.type.startswith("amazon-"):
            finding = _finding(resolver, builder, region)
            if finding is not None:
                yield finding


def check_account(resolver: Resolver, image: str, facts: TemplateFacts, region: str) -> None:
    """Raises `AwsError` where the template builds in another account for certain."""
    for finding in account_findings(resolver, facts, region):
        if finding.level is Level.ERROR:
            doing = f"looking at which account image {image} is built in ({finding.location})"
            marks = (finding.location.mark(finding.message),)
            raise AwsError(doing, finding.message, finding.todo, marks=marks)


def _finding(resolver: Resolver, builder: Builder, region: str) -> Finding | None:
    login = builder.login
    assert login is not None
    ports = resolver.ports
    try:
        found = ports.ec2.account_of(region, login, ports.packer.version())
        ours = ports.ec2.account(region)
    except BakeryError as error:
        return _unknown(builder, str(error))
    named = " and ".join(login.named)
    if found.unknown:
        return _unknown(builder, f"{named}: {found.unknown}")
    if found.accounts == {ours}:
        return None
    if ours in found.accounts:
        return _unknown(builder, f"it is {' or '.join(sorted(found.accounts))}")
    other = ", ".join(sorted(found.accounts))
    return Finding(
        level=Level.ERROR,
        code="another-account",
        location=login.location,
        message=f"{builder.name} builds in the account {other} ({named}), and ami-bakery looks for its AMI in {ours}",
        todo=f"Run ami-bakery with credentials of {other}, and take {named} out of the template.",
    )


def _unknown(builder: Builder, why: str) -> Finding:
    assert builder.login is not None
    return Finding(
        level=Level.WARNING,
        code="account-unknown",
        location=builder.login.location,
        message=f"which account {builder.name} builds in is not known before the build: {why}",
        todo="Give ami-bakery the builder's credentials (AWS_PROFILE), and take them out of the template.",
    )
