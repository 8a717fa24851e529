"""`ami-bakery check`: find what would go wrong, or weaken the digest, before it costs a bake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.checking import check_images
from ami_bakery.commands.invocation import Invocation, add_packer, add_regions, add_selection
from ami_bakery.core.finding import Level
from ami_bakery.render import document, finding_json, finding_text

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    parser.add_argument("--strict", action="store_true", help="exit with 1 where there is so much as a warning")
    add_regions(parser)
    add_packer(parser)


def run(invocation: Invocation) -> int:
    resolver = invocation.resolver()
    found = check_images(resolver, invocation.selected(resolver))
    if invocation.arguments.json:
        rendered = (
            {"image": name, "findings": [finding_json(item) for item in items]} for name, items in found.items()
        )
        invocation.answer(document(list(rendered)))
    else:
        for name, items in found.items():
            for item in items:
                invocation.answer(finding_text(name, item, invocation.style))
    levels = [item.level for items in found.values() for item in items]
    if found and not levels:
        resolver.outside.watcher.note("nothing was found")
    return 1 if Level.ERROR in levels or (levels and invocation.arguments.strict) else 0
