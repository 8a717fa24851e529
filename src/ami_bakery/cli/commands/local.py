"""`ami-bakery local`: run a command, or a shell, against the embedded EC2: no account, no cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from ami_bakery.cli.commands.context import CommandContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--policy", metavar="FILE", help="allow only what this IAM policy allows: JSON, as AWS has it")
    parser.add_argument("words", nargs="*", metavar="CMD", help="the command, after `--`; none means a shell")


def run(context: CommandContext) -> int:
    if context.arguments.words:
        raise UsageError(
            "reading the command line",
            f"{context.arguments.words[0]!r} stands before `--`",
            "Write the command behind it: ami-bakery local -- CMD...",
        )
    return context.run_local(context.after_dashes, context.arguments.policy)
