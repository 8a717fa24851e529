"""`ami-bakery terraform-external`: serves as a Terraform `external` data source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ami_bakery.bake import bake_all
from ami_bakery.cli.commands.context import CommandContext, add_init, add_packer
from ami_bakery.core.ci.terraform import Query, QueryAction, parse_query
from ami_bakery.core.config.selection import refuse_disabled
from ami_bakery.core.packer.arguments import parse_packer_arguments
from ami_bakery.core.plan.describe import reason_lines
from ami_bakery.core.plan.plan import Action
from ami_bakery.core.text.suggestions import nearest
from ami_bakery.define.resolver import Resolver
from ami_bakery.errors import BakeryError, UsageError
from ami_bakery.plan.planner import make_plans
from ami_bakery.render.text import terraform_external

if TYPE_CHECKING:
    import argparse

    from ami_bakery.core.config.model import Config
    from ami_bakery.core.definition.digest import Digest
    from ami_bakery.core.ec2.ami import Ami


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_packer(parser)
    add_init(parser)
    # Terraform shows stderr as the error message, so print only errors there.
    parser.set_defaults(quiet=True)


def run(context: CommandContext) -> int:
    query = parse_query(_read(context))
    config, ports = context.bakery(query.config, query.action is QueryAction.BAKE)
    image = config.image(_name(query, config))
    # If the file lists regions, the query selects one of them. The image is built in the first one: that one is
    # part of the digest.
    chosen = (query.region,) if query.region and not image.regions else ()
    arguments = parse_packer_arguments(context.after_dashes)
    resolver = Resolver(ports=ports, config=config, arguments=arguments, regions=chosen)
    regions = resolver.regions_of(resolver.image(image.name))
    region = query.region or regions[0]
    if region not in regions:
        raise UsageError(
            f"looking for image {image.name} in {region}",
            f"{config.file} configures only {', '.join(regions)}{nearest(region, regions)}",
            "Query one of these regions, or add the region to `regions`.",
        )
    if query.action is QueryAction.BAKE:
        digest, amis = _baked(resolver, image.name)
    else:
        digest, amis = _found(resolver, image.name, region)
    ids = {region: ami.id for region, ami in amis.items()}
    context.answer(terraform_external(image.name, digest, ids, region))
    return 0


def _read(context: CommandContext) -> str:
    doing = "reading Terraform's query"
    todo = 'Pipe one in: echo \'{"image": "app"}\' | ami-bakery terraform-external'
    if context.stdin is None or context.stdin.isatty():
        raise UsageError(doing, "standard input is a terminal, or closed", todo)
    try:
        return context.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(doing, f"cannot read standard input: {error}", todo) from None


def _name(query: Query, config: Config) -> str:
    if query.image is not None:
        refuse_disabled(config, query.image)
    names = [image.name for image in config.images if image.enabled]
    if query.image is None and len(names) == 1:
        return names[0]
    if query.image not in names:
        near = "" if query.image is None else nearest(query.image, names)
        raise UsageError(
            "reading Terraform's query",
            f"{config.file} has no image {query.image!r}{near}" if query.image else "it names no image",
            f"Name one of {', '.join(names)}.",
        )
    return query.image


def _found(resolver: Resolver, name: str, region: str) -> tuple[Digest | None, Mapping[str, Ami]]:
    (plan,) = (planned.plan for planned in make_plans(resolver, [name]) if planned.plan.image == name)
    if plan.action not in (Action.REUSE, Action.COPY, Action.ENABLE) or region not in plan.ready:
        missing = {Action.TEST: "passed its test", Action.ENABLE: "been enabled"}.get(plan.action, "been built")
        raise UsageError(
            f"looking for the AMI of image {name} in {region}",
            f"it has not {missing} yet ({plan.action}): {'; '.join(reason_lines(plan.reasons))}",
            f'Run `ami-bakery bake {name}` before Terraform, or write action = "bake" in the query.',
        )
    return plan.digest, plan.ready


def _baked(resolver: Resolver, name: str) -> tuple[Digest | None, Mapping[str, Ami]]:
    outcomes = list(bake_all(resolver, [name], forced=frozenset(), jobs=1))
    # Parents come first: raise their error, not "its parent image failed".
    errors: list[BakeryError] = [outcome.error for outcome in outcomes if outcome.error is not None]
    if errors:
        raise errors[0]
    (outcome,) = (outcome for outcome in outcomes if outcome.image == name)
    return outcome.plan.digest, outcome.amis
