"""`ami-bakery schema`: prints the JSON Schema of `bakery.toml`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.core.config.json_schema import schema_text

if TYPE_CHECKING:
    import argparse

    from ami_bakery.cli.commands.context import CommandContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def run(context: CommandContext) -> int:
    context.answer(schema_text().removesuffix("\n"))
    return 0
