"""Which images are meant: by name or glob, by their tags, with what is made from them and what they are made from."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Sequence

from ami_bakery.core.config.model import BaseImage, Config, ImageConfig
from ami_bakery.core.text.suggestions import nearest
from ami_bakery.errors import UsageError

_SHOWN = 10


def named(config: Config, patterns: Sequence[str]) -> tuple[str, ...]:
    """The images that these names and globs mean, in the order of the file; all where there are none.

    One that is switched off is left out. Raises `UsageError` where it is named, and for a word that means no image.
    """
    names = [image.name for image in config.images if image.enabled]
    if not names:
        raise UsageError(
            f"looking for images in {config.file}", "all are switched off", "Write `enabled = true` in one."
        )
    chosen = set() if patterns else set(names)
    for pattern in patterns:
        refuse_disabled(config, pattern)
        matched = fnmatch.filter(names, pattern)
        if not matched:
            raise UsageError(
                f"looking for image {pattern!r}",
                f"{config.file} has none of that name{nearest(pattern, names)}",
                f"Its images are {shown_names(names)}.",
            )
        chosen.update(matched)
    return tuple(name for name in names if name in chosen)


def refuse_disabled(config: Config, name: str) -> None:
    for image in config.images:
        if image.name == name and not image.enabled:
            raise UsageError(
                f"looking for image {name!r}",
                f"it is switched off ({config.file}:{image.line('enabled')})",
                "Write `enabled = true` there to switch it on.",
            )


def shown_names(names: Sequence[str]) -> str:
    """A list for a message; of many, the first ones."""
    rest = len(names) - _SHOWN
    return ", ".join(names) if rest <= 1 else f"{', '.join(names[:_SHOWN])} and {rest} more"


def has_tags(image: ImageConfig, wanted: Sequence[str]) -> bool:
    """Whether all of `wanted` hold: `name=value` for a tag, `name` for one of that name, whatever its value."""
    held = {text for name, value in image.tags for text in (name, f"{name}={value}")}
    return held.issuperset(wanted)


def with_downstream(config: Config, names: Collection[str]) -> tuple[str, ...]:
    """These images and all that are made from them, and from those, in the order of the file."""
    chosen = set(names)
    grown = True
    while grown:
        made_from_them = {
            image.name for image in config.images if isinstance(image.base, BaseImage) and image.base.image in chosen
        }
        grown = not made_from_them <= chosen
        chosen |= made_from_them
    return tuple(image.name for image in config.images if image.enabled and image.name in chosen)


def with_parents(config: Config, names: Iterable[str]) -> tuple[str, ...]:
    """These images and what they are made from, parents first."""
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
    """The image of the same file that this one is made from."""
    base = config.image(name).base
    return base.image if isinstance(base, BaseImage) else None
