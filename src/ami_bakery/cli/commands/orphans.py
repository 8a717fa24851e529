"""`ami-bakery images --orphans`: shows orphaned resources, and removes them with `--clean`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cleanup.deletion import remove
from ami_bakery.cleanup.orphan_search import orphans_of_images
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
            "removing orphaned resources",
            "no terminal to ask on",
            "Review the list of `images --orphans`, then add --yes.",
        )
    orphans = orphans_of_images(resolver, context.selected(resolver))
    results: dict[str, AwsError | None] = {}
    if not arguments.json and orphans:
        context.answer(context.draw(orphans_table(orphans, now)))
    if not orphans:
        resolver.ports.reporter.note("no orphaned resources")
    elif arguments.clean:
        confirmed = _confirmed(orphans, resolver, asks=not arguments.yes)
        results = _remove(resolver, confirmed)
    if arguments.json:
        context.answer(
            orphans_json([orphan_json(orphan, now) | _result_json(orphan.resource, results) for orphan in orphans])
        )
    return 1 if any(error is not None for error in results.values()) else 0


_VIEWS = {
    "prune": "To remove old AMIs, run `ami-bakery prune`. To remove what interrupted builds left in EC2, run "
    "`ami-bakery images --orphans --clean`.",
    "clean": "To remove what interrupted builds left in EC2, run `ami-bakery images --orphans --clean`.",
    "orphans": "Run `ami-bakery images --orphans`.",
    "outdated": "Run `ami-bakery images --outdated`.",
    "tree": "Run `ami-bakery images --lineage`.",
    "used": "Run `ami-bakery images --used`.",
    "list": "Run `ami-bakery images` alone to list all AMIs.",
    "ls": "Run `ami-bakery images` alone to list all AMIs.",
}


def refuse_views(config: Config, words: Sequence[str]) -> None:
    """Refuses words that look like subcommands of `images` and name no image. Raises `UsageError`."""
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
            raise UsageError(f"reading --{option}", f"--{option} requires --{needed}", f"Add --{needed}.")


def _confirmed(orphans: Sequence[Orphan], resolver: Resolver, *, asks: bool) -> list[Orphan]:
    """Returns the orphans to remove. A separate prompt covers resources that may be in use."""
    sure = [orphan for orphan in orphans if orphan.sure]
    unsure = [orphan for orphan in orphans if not orphan.sure]
    prompter, confirmed = resolver.ports.prompter, []
    if sure and (not asks or prompter.confirm(f"Remove {_listed(sure)}? [y/N] ")):
        confirmed += sure
    if unsure and asks and prompter.confirm(f"Also remove resources that may be in use: {_listed(unsure)}? [y/N] "):
        confirmed += unsure
    elif unsure:
        resolver.ports.reporter.note(f"kept, because they may be in use: {_listed(unsure)}")
    return confirmed


def _listed(orphans: Sequence[Orphan]) -> str:
    return ", ".join(str(orphan.resource) for orphan in orphans)


def _remove(resolver: Resolver, removable: Sequence[Orphan]) -> dict[str, AwsError | None]:
    """Removes orphans. Returns the error, or None, by resource id.

    Locks come last, and only after all other resources of their run: a lock records them.
    """
    locks = [orphan for orphan in removable if orphan.resource.kind is ResourceKind.LOCK]
    results = _remove_and_report(resolver, [orphan.resource for orphan in removable if orphan not in locks])
    failed = {orphan.run for orphan in removable if results.get(orphan.resource.id) is not None}
    return results | _remove_and_report(resolver, [lock.resource for lock in locks if lock.run not in failed])


def _remove_and_report(resolver: Resolver, resources: Sequence[Resource]) -> dict[str, AwsError | None]:
    ports, results = resolver.ports, {}
    for resource, error in remove(ports, resources, ports.clock.sleep):
        results[resource.id] = error
        if error is None:
            ports.reporter.note(f"removed: {resource} in {resource.region}")
        else:
            ports.reporter.warn(f"not removed: {resource} in {resource.region}: {error.wrong}. {error.todo}")
    return results


def _result_json(resource: Resource, results: dict[str, AwsError | None]) -> dict[str, object]:
    if resource.id not in results:
        return {"removed": False}
    error = results[resource.id]
    return {"removed": error is None, **({"error": f"{error}\n{error.todo}"} if error else {})}
