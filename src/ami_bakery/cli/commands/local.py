"""`ami-bakery local`: runs a command or a shell against the embedded EC2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from ami_bakery.cli.commands.context import CommandContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--policy", metavar="FILE", help="deny calls that this IAM policy (JSON) does not allow")
    parser.add_argument("words", nargs="*", metavar="CMD", help="command to run, after `--` (default: a shell)")


def run(context: CommandContext) -> int:
    if context.arguments.words:
        raise UsageError(
            "reading the command line",
            f"{context.arguments.words[0]!r} comes before `--`",
            "Write the command after `--`: ami-bakery local -- CMD...",
        )
    return context.run_local(context.after_dashes, context.arguments.policy)
