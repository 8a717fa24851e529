"""`ami-bakery prune`: disables and deregisters AMIs that nothing needs."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import TYPE_CHECKING

from ami_bakery.cli.commands.context import CommandContext, add_init, add_packer, exit_status
from ami_bakery.core.config.selection import named
from ami_bakery.core.prune.prunable import PruneOutcome
from ami_bakery.core.prune.retention import PruneReason, PruneSettings
from ami_bakery.core.text.durations import parse_duration
from ami_bakery.release.promoted_amis import refuse_drop_in
from ami_bakery.release.pruning import PruneRun, prune
from ami_bakery.render.prune_text import prune_advice, prune_json, prune_table, prune_totals
from ami_bakery.render.text import error_text

if TYPE_CHECKING:
    from ami_bakery.define.resolver import Resolver

_DEFAULT_LIMIT, _DEFAULT_PERCENT = 50, 25.0
_MOST = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="*", metavar="IMAGE", help="names or globs of images (default: all)")
    parser.add_argument(
        "--apply", action="store_true", help="disable, enable and deregister AMIs (default: only show the plan)"
    )
    parser.add_argument(
        "--quarantine",
        type=_quarantine,
        default="14d",
        metavar="DURATION",
        help="how long an AMI is disabled before it is deregistered, in s, m, h, d or w; "
        "0 deregisters at once (default: 14d)",
    )
    parser.add_argument(
        "--limit",
        type=_count,
        default=_DEFAULT_LIMIT,
        metavar="N",
        help=f"max. number of AMIs to disable or deregister in one run (default: {_DEFAULT_LIMIT})",
    )
    parser.add_argument(
        "--limit-percent",
        type=_percent,
        default=_DEFAULT_PERCENT,
        metavar="P",
        help="max. percentage of all finished AMIs to disable or deregister in one run "
        f"(default: {_DEFAULT_PERCENT:.0f})",
    )
    add_packer(parser)
    add_init(parser)


def run(context: CommandContext) -> int:
    arguments, resolver = context.arguments, context.resolver()
    names = named(resolver.config, arguments.image)
    for name in names:
        refuse_drop_in(resolver.config.image(name), "pruning AMIs")
    quarantine: timedelta = arguments.quarantine
    settings = PruneSettings(quarantine=quarantine, limit=arguments.limit, percent=arguments.limit_percent)
    done = prune(resolver, names, settings, apply=arguments.apply)
    _show(context, resolver, done)
    return exit_status(done.errors)


def _show(context: CommandContext, resolver: Resolver, done: PruneRun) -> None:
    reporter = resolver.ports.reporter
    for each in done.amis:
        if each.outcome is PruneOutcome.FAILED and each.error is not None:
            where = f"{each.ami.image}: {each.ami.key.id} ({each.ami.key.region})"
            reporter.error(f"{where}: {error_text(each.error, context.error_style)}")
    if context.arguments.json:
        context.answer(prune_json(done))
    elif done.amis:
        context.answer(context.draw(prune_table(done)))
        context.answer(prune_totals(done))
    unknown = [each for each in done.amis if each.decision.reason is PruneReason.UNKNOWN]
    if unknown:
        first = unknown[0].decision.detail
        are = "1 AMI is" if len(unknown) == 1 else f"{len(unknown)} AMIs are"
        reporter.warn(f"{are} kept, because the use of AMIs is unknown: {first}. Fix this, and run the command again.")
    reporter.note(prune_advice(done))
    if context.annotate is not None:
        from ami_bakery.core.ci.annotations import error_notes
        from ami_bakery.render.markdown import prune_markdown

        notes = [note for each in done.amis if each.error for note in error_notes(each.error, each.ami.image)]
        context.annotate(notes, prune_markdown(done))


def _quarantine(text: str) -> timedelta:
    if text == "0":
        return timedelta()
    try:
        return parse_duration(text, examples="0, 12h, 14d or 4w", zero=True)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number, 0 or more, got {text!r}")


def _percent(text: str) -> float:
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if 0 <= value <= _MOST:
        return value
    raise argparse.ArgumentTypeError(f"expected a number from 0 to 100, got {text!r}")
