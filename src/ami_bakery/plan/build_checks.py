"""Refuses plans whose build would fail, or would create no AMI or a wrong one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.check.finding import selection_findings, sure_failure
from ami_bakery.core.check.tag_limit import tag_findings
from ami_bakery.core.config.model import BaseId, BaseParameter
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.plan.plan import Action
from ami_bakery.core.text.sanitize import one_line
from ami_bakery.define.accounts import check_account
from ami_bakery.errors import AwsError, TemplateError
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.plan.planner import Planned
    from ami_bakery.template.location import SourceLocation


def check_plan(resolver: Resolver, planned: Planned, bases: Mapping[tuple[str, str], Ami]) -> None:
    """Raises if the build of a plan cannot succeed. `bases`: its source AMIs that exist, by region and id."""
    # First the account, because another account has other AMIs.
    _check_account(resolver, planned)
    _check_tags(planned)
    if builds_from_id(planned):
        _check_bases_exist(resolver, planned, bases)
    check_build_can_succeed(resolver, planned)


def builds_from_id(planned: Planned) -> bool:
    base = planned.definition.image.base
    return planned.plan.action is Action.BAKE and (base is None or isinstance(base, BaseId | BaseParameter))


def check_build_can_succeed(resolver: Resolver, planned: Planned) -> None:
    """Raises if Packer would succeed with no AMI or a wrong one.

    The drop-in mode does not check this, as the original did not.
    """
    image, facts = planned.definition.image, planned.definition.facts
    if facts is None or image.scheme is Scheme.SHA1 or planned.plan.action not in (Action.BAKE, Action.PENDING):
        return
    doing = f"checking the builders of image {image.name}"
    finding = sure_failure(facts, planned.plan.regions[0])
    if finding is None and not facts.builders and (image.only or image.except_):
        doing = f"selecting the builds of image {image.name}"
        everything = resolver.facts(replace(image, only=(), except_=())).builders
        finding = next(selection_findings(image, (), everything, resolver.config.file), None)
    if finding is not None:
        marks = (finding.location.mark(finding.message),)
        raise TemplateError(f"{doing} ({finding.location})", finding.message, finding.todo, marks=marks)


def _check_account(resolver: Resolver, planned: Planned) -> None:
    """Raises if the template builds in another account. The AMI would not be found there."""
    facts = planned.definition.facts
    if facts is not None and planned.plan.action in (Action.BAKE, Action.PENDING):
        check_account(resolver, planned.plan.image, facts, planned.plan.regions[0])


def _check_tags(planned: Planned) -> None:
    facts, image = planned.definition.facts, planned.definition.image
    if facts is not None and planned.plan.action in (Action.BAKE, Action.PENDING):
        for finding in tag_findings(image, facts.builders):
            doing = f"checking the tags of image {image.name} ({finding.location})"
            raise TemplateError(doing, finding.message, finding.todo, marks=(finding.location.mark(finding.message),))


def _check_bases_exist(resolver: Resolver, planned: Planned, bases: Mapping[tuple[str, str], Ami]) -> None:
    missing = [base for base in planned.base_ids if (planned.plan.regions[0], base) not in bases]
    if missing:
        image, facts = planned.definition.image, planned.definition.facts
        named_by = [builder.location for builder in (facts.builders if facts else ()) if builder.source_ami in missing]
        if image.base is not None:
            named_by = [image.location(resolver.config.file, "from")]
        elif not named_by:
            # A data source of the template found it.
            named_by = [builder.location for builder in (facts.builders if facts else ())]
        raise missing_base_error(image.name, planned.plan.regions[0], missing, named_by)
    for base in planned.base_ids:
        ami = bases[planned.plan.regions[0], base]
        if ami.revoked:
            raise AwsError(
                f"looking for the source AMI of image {planned.plan.image} in {ami.region}",
                f"{ami.id} is revoked: {one_line(ami.revoked)}",
                "Use another source AMI: `from` in bakery.toml, or source_ami in the template.",
            )


def missing_base_error(
    image: str, region: str, missing: Iterable[str], named_by: Sequence[SourceLocation] = ()
) -> AwsError:
    """Returns the error for source AMIs that EC2 does not have. `named_by`: the lines that name them."""
    doing = f"looking for the source AMI of image {image} in {region}"
    wrong = f"{', '.join(missing)} does not exist, or is not shared with this account"
    return AwsError(
        f"{doing} ({', '.join(map(str, named_by))})" if named_by else doing,
        wrong,
        "Use another source AMI: `from` in bakery.toml, or source_ami in the template.",
        marks=tuple(location.mark(f"{doing}: {wrong}") for location in named_by),
    )
