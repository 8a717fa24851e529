"""Checks that a template builds in ami-bakery's AWS account. ami-bakery looks for the AMI there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ami_bakery.core.check.finding import Finding, Level
from ami_bakery.errors import AwsError, BakeryError

if TYPE_CHECKING:
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.template.facts import Builder, TemplateFacts


def account_findings(resolver: Resolver, facts: TemplateFacts, region: str) -> Iterator[Finding]:
    """Yields an error if the account certainly differs.

    Yields a warning if the account is unknown. An AMI in another account would never be found, so each run would build
    it again.
    """
    for builder in facts.builders:
        if (why := builder.region_unknown) and builder.type.startswith("amazon-"):
            yield Finding.warning(
                "region-unknown",
                builder.location,
                message=f"the region of {builder.name} is unknown before the build: {why}",
                todo=f"Set its region to the variable aws_region, which has the value {region}.",
            )
        if builder.login is not None and builder.type.startswith("amazon-"):
            finding = _finding(resolver, builder, region)
            if finding is not None:
                yield finding


def check_account(resolver: Resolver, image: str, facts: TemplateFacts, region: str) -> None:
    """Raises `AwsError` if the template certainly builds in another account."""
    for finding in account_findings(resolver, facts, region):
        if finding.level is Level.ERROR:
            doing = f"checking the account of image {image} ({finding.location})"
            marks = (finding.location.mark(finding.message),)
            raise AwsError(doing, finding.message, finding.todo, marks=marks)


def _finding(resolver: Resolver, builder: Builder, region: str) -> Finding | None:
    login = builder.login
    assert login is not None
    ports = resolver.ports
    try:
        found = ports.ec2.account_of(region, login, ports.packer.version())
        own = ports.ec2.account(region)
    except BakeryError as error:
        return _unknown(builder, str(error))
    named = " and ".join(login.named)
    if found.unknown:
        return _unknown(builder, f"{named}: {found.unknown}")
    if found.accounts == {own}:
        return None
    if own in found.accounts:
        return _unknown(builder, f"it is {' or '.join(sorted(found.accounts))}")
    other = ", ".join(sorted(found.accounts))
    return Finding.error(
        "another-account",
        login.location,
        message=f"{builder.name} builds in account {other} ({named}), but ami-bakery looks for its AMI in {own}",
        todo=f"Run ami-bakery with credentials of {other}, and remove {named} from the template.",
    )


def _unknown(builder: Builder, why: str) -> Finding:
    assert builder.login is not None
    return Finding.warning(
        "account-unknown",
        builder.login.location,
        message=f"the account of {builder.name} is unknown before the build: {why}",
        todo="Run ami-bakery with the builder's credentials (AWS_PROFILE), and remove them from the template.",
    )
