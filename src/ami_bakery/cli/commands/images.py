"""`ami-bakery images`: lists built AMIs, outdated AMIs, their lineage or use, or orphaned resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cli.commands.context import (
    CommandContext,
    RenamedOption,
    add_init,
    add_packer,
    add_regions,
    add_selection,
)
from ami_bakery.cli.commands.orphans import refuse_views, show_orphans
from ami_bakery.inspect.inventory import Listing
from ami_bakery.render.images import (
    images_json,
    images_table,
    lineage_trees,
    outdated_json,
    outdated_table,
    trees_json,
)

if TYPE_CHECKING:
    import argparse

    from ami_bakery.ports import Ports


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    view = parser.add_mutually_exclusive_group()
    view.add_argument(
        "--outdated",
        action="store_true",
        help="show AMIs older than the current definition, and what changed",
    )
    view.add_argument("--lineage", action="store_true", help="show AMIs as a parent/child tree")
    view.add_argument(
        "--used",
        action="store_true",
        help="show what uses each AMI: instances, launch templates, Auto Scaling groups, launch configurations, SSM "
        "parameters; and how far it is behind the newest build",
    )
    view.add_argument(
        "--orphans",
        action="store_true",
        help="show orphaned resources from interrupted builds: instances, key pairs, security groups, unfinished "
        "AMIs, locks",
    )
    parser.add_argument("--tree", action=RenamedOption, new="--lineage")
    parser.add_argument("--clean", action="store_true", help="with --orphans: remove them, after a prompt")
    parser.add_argument(
        "--yes", action="store_true", help="with --clean: skip the prompt; keep what is possibly in use"
    )
    add_regions(parser)
    add_packer(parser)
    add_init(parser)


def run(context: CommandContext) -> int:
    if context.arguments.orphans or context.arguments.clean or context.arguments.yes:
        return show_orphans(context)
    resolver = context.resolver()
    refuse_views(resolver.config, context.arguments.image)
    names = context.selected(resolver)
    listing = Listing(resolver, names)
    if context.arguments.lineage:
        nothing = _lineage(context, listing)
    elif context.arguments.outdated:
        nothing = _outdated(context, listing)
    elif context.arguments.used:
        nothing = _used(context, listing, resolver.ports)
    else:
        nothing = _all(context, listing)
    if nothing and names:
        resolver.ports.reporter.note(nothing)
    return 0


def _all(context: CommandContext, listing: Listing) -> str:
    """Prints the AMIs. Returns the message for an empty list."""
    amis = listing.made()
    if context.arguments.json:
        context.answer(images_json(amis, listing.now))
    elif amis:
        context.answer(context.draw(images_table(amis, listing.now)))
    return "" if amis else _NO_AMIS


def _used(context: CommandContext, listing: Listing, ports: Ports) -> str:
    from ami_bakery.inspect.used_amis import find_uses
    from ami_bakery.render.usage_table import usage_json, usage_table

    used = find_uses(ports, listing.made())
    if context.arguments.json:
        context.answer(usage_json(used, listing.now))
    elif used:
        context.answer(context.draw(usage_table(used)))
    return "" if used else _NO_AMIS


def _outdated(context: CommandContext, listing: Listing) -> str:
    outdated = listing.outdated()
    if context.arguments.json:
        context.answer(outdated_json(outdated, listing.now))
    elif outdated:
        context.answer(context.draw(outdated_table(outdated, listing.now)))
    return "" if outdated else "all images are up to date"


def _lineage(context: CommandContext, listing: Listing) -> str:
    trees = listing.trees()
    if context.arguments.json:
        context.answer(trees_json(listing, trees, listing.now))
    else:
        for tree in lineage_trees(listing, trees, listing.now):
            context.answer(context.draw(tree))
    return "" if trees else _NO_AMIS


_NO_AMIS = "no AMIs found for these images"
