"""`ami-bakery rollback`: puts the previous AMI back into a channel."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ami_bakery.cli.commands.release.channel_options import (
    add_change_and_output_options,
    add_named_images,
    channel_outputs,
    named_images,
    policy_of,
    require_one_image,
    show_changes,
)
from ami_bakery.core.config.keys import AMI_ID
from ami_bakery.release.channel_rollback import roll_back

if TYPE_CHECKING:
    from ami_bakery.cli.commands.context import CommandContext


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_named_images(parser)
    parser.add_argument("--channel", required=True, metavar="CHANNEL", help="channel to change, such as stable")
    parser.add_argument(
        "--to",
        type=_ami_or_version,
        default=None,
        metavar="AMI|VERSION",
        help="an AMI that was in the channel, or a version of the parameter in the first region (default: the previous "
        "AMI that exists and is not revoked)",
    )
    add_change_and_output_options(parser)


def run(context: CommandContext) -> int:
    arguments, resolver = context.arguments, context.resolver()
    names = named_images(context, resolver)
    if arguments.to:
        require_one_image(names, "--to")
    outputs = channel_outputs(context, resolver, names)
    changes = roll_back(resolver, names, arguments.channel, arguments.to or "", policy_of(context))
    return show_changes(context, resolver, changes, outputs)


def _ami_or_version(text: str) -> str:
    if AMI_ID.fullmatch(text) or (text.isascii() and text.isdigit() and int(text[:10]) > 0):
        return text
    raise argparse.ArgumentTypeError(f"expected an AMI id, or the number of a version, got {text!r}")
