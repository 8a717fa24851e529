"""`ami-bakery images --orphans`: show what dead runs have left in EC2, and remove it with `--clean`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cleanup.deletion import remove
from ami_bakery.cleanup.orphans import find_orphans
from ami_bakery.core.ec2.resource import ResourceKind
from ami_bakery.errors import UsageError
from ami_bakery.render.images import orphan_json, orphans_json, orphans_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ami_bakery.cli.commands.context import CommandContext
    from ami_bakery.core.config.model import Config
    from ami_bakery.core.ec2.resource import Resource
    from ami_bakery.core.orphan.orphan import Orphan
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.errors import AwsError


def show_orphans(context: CommandContext) -> int:
    arguments = context.arguments
    _check(context)
    resolver = context.resolver()
    refuse_views(resolver.config, arguments.image)
    prompter, now = resolver.ports.prompter, resolver.ports.clock.now()
    if arguments.clean and not arguments.yes and not prompter.is_interactive():
        raise UsageError(
            "cleaning up what dead runs have left",
            "nobody is there to be asked: this is no terminal",
            "Look at it with --orphans alone, then give --yes, too.",
        )
    leftovers = _selected(context, resolver)
    results: dict[str, AwsError | None] = {}
    if not arguments.json and leftovers:
        context.answer(context.draw(orphans_table(leftovers, now)))
    if not leftovers:
        resolver.ports.reporter.note("no dead run has left anything")
    elif arguments.clean:
        doomed = _agreed(leftovers, resolver, asks=not arguments.yes)
        results = _removed(resolver, doomed)
    if arguments.json:
        context.answer(orphans_json([orphan_json(one, now) | _result_json(one.resource, results) for one in leftovers]))
    return 1 if any(error is not None for error in results.values()) else 0


_VIEWS = {
    "prune": "To remove what interrupted builds left in EC2, run `ami-bakery images --orphans --clean`.",
    "clean": "To remove what interrupted builds left in EC2, run `ami-bakery images --orphans --clean`.",
    "orphans": "Run `ami-bakery images --orphans`.",
    "outdated": "Run `ami-bakery images --outdated`.",
    "tree": "Run `ami-bakery images --lineage`.",
    "list": "Run `ami-bakery images` alone to list all AMIs.",
    "ls": "Run `ami-bakery images` alone to list all AMIs.",
}


def refuse_views(config: Config, words: Sequence[str]) -> None:
    """Raises `UsageError` for a word that is meant as a subcommand of `images`, unless an image has that name."""
    known = {image.name for image in config.images}
    for word in words:
        if word in _VIEWS and word not in known:
            raise UsageError(
                f"reading `images {word}`",
                f"`images` has no subcommand {word!r}: the words after it are names of images",
                _VIEWS[word],
            )


def _check(context: CommandContext) -> None:
    for option, needed in (("clean", "orphans"), ("yes", "clean")):
        if getattr(context.arguments, option) and not getattr(context.arguments, needed):
            raise UsageError(f"reading --{option}", f"it goes with --{needed}", f"Give --{needed}, too.")


def _selected(context: CommandContext, resolver: Resolver) -> tuple[Orphan, ...]:
    """Those of the images asked for. Where all are, what names no image is shown, too, and of others there is word."""
    names = context.selected(resolver)
    known = {image.name for image in resolver.config.images}
    found = find_orphans(resolver, names)
    whole = known <= set(names)
    others = sorted({one.image for one in found if one.image and one.image not in known})
    if whole and others:
        resolver.ports.reporter.note(
            f"not shown: what was left of {', '.join(others)}, which {resolver.config.file} does not have"
        )
    return tuple(one for one in found if one.image in names or (whole and not one.image))


def _agreed(leftovers: Sequence[Orphan], resolver: Resolver, *, asks: bool) -> list[Orphan]:
    """What is to be removed. What may be alive, or needed, is asked for on its own."""
    sure = [one for one in leftovers if one.sure]
    unsure = [one for one in leftovers if not one.sure]
    prompter, agreed = resolver.ports.prompter, []
    if sure and (not asks or prompter.confirm(f"Remove {_counted(sure)}? [y/N] ")):
        agreed += sure
    if unsure and asks and prompter.confirm(f"Remove what may be alive or needed, too: {_counted(unsure)}? [y/N] "):
        agreed += unsure
    elif unsure:
        resolver.ports.reporter.note(f"left alone, since it may be alive or needed: {_counted(unsure)}")
    return agreed


def _counted(leftovers: Sequence[Orphan]) -> str:
    return ", ".join(str(one.resource) for one in leftovers)


def _removed(resolver: Resolver, doomed: Sequence[Orphan]) -> dict[str, AwsError | None]:
    """By id, why it could not be removed. Locks last, and only where all of their run is gone: they tell of it."""
    locks = [one for one in doomed if one.resource.kind is ResourceKind.LOCK]
    results = _told(resolver, [one.resource for one in doomed if one not in locks])
    failed = {one.run for one in doomed if results.get(one.resource.id) is not None}
    return results | _told(resolver, [lock.resource for lock in locks if lock.run not in failed])


def _told(resolver: Resolver, things: Sequence[Resource]) -> dict[str, AwsError | None]:
    ports, results = resolver.ports, {}
    for thing, error in remove(ports, things, ports.clock.sleep):
        results[thing.id] = error
        if error is None:
            ports.reporter.note(f"removed: {thing} of {thing.region}")
        else:
            ports.reporter.warn(f"not removed: {thing} of {thing.region}: {error.wrong}. {error.todo}")
    return results


def _result_json(thing: Resource, results: dict[str, AwsError | None]) -> dict[str, object]:
    if thing.id not in results:
        return {"removed": False}
    error = results[thing.id]
    return {"removed": error is None, **({"error": f"{error}\n{error.todo}"} if error else {})}
