"""`ami-bakery digest`: prints the digest of each image's definition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cli.commands.context import CommandContext, add_init, add_packer, add_regions, add_selection
from ami_bakery.errors import AwsError
from ami_bakery.plan.planner import define_all
from ami_bakery.render.text import digest_json, document

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    add_regions(parser)
    add_packer(parser)
    add_init(parser)


def run(context: CommandContext) -> int:
    resolver = context.resolver()
    names = context.selected(resolver)
    definitions = [item for item in define_all(resolver, names, kept=False) if item.image.name in names]
    for item in definitions:
        for message in item.unseen:
            resolver.ports.reporter.warn(message)
    if context.arguments.json:
        rendered = [digest_json(item.image.name, item.digest, item.awaits) for item in definitions]
        context.answer(document(rendered))
        return 0
    known = [item for item in definitions if item.digest is not None]
    if known and len(definitions) == 1:
        context.answer(str(known[0].digest))
    elif known:
        context.answer("\n".join(f"{item.image.name}\t{item.digest}" for item in known))
    for item in definitions:
        if item.digest is None:
            raise AwsError(
                f"computing the digest of image {item.image.name}",
                f"the digest covers the AMI id of its parent image {item.awaits!r}, which has not been built yet",
                f"Run `ami-bakery bake {item.awaits}` first.",
            )
    return 0
