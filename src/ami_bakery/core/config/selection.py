"""Selects images by name, glob or tag. Adds their children or parents."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Sequence

from ami_bakery.core.config.model import BaseImage, Config, ImageConfig
from ami_bakery.core.text.suggestions import nearest
from ami_bakery.errors import UsageError

_SHOWN = 10


def named(config: Config, patterns: Sequence[str]) -> tuple[str, ...]:
    """Returns the enabled images that match these names and globs.

    They are in the order of the file. No patterns: all images. Raises `UsageError` for the name of a disabled image and
    for a pattern without a match.
    """
    names = [image.name for image in config.images if image.enabled]
    if not names:
        raise UsageError(
            f"looking for images in {config.file}", "all images are disabled", "Set `enabled = true` in one of them."
        )
    chosen = set() if patterns else set(names)
    for pattern in patterns:
        refuse_disabled(config, pattern)
        matched = fnmatch.filter(names, pattern)
        if not matched:
            raise UsageError(
                f"looking for image {pattern!r}",
                f"{config.file} has no image of this name{nearest(pattern, names)}",
                f"Its images are {shown_names(names)}.",
            )
        chosen.update(matched)
    return tuple(name for name in names if name in chosen)


def refuse_disabled(config: Config, name: str) -> None:
    """Raises `UsageError` if an image is disabled."""
    for image in config.images:
        if image.name == name and not image.enabled:
            raise UsageError(
                f"looking for image {name!r}",
                f"it is disabled ({config.file}:{image.line('enabled')})",
                "Set `enabled = true` there to enable it.",
            )


def shown_names(names: Sequence[str]) -> str:
    """Formats names for a message; of a long list, only the first ones."""
    rest = len(names) - _SHOWN
    return ", ".join(names) if rest <= 1 else f"{', '.join(names[:_SHOWN])} and {rest} more"


def has_tags(image: ImageConfig, wanted: Sequence[str]) -> bool:
    """Whether an image has all `wanted` tags: `name=value`, or `name` for any value."""
    held = {text for name, value in image.tags for text in (name, f"{name}={value}")}
    return held.issuperset(wanted)


def with_downstream(config: Config, names: Collection[str]) -> tuple[str, ...]:
    """Returns these images and all images that depend on them. They are in the order of the file."""
    chosen = set(names)
    grown = True
    while grown:
        children = {
            image.name for image in config.images if isinstance(image.base, BaseImage) and image.base.image in chosen
        }
        grown = not children <= chosen
        chosen |= children
    return tuple(image.name for image in config.images if image.enabled and image.name in chosen)


def with_parents(config: Config, names: Iterable[str]) -> tuple[str, ...]:
    """Returns these images and their parents, parents first."""
    ordered: dict[str, None] = {}

    def add(name: str) -> None:
        parent = parent_of(config, name)
        if parent is not None:
            add(parent)
        ordered[name] = None

    for name in names:
        add(name)
    return tuple(ordered)


def parent_of(config: Config, name: str) -> str | None:
    """The image of the same file that this one starts from."""
    base = config.image(name).base
    return base.image if isinstance(base, BaseImage) else None
