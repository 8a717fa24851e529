"""Converts a parsed document to a `Config`. Reports all problems at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ami_bakery.core.channel.names import ChannelSettings
from ami_bakery.core.config.channel_keys import parse_channels
from ami_bakery.core.config.constraints import disagreements
from ami_bakery.core.config.keys import AMI_ID, IMAGE_NAME, KEYS, TAGS_AT_MOST, too_many_tags
from ami_bakery.core.config.model import BaseImage, Config, ImageConfig, KeyPath
from ami_bakery.core.config.value_parsers import InvalidValue, type_name
from ami_bakery.core.text.suggestions import nearest, nearest_always
from ami_bakery.values import Frozen

VERSION = 1


class Document(Frozen):
    """A parsed file. `lines` has the line, counted from 1, of every key and array element."""

    file: str
    data: Mapping[str, Any]
    lines: Mapping[KeyPath, int]

    def line(self, path: KeyPath) -> int:
        """The line of a key; of an implicit table, that of its first key; of a missing key, that of its parent."""
        if path not in self.lines:
            inside = [line for key, line in self.lines.items() if key[: len(path)] == path]
            if inside:
                return min(inside)
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class Problem(NamedTuple):
    """One problem in a document."""

    line: int
    key: str
    message: str


_KEY_NAMES = tuple(key.name for key in KEYS)
_MERGED = ("variables", "tags")
"""Fields whose tables in the defaults and in the image are merged by name."""
_RENAMED = {"digest_without": "digest_exclude"}
"""Old names of keys."""
_TOP_LEVEL = ("version", "defaults", "images", "channels")


def parse_config(document: Document, *, root: str) -> tuple[Config, tuple[Problem, ...]]:
    """Returns the `Config`, and all problems sorted by line. If there are problems, the config is incomplete."""
    reader = _Reader(document)
    images, channels = reader.read(), reader.channels()
    config = Config(root=root, file=document.file, images=images, channels=channels)
    return config, tuple(sorted(reader.problems))


class _Reader:
    """Walks a document once and collects problems."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.parents: dict[str, str] = {}
        self.disabled: set[str] = set()
        self.lines_inside = _lines_inside(document)

    def read(self) -> tuple[ImageConfig, ...]:
        data = self.document.data
        for key in data:
            if key not in _TOP_LEVEL:
                if key in _RENAMED:
                    self._problem((key,), f"{key} was renamed: use {_RENAMED[key]}, in [defaults] or an image")
                    continue
                hint = nearest_always(key, (*_KEY_NAMES, *_TOP_LEVEL))
                table = " It belongs in [defaults] or in an image." if nearest(key, _KEY_NAMES) == hint else ""
                self._problem((key,), f"unknown key{hint}{table}")
        if data.get("version") != VERSION or isinstance(data.get("version"), bool):
            missing = f"missing `version = {VERSION}`"
            self._problem(
                ("version",), f"expected {VERSION}, got {data['version']!r}" if "version" in data else missing
            )
        defaults = self._values(("defaults",), data.get("defaults", {}))
        tables = data.get("images", {})
        if not isinstance(tables, dict) or not tables:
            self._problem(("images",), "no images: add a table [images.NAME] with at least a template")
            return ()
        images = tuple(
            image for name, table in tables.items() if (image := self._image(name, table, defaults)) is not None
        )
        self._check_bases(tables)
        self._check_default_keys(images, defaults)
        return images

    def channels(self) -> ChannelSettings:
        try:
            return parse_channels(self.document.data.get("channels", {}))
        except InvalidValue as wrong:
            self._problem(("channels", *wrong.path), wrong.message)
            return ChannelSettings()

    def _image(self, name: str, table: Any, defaults: Mapping[str, Any]) -> ImageConfig | None:
        path = ("images", name)
        if not IMAGE_NAME.fullmatch(name):
            self._problem(path, "an image's name can only contain letters, digits, dots, dashes and underscores")
        elif AMI_ID.fullmatch(name):
            self._problem(path, "an image's name must not look like an AMI id")
        own = self._values(path, table)
        values = {**defaults, **own}
        for field in _MERGED:
            if field in defaults and field in own:
                values[field] = tuple(sorted({**dict(defaults[field]), **dict(own[field])}.items()))
        if len(values.get("tags", ())) > TAGS_AT_MOST:
            self._problem((*path, "tags"), f"{too_many_tags(len(values['tags']))}, including those of [defaults]")
        base = values.get("base")
        if isinstance(base, BaseImage):
            self.parents[name] = base.image
        if not values.get("enabled", True):
            self.disabled.add(name)
        if "template" not in values:
            if isinstance(table, dict) and "template" not in table and not _is_only_dotted(table):
                self._problem(path, "missing template")
            return None
        written = {**_variables(self.document.data.get("defaults")), **_variables(table)}
        structured = frozenset(variable for variable, value in written.items() if not isinstance(value, str))
        image = ImageConfig(name=name, lines=self._lines(path), structured=structured, **values)
        for key, message in disagreements(image, table):
            self._problem((*(path if key[0] in table else ("defaults",)), *key), message)
        return image

    def _values(self, path: KeyPath, table: Any) -> dict[str, Any]:
        """The fields of one table. A value that cannot be parsed is a problem."""
        if not isinstance(table, dict):
            self._problem(path, f"expected a table, got {type_name(table)}")
            return {}
        values = {}
        keys = {key.name: key for key in KEYS}
        for name, value in table.items():
            if name not in keys:
                if name in _RENAMED:
                    self._problem((*path, name), f"{name} was renamed: use {_RENAMED[name]}")
                    continue
                dotted = _dotted_name(f"{path[-1]}.{name}", value) if path[0] == "images" else None
                hint = f'; quote a name with dots: [images."{dotted}"]' if dotted else ""
                self._problem((*path, name), f"unknown key{hint or nearest_always(name, _KEY_NAMES)}")
                continue
            try:
                values[keys[name].field] = keys[name].parse(value)
            except InvalidValue as wrong:
                self._problem((*path, name, *wrong.path), wrong.message)
        return values

    def _lines(self, path: KeyPath) -> dict[KeyPath, int]:
        """The lines of an image's keys; of a key that only the defaults have, its line there."""
        inside = self.lines_inside
        return {(): self.document.line(path), **inside.get(("defaults",), {}), **inside.get(path, {})}

    def _check_default_keys(self, images: Iterable[ImageConfig], defaults: Mapping[str, Any]) -> None:
        """Reports the defaults' KMS keys for a region that no image has.

        The defaults may have keys for more regions than a single image has.
        """
        used = {region for image in images for region in image.regions}
        for region, _ in defaults["kms_keys"].by_region if "kms_keys" in defaults else ():
            if region not in used:
                self._problem(("defaults", "kms_key", region), f"no image has {region} in its regions")

    def _check_bases(self, tables: Mapping[str, Any]) -> None:
        for name, parent in self.parents.items():
            if parent not in tables:
                hints = f"{nearest(parent, tables)}{_invalid_id_hint(parent)}"
                self._problem(
                    ("images", name, "from"), f"{name} -> {parent}: there is no image {parent!r} in this file{hints}"
                )
            elif parent in self.disabled and name not in self.disabled:
                self._problem(
                    ("images", name, "from"),
                    f"{name} -> {parent}: {parent} is disabled. Set enabled = true there, or disable {name}, too",
                )
        for cycle in _cycles(self.parents):
            self._problem(("images", cycle[0], "from"), f"circular `from`: {' -> '.join(cycle)}")

    def _problem(self, path: KeyPath, message: str) -> None:
        self.problems.append(Problem(self.document.line(path), _dotted(path), message))


def _dotted_name(name: str, table: Any) -> str | None:
    """The name of an image with unquoted dots, otherwise None. TOML reads such a name as nested tables."""
    while isinstance(table, dict) and "template" not in table and len(table) == 1:
        ((part, table),) = table.items()
        name = f"{name}.{part}"
    return name if isinstance(table, dict) and "template" in table else None


def _is_only_dotted(table: Mapping[str, Any]) -> bool:
    return bool(table) and all(_dotted_name(name, value) for name, value in table.items())


def _lines_inside(document: Document) -> dict[KeyPath, dict[KeyPath, int]]:
    """Groups the lines of all keys by the path of their table: the defaults or an image."""
    inside: dict[KeyPath, dict[KeyPath, int]] = {}
    for key, line in document.lines.items():
        length = 2 if key[0] == "images" else 1
        inside.setdefault(key[:length], {})[key[length:]] = line
    return inside


def _variables(table: Any) -> Mapping[str, Any]:
    """The values of `vars`, not parsed."""
    variables = table.get("vars", {}) if isinstance(table, dict) else {}
    return variables if isinstance(variables, dict) else {}


def _invalid_id_hint(parent: str) -> str:
    is_like_id = parent.startswith("ami-")
    return "; an AMI id has 8 or 17 hexadecimal digits after `ami-`" if is_like_id else ""


def _cycles(parents: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Returns each cycle once. It starts with its first image in the order of the file, and ends with it again."""
    cycles = []
    seen: set[str] = set()
    for start in parents:
        chain: list[str] = []
        name: str | None = start
        while name is not None and name not in seen and name not in chain:
            chain.append(name)
            name = parents.get(name)
        if name is not None and name in chain:
            cycle = chain[chain.index(name) :]
            cycles.append((*cycle, cycle[0]))
        seen.update(chain)
    return cycles


def _dotted(path: KeyPath) -> str:
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else json.dumps(part, ensure_ascii=False)
            text += f".{shown}" if text else shown
    return text
