"""Compares two definitions of an image. Uses the digests of their parts, or their manifests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ami_bakery.core.definition.manifest import Entry, EntryKind, Manifest, ManifestPart
from ami_bakery.values import Frozen

_WORDS = {
    ManifestPart.FILES: "files changed",
    ManifestPart.VARIABLES: "variables, var-files or environment variables changed",
    ManifestPart.BASE: "the source AMI changed",
    ManifestPart.TOOLS: "Packer or a plugin changed",
    ManifestPart.SETTINGS: "build settings changed",
}


class Change(Frozen):
    """One change. `kind` is a fixed word: `files-changed` for a part, `file-added` for one file."""

    kind: str
    subject: str
    detail: str


def compare_components(old: Mapping[ManifestPart, str], new: Mapping[ManifestPart, str]) -> tuple[ManifestPart, ...]:
    """Returns parts that differ between an AMI's components tag and a manifest.

    A part that only one side has counts as changed.
    """
    return tuple(component for component in ManifestPart if old.get(component) != new.get(component))


def component_change(component: ManifestPart) -> Change:
    return Change(kind=f"{component}-changed", subject=component, detail=_WORDS[component])


def compare_manifests(old: Manifest, new: Manifest, component: ManifestPart) -> tuple[Change, ...]:
    """Returns the changes within one part, in the order of the manifest."""
    match component:
        case ManifestPart.FILES:
            return tuple(_files(old.entries, new.entries))
        case ManifestPart.VARIABLES:
            variables = _named("variable", dict(old.variables), dict(new.variables))
            environment = _named("environment", dict(old.environment), dict(new.environment))
            return (*variables, *_values("var-files", " ".join(old.var_files), " ".join(new.var_files)), *environment)
        case ManifestPart.SETTINGS:
            return tuple(_settings(old, new))
        case ManifestPart.BASE | ManifestPart.TOOLS:
            pairs = (old.base, new.base) if component is ManifestPart.BASE else (old.tools, new.tools)
            before, after = (", ".join(" ".join(part for part in pair if part) for pair in side) for side in pairs)
            return tuple(_values(component, before, after))


def _files(old: Iterable[Entry], new: Iterable[Entry]) -> Iterator[Change]:
    before = {entry.path: entry for entry in old}
    after = {entry.path: entry for entry in new}
    for path in sorted({*before, *after}):
        if path not in before:
            yield Change(kind="file-added", subject=path, detail=f"{path} was added")
        elif path not in after:
            yield Change(kind="file-removed", subject=path, detail=f"{path} was removed")
        elif before[path] != after[path]:
            yield _file_change(before[path], after[path])


def _file_change(old: Entry, new: Entry) -> Change:
    path = new.path
    if old.kind is not new.kind:
        return Change(
            kind="file-type-changed", subject=path, detail=f"{path} changed from a {old.kind} to a {new.kind}"
        )
    if new.kind is EntryKind.LINK and old.target != new.target:
        return Change(
            kind="file-target-changed",
            subject=path,
            detail=f"the target of {path} changed from {old.target} to {new.target}",
        )
    if old.sha256 == new.sha256:
        detail = f"{path} is executable now" if new.executable else f"{path} lost its executable bit"
        return Change(kind="file-mode-changed", subject=path, detail=detail)
    return Change(kind="file-changed", subject=path, detail=f"{path} changed")


def _named(what: str, old: Mapping[str, str | None], new: Mapping[str, str | None]) -> Iterator[Change]:
    """Compares variables or environment variables. Only hashes of their values are known."""
    for name in sorted({*old, *new}):
        if name not in old:
            yield Change(kind=f"{what}-added", subject=name, detail=f"{what} {name} was added")
        elif name not in new:
            yield Change(kind=f"{what}-removed", subject=name, detail=f"{what} {name} was removed")
        elif old[name] != new[name]:
            yield Change(kind=f"{what}-changed", subject=name, detail=f"{what} {name} changed")


def _settings(old: Manifest, new: Manifest) -> Iterator[Change]:
    yield from _values("salt", old.salt, new.salt)
    yield from _values("template", old.template, new.template)
    yield from _values("workdir", old.workdir, new.workdir)
    yield from _values("only", ", ".join(sorted(old.only)), ", ".join(sorted(new.only)))
    yield from _values("except", ", ".join(sorted(old.except_)), ", ".join(sorted(new.except_)))
    yield from _values("arguments", " ".join(old.arguments), " ".join(new.arguments))
    yield from _values("digest_exclude", ", ".join(old.left_out), ", ".join(new.left_out))


def _values(what: str, old: str, new: str) -> Iterator[Change]:
    if old != new:
        yield Change(
            kind=f"{what}-changed",
            subject=what,
            detail=f"{what} changed from {old or 'not set'} to {new or 'not set'}",
        )
