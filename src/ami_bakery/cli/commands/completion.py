"""`ami-bakery completion`: prints a shell completion script."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ami_bakery.cli.commands.context import CommandContext

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="shell to print the script for")


def run(context: CommandContext) -> int:
    from argcomplete.shell_integration import shellcode

    shell: str = context.arguments.shell
    context.answer(shellcode(["ami-bakery", "bake"], shell=shell))
    return 0
