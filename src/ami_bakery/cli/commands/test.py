"""`ami-bakery test`: tests existing AMIs, and builds nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cli.commands.bake import add_bake_options, bake_and_report
from ami_bakery.cli.commands.context import add_selection
from ami_bakery.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from ami_bakery.cli.commands.context import CommandContext
    from ami_bakery.define.resolver import Resolver


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    parser.add_argument("--force", action="store_true", help="also test AMIs that passed the current test")
    add_bake_options(parser)


def run(context: CommandContext) -> int:
    resolver = context.resolver()
    names = _with_test(context, resolver)
    return bake_and_report(
        context,
        resolver,
        names,
        forced=frozenset(),
        retested=frozenset(names if context.arguments.force else ()),
        builds=False,
    )


def _with_test(context: CommandContext, resolver: Resolver) -> tuple[str, ...]:
    """Returns the selected images with a test. Raises `UsageError` for a named one without."""
    names = context.selected(resolver)
    lacking = [name for name in names if resolver.config.image(name).test is None]
    named = [name for name in lacking if name in context.arguments.image]
    if named:
        raise UsageError(
            f"looking for the test of image {named[0]}",
            "it has none",
            f"Set `test` in [images.{named[0]}] of {resolver.config.file}.",
        )
    if lacking and len(lacking) == len(names):
        resolver.ports.reporter.note("nothing to do: no selected image has a test")
    return tuple(name for name in names if name not in lacking)
