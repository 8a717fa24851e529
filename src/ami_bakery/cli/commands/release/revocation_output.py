"""Arguments and output that `revoke` and `unrevoke` share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cli.commands.context import CommandContext, add_init, add_packer
from ami_bakery.core.channel.parameter import RevocationResult
from ami_bakery.core.text.sanitize import one_line
from ami_bakery.render.channel_text import change_note, revocation_json, revocation_text
from ami_bakery.render.text import error_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ami_bakery.define.resolver import Resolver
    from ami_bakery.release.channel_listing import ChannelRow
    from ami_bakery.release.promotion import ChannelChange
    from ami_bakery.release.revocation import RevocationChange


def add_targets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "ami",
        nargs="+",
        metavar="AMI|IMAGE",
        help="AMI ids, with all copies; an image's name means all AMIs of its current definition",
    )
    add_packer(parser)
    add_init(parser)


def show_revocation(
    context: CommandContext,
    resolver: Resolver,
    changes: Sequence[RevocationChange],
    rolled_back: Sequence[ChannelChange],
) -> None:
    """Reports each change on stderr, and prints the changed AMIs."""
    reporter = resolver.ports.reporter
    for change in changes:
        where = f"{change.image or '-'}: {change.ami.id} ({change.ami.region})"
        if change.error is not None:
            reporter.error(f"{where}: {error_text(change.error, context.error_style)}")
        elif change.result is RevocationResult.UNCHANGED:
            reporter.note(one_line(f"{where}: nothing to do"))
        else:
            reporter.note(one_line(f"{where}: {change.result}"))
    for each in rolled_back:
        if each.error is not None:
            reporter.error(f"{each.image}: {error_text(each.error, context.error_style)}")
        else:
            reporter.note(change_note(each))
    if context.arguments.json:
        context.answer(revocation_json(changes, rolled_back))
    elif text := revocation_text(changes):
        context.answer(text)
    _annotate(context, changes, rolled_back)


def warn_of_channels(resolver: Resolver, rows: Sequence[ChannelRow]) -> None:
    for row in rows:
        resolver.ports.reporter.warn(
            f"{row.image}: channel {row.channel} in {row.region} has the revoked {row.parameter.value}. Roll back: "
            f"ami-bakery rollback {row.image} --channel {row.channel}"
        )


def _annotate(
    context: CommandContext, changes: Sequence[RevocationChange], rolled_back: Sequence[ChannelChange]
) -> None:
    if context.annotate is None:
        return
    from ami_bakery.core.ci.annotations import error_notes
    from ami_bakery.render.markdown import revocation_markdown

    failed = [(change.image, change.error) for change in changes if change.error is not None]
    failed += [(each.image, each.error) for each in rolled_back if each.error is not None]
    notes = [note for image, error in failed for note in error_notes(error, image)]
    context.annotate(notes, revocation_markdown(context.arguments.command, changes, rolled_back))
