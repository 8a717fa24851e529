"""`ami-bakery promote`: puts AMIs into a channel, in every region."""

from __future__ import annotations

import argparse

from ami_bakery.cli.commands.context import CommandContext, add_init, add_packer
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
from ami_bakery.errors import UsageError
from ami_bakery.release.promotion import Origin, promote


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_named_images(parser)
    parser.add_argument("--to", required=True, metavar="CHANNEL", help="channel to change, such as stable")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--from",
        dest="source",
        metavar="CHANNEL",
        help="promote the AMI of this channel (default: the AMI of the current definition)",
    )
    what.add_argument("--ami", type=ami_id, metavar="ID", help="promote this AMI, and its copies in the other regions")
    add_change_and_output_options(parser)
    add_packer(parser)
    add_init(parser)


def run(context: CommandContext) -> int:
    arguments, resolver = context.arguments, context.resolver()
    names = named_images(context, resolver)
    if arguments.ami:
        require_one_image(names, "--ami")
    if arguments.source == arguments.to:
        raise UsageError(
            "reading --from", f"{arguments.to!r} is also the channel of --to", "Name two different channels."
        )
    outputs = channel_outputs(context, resolver, names)
    origin = Origin(channel=arguments.source or "", ami=arguments.ami or "")
    return show_changes(context, resolver, promote(resolver, names, arguments.to, origin, policy_of(context)), outputs)


def ami_id(text: str) -> str:
    """Parses an AMI id."""
    if not AMI_ID.fullmatch(text):
        raise argparse.ArgumentTypeError(f"expected an AMI id such as ami-0123456789abcdef0, got {text!r}")
    return text
