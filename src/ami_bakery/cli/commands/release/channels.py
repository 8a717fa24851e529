"""`ami-bakery channels`: lists the AMIs in channels, in each region."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cli.commands.context import CommandContext, add_regions
from ami_bakery.core.config.selection import named
from ami_bakery.release.channel_listing import ChannelRow, list_channels
from ami_bakery.render.channel_text import channels_json, channels_table, history_table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ami_bakery.ports import Reporter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="*", metavar="IMAGE", help="names or globs of images (default: all)")
    parser.add_argument("--history", action="store_true", help="show all versions that SSM keeps (at most 100)")
    add_regions(parser)


def run(context: CommandContext) -> int:
    resolver = context.resolver()
    rows = list_channels(resolver, named(resolver.config, context.arguments.image))
    reporter, now, history = resolver.ports.reporter, resolver.ports.clock.now(), context.arguments.history
    if context.arguments.json:
        context.answer(channels_json(rows, now, history=history))
    elif rows:
        context.answer(context.draw(history_table(rows, now) if history else channels_table(rows, now)))
    if not rows:
        reporter.note("no channels found for these images")
    _warn(reporter, rows)
    return 0


def _warn(reporter: Reporter, rows: Sequence[ChannelRow]) -> None:
    """Warns of channels with a revoked AMI, and of regions that differ."""
    for row in rows:
        where = f"{row.image}: channel {row.channel} in {row.region}"
        if row.revoked:
            reporter.warn(
                f"{where}: {row.parameter.value} is revoked: {row.revoked}. Roll back: ami-bakery rollback {row.image} "
                f"--channel {row.channel}"
            )
    for image, channel in dict.fromkeys((row.image, row.channel) for row in rows if row.differs):
        regions = ", ".join(row.region for row in rows if (row.image, row.channel) == (image, channel) and row.differs)
        reporter.warn(
            f"{image}: channel {channel} differs in {regions} from the region that was written last. Run the last "
            "promote or rollback again"
        )
