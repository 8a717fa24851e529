"""`ami-bakery revoke`: marks AMIs as unusable, in every region."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cli.commands.context import exit_status
from ami_bakery.cli.commands.release.channel_options import add_change_options, policy_of
from ami_bakery.cli.commands.release.revocation_output import add_targets, show_revocation, warn_of_channels
from ami_bakery.core.channel.descendants import reason_problem
from ami_bakery.errors import UsageError
from ami_bakery.release.revocation import revocation_targets, revoke_and_roll_back
from ami_bakery.render.text import error_text

if TYPE_CHECKING:
    import argparse

    from ami_bakery.cli.commands.context import CommandContext


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
    words = revocation_targets(resolver.config, arguments.ami)
    policy = policy_of(context) if arguments.rollback_channels else None
    outcome = revoke_and_roll_back(resolver, words, arguments.reason, policy, descendants=arguments.descendants)
    if (unread := outcome.unread) is not None:
        if policy is None:
            resolver.ports.reporter.warn(f"cannot check whether a channel has a revoked AMI: {unread}. {unread.todo}")
        else:
            failed = unread.revised(doing="looking for channels that have a revoked AMI", wrong=str(unread))
            resolver.ports.reporter.error(error_text(failed, context.error_style))
    show_revocation(context, resolver, outcome.changes, outcome.rolled_back)
    if not arguments.rollback_channels:
        warn_of_channels(resolver, outcome.in_use)
    return exit_status(outcome.errors)
