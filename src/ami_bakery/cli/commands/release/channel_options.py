"""Options and output that `promote` and `rollback` share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.bake.build_slots import WaitPolicy
from ami_bakery.cli.commands.context import CommandContext, duration, exit_status
from ami_bakery.cli.commands.output import OutputFormat, add_output, output_files, write_all
from ami_bakery.core.config.selection import named
from ami_bakery.errors import UsageError
from ami_bakery.release.promotion import ChannelPolicy
from ami_bakery.render.channel_text import change_note, changes_github, changes_json, changes_text
from ami_bakery.render.text import error_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from ami_bakery.cli.commands.output import OutputFile
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.release.promotion import ChannelChange

_FORMATS = (OutputFormat.JSON, OutputFormat.GITHUB)


def add_named_images(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="+", metavar="IMAGE", help="names or globs of images")


def add_change_and_output_options(parser: argparse.ArgumentParser) -> None:
    add_change_options(parser)
    add_output(parser, "the ids", _FORMATS)


def add_change_options(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--adopt",
        action="store_true",
        help="overwrite the channel's SSM parameter even if ami-bakery did not create it",
    )
    parser.add_argument(
        "--timeout",
        type=duration,
        metavar="DURATION",
        default="1m",
        help="max. time to wait until each region shows the new AMI (default: 1m)",
    )
    waiting = parser.add_mutually_exclusive_group()
    waiting.add_argument(
        "--no-wait", action="store_true", help="exit 75 if another job is changing the channel (default: wait)"
    )
    waiting.add_argument(
        "--wait-timeout",
        type=duration,
        metavar="DURATION",
        help="max. time to wait for another job, then exit 75 (default: no limit)",
    )


def policy_of(context: CommandContext) -> ChannelPolicy:
    arguments = context.arguments
    wait = WaitPolicy(waits=not arguments.no_wait, timeout=arguments.wait_timeout)
    return ChannelPolicy(wait=wait, timeout=arguments.timeout, adopt=arguments.adopt)


def named_images(context: CommandContext, resolver: Resolver) -> tuple[str, ...]:
    return named(resolver.config, context.arguments.image)


def require_one_image(names: Sequence[str], option: str) -> None:
    if len(names) != 1:
        raise UsageError(f"reading {option}", f"{len(names)} images are selected", "Name exactly one image.")


def channel_outputs(context: CommandContext, resolver: Resolver, names: Sequence[str]) -> tuple[OutputFile, ...]:
    return output_files(resolver, context, names, _FORMATS)


def show_changes(
    context: CommandContext, resolver: Resolver, changing: Iterator[ChannelChange], outputs: Sequence[OutputFile]
) -> int:
    """Reports each change, prints the answer, and returns the exit status."""
    changes = []
    for change in changing:
        changes.append(change)
        if change.error is not None:
            resolver.ports.reporter.error(f"{change.image}: {error_text(change.error, context.error_style)}")
        else:
            resolver.ports.reporter.note(change_note(change))
    if context.arguments.json:
        context.answer(changes_json(changes))
    elif text := changes_text(changes):
        context.answer(text)
    _annotate(context, changes)

    def content(output: OutputFile) -> str | None:
        if output.format is OutputFormat.GITHUB:
            return changes_github(changes)
        return None if any(change.error for change in changes) else changes_json(changes) + "\n"

    write_all(outputs, context, content)
    return exit_status([change.error for change in changes if change.error is not None])


def _annotate(context: CommandContext, changes: Sequence[ChannelChange]) -> None:
    if context.annotate is None:
        return
    from ami_bakery.core.ci.annotations import error_notes
    from ami_bakery.render.markdown import changes_markdown

    failed = [(change.image, change.error) for change in changes if change.error is not None]
    notes = [note for image, error in failed for note in error_notes(error, image)]
    context.annotate(notes, changes_markdown(context.arguments.command, changes))
