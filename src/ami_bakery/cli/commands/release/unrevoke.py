"""`ami-bakery unrevoke`: undoes the revocation of AMIs, in every region."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cli.commands.context import exit_status
from ami_bakery.cli.commands.release.revocation_output import add_targets, show_revocation
from ami_bakery.release.revocation import revocation_targets, unrevoke_amis

if TYPE_CHECKING:
    import argparse

    from ami_bakery.cli.commands.context import CommandContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_targets(parser)
    parser.add_argument(
        "--descendants", action="store_true", help="also undo the revocation of all AMIs that were built from it"
    )


def run(context: CommandContext) -> int:
    resolver = context.resolver()
    words = revocation_targets(resolver.config, context.arguments.ami)
    changes = unrevoke_amis(resolver, words, descendants=context.arguments.descendants)
    show_revocation(context, resolver, changes, ())
    return exit_status([change.error for change in changes if change.error is not None])
