"""Chooses unique names for images, from the template's file or folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ami_bakery.core.config.keys import AMI_ID, IMAGE_NAME

_GENERIC = frozenset(
    {
        *("ami", "amis", "amazon", "amazon-ebs", "aws", "builder", "builders", "build", "config", "default"),
        *("hcl", "image", "images", "index", "infra", "json", "main", "packer", "pkr", "root", "source"),
        *("sources", "src", "template", "templates"),
    }
)
"""Names that say nothing about an image: the folder above is a better name."""
_ARCHITECTURES = frozenset(("aarch64", "amd64", "arm", "arm64", "x64", "x86", "x86_64"))
_FALLBACK = "image"


def image_names(sources: Sequence[tuple[str, str]], root: str) -> tuple[str, ...]:
    """Returns a name for each image, in order.

    sources  (path of the template, relative to the root; what distinguishes images of one template, else empty)
    root     the name of the root folder, for templates in it
    """
    parts = [_parts(path, label, root) for path, label in sources]
    parts = _with_generic_folders(_without_repeated_stems(parts, sources), sources, root)
    depths = [1] * len(parts)
    for _ in range(max(map(len, parts), default=0)):
        groups: dict[str, set[tuple[str, ...]]] = {}
        names = [_joined(part, depth) for part, depth in zip(parts, depths, strict=True)]
        for name, part in zip(names, parts, strict=True):
            groups.setdefault(name.lower(), set()).add(tuple(map(str.lower, part)))
        # More folders in the name do not help if all folders are the same.
        longer = [depth + (len(groups[name.lower()]) > 1) for name, depth in zip(names, depths, strict=True)]
        if longer == depths:
            break
        depths = longer
    return _numbered([_joined(part, depth) for part, depth in zip(parts, depths, strict=True)])


def _parts(path: str, label: str, root: str) -> tuple[str, ...]:
    """Returns candidates for parts of the name, the most specific first."""
    folders = [folder for folder in path.split("/") if folder not in (".", "")]
    stem = re.sub(r"(\.pkr)?\.(hcl|json)$", "", folders.pop()) if folders else ""
    outward = [_allowed(each) for each in (stem, *reversed(folders), root)]
    speaking = [each for each in outward if each and each.lower() not in _GENERIC]
    own = _allowed(label)
    if own.lower() in _ARCHITECTURES:
        speaking = [f"{name}-{own}" for name in speaking[:1]] + speaking[1:]
    elif own and own.lower() not in _GENERIC:
        speaking.insert(0, own)
    return tuple(dict.fromkeys(speaking)) or (next(filter(None, outward), _FALLBACK),)


def _without_repeated_stems(
    parts: Sequence[tuple[str, ...]], sources: Sequence[tuple[str, str]]
) -> list[tuple[str, ...]]:
    """Removes a repeated file name if the folder's own name is unique."""
    stems = Counter(part[0].lower() for part in parts)
    above = [path.split("/")[-2] if "/" in path and not label else "" for path, label in sources]
    folders = Counter(folder.lower() for folder in above)
    kept = {
        part[0].lower()
        for part, folder in zip(parts, above, strict=True)
        if len(part) < 2 or part[1] != folder or folders[folder.lower()] > 1 or folder.lower() in stems
    }
    return [part[1:] if stems[part[0].lower()] > 1 and part[0].lower() not in kept else part for part in parts]


def _with_generic_folders(
    parts: Sequence[tuple[str, ...]], sources: Sequence[tuple[str, str]], root: str
) -> list[tuple[str, ...]]:
    """Uses all folders if the specific ones do not make names unique."""
    counts = Counter(tuple(map(str.lower, part)) for part in parts)
    result = []
    for part, (path, _) in zip(parts, sources, strict=True):
        outward = [_allowed(folder) for folder in (*reversed(path.split("/")[:-1]), root)]
        is_unique = counts[tuple(map(str.lower, part))] == 1
        result.append(part if is_unique else tuple(dict.fromkeys((part[0], *filter(None, outward)))))
    return result


def _joined(parts: tuple[str, ...], depth: int) -> str:
    name = "-".join(reversed(parts[:depth]))[:100].rstrip("-._")
    return name if IMAGE_NAME.fullmatch(name) and not AMI_ID.fullmatch(name) else f"{_FALLBACK}-{name}"[:100]


def _allowed(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:60].rstrip("-._")


def _numbered(names: Sequence[str]) -> tuple[str, ...]:
    """Adds a number to repeated names, even if only their case differs."""
    used: set[str] = set()
    result = []
    for name in names:
        number, candidate = 1, name
        while candidate.lower() in used:
            number += 1
            candidate = f"{name}-{number}"
        used.add(candidate.lower())
        result.append(candidate)
    return tuple(result)
