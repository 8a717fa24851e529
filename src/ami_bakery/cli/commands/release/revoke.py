"""`ami-bakery revoke`: marks AMIs as unusable, in every region."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cli.commands.context import exit_status
from ami_bakery.cli.commands.release.channel_options import add_change_options, policy_of
from ami_bakery.cli.commands.release.revocation_output import (
    add_targets,
    revocation_words,
    show_revocation,
    warn_of_channels,
)
from ami_bakery.core.channel.descendants import reason_problem
from ami_bakery.errors import BakeryError, UsageError
from ami_bakery.release.promotion import roll_back
from ami_bakery.release.revocation import channels_with, revoke_amis

if TYPE_CHECKING:
    import argparse

    from ami_bakery.cli.commands.context import CommandContext
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.release.channel_listing import ChannelRow
    from ami_bakery.release.promotion import ChannelChange


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_targets(parser)
    parser.add_argument(
        "--reason", required=True, metavar="TEXT", help="the reason, at most 256 characters; saved in a tag"
    )
    parser.add_argument("--descendants", action="store_true", help="also revoke all AMIs that were built from it")
    parser.add_argument(
        "--rollback-channels", action="store_true", help="also roll back every channel that has a revoked AMI"
    )
    add_change_options(parser.add_argument_group("options of --rollback-channels"))


def run(context: CommandContext) -> int:
    arguments = context.arguments
    if problem := reason_problem(arguments.reason):
        raise UsageError("reading --reason", problem, "Write a short reason, such as 'CVE-2026-1234 in openssl'.")
    resolver = context.resolver()
    words = revocation_words(resolver, arguments.ami)
    changes = revoke_amis(resolver, words, arguments.reason, descendants=arguments.descendants)
    errors = [change.error for change in changes if change.error is not None]
    rolled_back: list[ChannelChange] = []
    rows: tuple[ChannelRow, ...] = ()
    try:
        rows = channels_with(resolver, [change.ami for change in changes])
    except BakeryError as error:
        # The AMIs are revoked. Only the channels are unknown.
        resolver.ports.reporter.warn(f"cannot check whether a channel has a revoked AMI: {error}. {error.todo}")
        errors += [error] if arguments.rollback_channels else []
    if arguments.rollback_channels:
        rolled_back = _roll_back(context, resolver, rows)
        errors += [change.error for change in rolled_back if change.error is not None]
    show_revocation(context, resolver, changes, rolled_back)
    if not arguments.rollback_channels:
        warn_of_channels(resolver, rows)
    return exit_status(errors)


def _roll_back(context: CommandContext, resolver: Resolver, rows: tuple[ChannelRow, ...]) -> list[ChannelChange]:
    """Rolls each channel back once. A failure does not stop the others."""
    policy = policy_of(context)
    channels = dict.fromkeys((row.image, row.channel) for row in rows)
    return [change for image, channel in channels for change in roll_back(resolver, [image], channel, "", policy)]
