"""What uses AMIs, as clauses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ami_bakery.render.report_page.humanized import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

_KINDS = {
    "instances": "instance",
    "launch_templates": "launch template",
    "auto_scaling_groups": "Auto Scaling group",
    "launch_configurations": "launch configuration",
    "others": "other reference",
}


def used_beyond_channels(build: Mapping[str, Any], channels: Iterable[Mapping[str, Any]]) -> bool:
    """Whether something uses a build besides the SSM parameters of these channels."""
    if not build["used"]:
        return False
    uses = [ami["uses"] for ami in build["amis"]]
    return not any(map(_is_used, uses)) or any(_is_used(without_channels(use, channels)) for use in uses)


def without_channels(uses: Mapping[str, Any], channels: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Leaves out the SSM parameters of these channels."""
    parameters = tuple(channel["parameter"] for channel in channels)
    others = uses["others"]
    return {**uses, "others": others and [other for other in others if other["name"] not in parameters]}


def _is_used(uses: Mapping[str, Any]) -> bool:
    return any(uses[kind] for kind in _KINDS)


def usage_counts(uses: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Counts what uses any of these AMIs: `("3 instances", "1 launch template")`.

    What could not be read, for all or for some of the AMIs, comes last.
    """
    found: dict[str, set[str]] = {kind: set() for kind in _KINDS}
    unread, read = set(), set()
    for use in uses:
        for kind in _KINDS:
            if use[kind] is None:
                unread.add(kind)
            else:
                read.add(kind)
                found[kind].update(_identity(kind, item) for item in use[kind])
    counts = [counted(len(found[kind]), word) for kind, word in _KINDS.items() if found[kind]]
    return (*counts, *_unknown(unread - read, "unknown"), *_unknown(unread & read, "unknown for some AMIs"))


def usage_lines(uses: Mapping[str, Any]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Returns each kind of resource that uses an AMI, with the names: `("Instances", ("i-1 (stopped)",))`.

    The kinds that could not be read are the names of `Unknown`.
    """
    lines = [(_title(word), tuple(map(_NAMES[kind], uses[kind]))) for kind, word in _KINDS.items() if uses[kind]]
    unread = tuple(f"{word}s" for kind, word in _KINDS.items() if uses[kind] is None)
    return (*lines, *([("Unknown", unread)] if unread else []))


def usage_names(uses: Mapping[str, Any]) -> Iterator[str]:
    """Yields the ids and names of what uses an AMI, to search for."""
    for kind in _KINDS:
        for item in uses[kind] or ():
            yield from (item,) if isinstance(item, str) else (item.get("id") or "", item.get("name") or "")


def _unknown(unread: set[str], word: str) -> list[str]:
    if not unread:
        return []
    if len(unread) == len(_KINDS):
        return [word]
    return [f"{word}: {', '.join(f'{name}s' for kind, name in _KINDS.items() if kind in unread)}"]


def _title(word: str) -> str:
    return f"{word[0].upper()}{word[1:]}s"


def _identity(kind: str, item: Any) -> str:
    if kind == "others":
        return f"{item['kind']} {item['name']}"
    return item if isinstance(item, str) else str(item["id"])


def _instance(item: Mapping[str, Any]) -> str:
    return item["id"] if item["state"] in ("running", None) else f"{item['id']} ({item['state']})"


def _template(item: Mapping[str, Any]) -> str:
    name = f"{item['name']} {item['id']}" if item["name"] else item["id"]
    return f"{name} ({_versions(item['versions'])})"


def _versions(versions: Sequence[Mapping[str, Any]] | None) -> str:
    if versions is None:
        return "versions unknown"
    words = [" ".join([str(version["number"]), *version["aliases"]]) for version in versions]
    return f"version{'' if len(words) == 1 else 's'} {', '.join(words)}"


def _other(item: Mapping[str, Any]) -> str:
    return f"{item['kind']} {item['name']}"


_NAMES: dict[str, Callable[[Any], str]] = {
    "instances": _instance,
    "launch_templates": _template,
    "auto_scaling_groups": str,
    "launch_configurations": str,
    "others": _other,
}
