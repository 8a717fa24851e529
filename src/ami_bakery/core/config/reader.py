"""From a parsed document to a `Config`, by the rules of `config_keys`: every problem at once, each with its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ami_bakery.core.config.constraints import disagreements
from ami_bakery.core.config.keys import AMI_ID, IMAGE_NAME, KEYS, TAGS_AT_MOST, InvalidValue, too_many_tags, type_name
from ami_bakery.core.config.model import BaseImage, Config, ImageConfig, KeyPath
from ami_bakery.core.text.suggestions import nearest, nearest_always
from ami_bakery.values import Frozen

VERSION = 1


class Document(Frozen):
    """A parsed file. `lines` has the line, from 1, of every key and array element that is written."""

    file: str
    data: Mapping[str, Any]
    lines: Mapping[KeyPath, int]

    def line(self, path: KeyPath) -> int:
        """A table that is not written itself takes the line of the first key in it; what is missing, its parent's."""
        if path not in self.lines:
            inside = [line for key, line in self.lines.items() if key[: len(path)] == path]
            if inside:
                return min(inside)
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


class Problem(NamedTuple):
    """Something wrong in a document."""

    line: int
    key: str
    message: str


_KEY_NAMES = tuple(key.name for key in KEYS)
_MERGED = ("variables", "tags")
"""Fields whose table in the defaults and the image's own are merged, name by name."""
_RENAMED = {"digest_without": "digest_exclude"}
_TOP_LEVEL = ("version", "defaults", "images")


def parse_config(document: Document, *, root: str) -> tuple[Config, tuple[Problem, ...]]:
    """A document as a `Config`, and all problems, sorted by line. Where there are any, do not use the config."""
    reader = _Reader(document)
    images = reader.read()
    return Config(root=root, file=document.file, images=images), tuple(sorted(reader.problems))


class _Reader:
    """Walks a document once and gathers problems as it goes."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.parents: dict[str, str] = {}
        self.switched_off: set[str] = set()
        self.lines_inside = _lines_inside(document)

    def read(self) -> tuple[ImageConfig, ...]:
        data = self.document.data
        for key in data:
            if key not in _TOP_LEVEL:
                if key in _RENAMED:
                    self._problem((key,), f"{key} was renamed: use {_RENAMED[key]}, in [defaults] or an image")
                    continue
                hint = nearest_always(key, (*_KEY_NAMES, *_TOP_LEVEL))
                where = " It belongs into [defaults] or an image." if nearest(key, _KEY_NAMES) == hint else ""
                self._problem((key,), f"unknown key{hint}{where}")
        if data.get("version") != VERSION or isinstance(data.get("version"), bool):
            found = f"{VERSION} is wanted, not {data['version']!r}" if "version" in data else "it is missing"
            self._problem(("version",), f"{found}: the file begins with version = {VERSION}")
        defaults = self._values(("defaults",), data.get("defaults", {}))
        tables = data.get("images", {})
        if not isinstance(tables, dict) or not tables:
            self._problem(("images",), "no image: write a table [images.NAME] with at least a template")
            return ()
        images = tuple(
            image for name, table in tables.items() if (image := self._image(name, table, defaults)) is not None
        )
        self._check_bases(tables)
        self._check_default_keys(images, defaults)
        return images

    def _image(self, name: str, table: Any, defaults: Mapping[str, Any]) -> ImageConfig | None:
        path = ("images", name)
        if not IMAGE_NAME.fullmatch(name):
            self._problem(path, "an image's name is made of letters, digits, dots, dashes and underscores")
        elif AMI_ID.fullmatch(name):
            self._problem(path, "an image's name must not look like an AMI id")
        own = self._values(path, table)
        values = {**defaults, **own}
        for field in _MERGED:
            if field in defaults and field in own:
                values[field] = tuple(sorted({**dict(defaults[field]), **dict(own[field])}.items()))
        if len(values.get("tags", ())) > TAGS_AT_MOST:
            self._problem((*path, "tags"), f"with the defaults', {too_many_tags(len(values['tags']))}")
        base = values.get("base")
        if isinstance(base, BaseImage):
            self.parents[name] = base.image
        if not values.get("enabled", True):
            self.switched_off.add(name)
        if "template" not in values:
            if isinstance(table, dict) and "template" not in table and not _is_only_dotted(table):
                self._problem(path, "template is missing")
            return None
        written = {**_variables(self.document.data.get("defaults")), **_variables(table)}
        structured = frozenset(variable for variable, value in written.items() if not isinstance(value, str))
        image = ImageConfig(name=name, lines=self._lines(path), structured=structured, **values)
        for key, message in disagreements(image, table):
            self._problem((*(path if key[0] in table else ("defaults",)), *key), message)
        return image

    def _values(self, path: KeyPath, table: Any) -> dict[str, Any]:
        """The fields of one table that could be read; what could not is a problem."""
        if not isinstance(table, dict):
            self._problem(path, f"a table is wanted, not {type_name(table)}")
            return {}
        values = {}
        keys = {key.name: key for key in KEYS}
        for name, value in table.items():
            if name not in keys:
                dotted = _dotted_name(f"{path[-1]}.{name}", value) if path[0] == "images" else None
                if name in _RENAMED:
                    self._problem((*path, name), f"{name} was renamed: use {_RENAMED[name]}")
                    continue
                hint = f'; a name with dots is written in quotes: [images."{dotted}"]' if dotted else ""
                self._problem((*path, name), f"unknown key{hint or nearest_always(name, _KEY_NAMES)}")
                continue
            try:
                values[keys[name].field] = keys[name].parse(value)
            except InvalidValue as wrong:
                self._problem((*path, name, *wrong.path), wrong.message)
        return values

    def _lines(self, path: KeyPath) -> dict[KeyPath, int]:
        """The lines of an image's keys; a key that only the defaults have takes theirs."""
        inside = self.lines_inside
        return {(): self.document.line(path), **inside.get(("defaults",), {}), **inside.get(path, {})}

    def _check_default_keys(self, images: Iterable[ImageConfig], defaults: Mapping[str, Any]) -> None:
        """The defaults may have keys for more regions than one image has; one of no image at all is misspelt."""
        used = {region for image in images for region in image.regions}
        for region, _ in defaults["kms_keys"].by_region if "kms_keys" in defaults else ():
            if region not in used:
                self._problem(("defaults", "kms_key", region), f"no image has {region} among its regions")

    def _check_bases(self, tables: Mapping[str, Any]) -> None:
        for name, parent in self.parents.items():
            if parent not in tables:
                hints = f"{nearest(parent, tables)}{_no_id(parent)}"
                self._problem(
                    ("images", name, "from"), f"{name} -> {parent}: there is no image {parent!r} in this file{hints}"
                )
            elif parent in self.switched_off and name not in self.switched_off:
                self._problem(
                    ("images", name, "from"),
                    f"{name} -> {parent}, which is switched off: write enabled = true there, or false here, too",
                )
        for cycle in _cycles(self.parents):
            self._problem(
                ("images", cycle[0], "from"), f"images are made from each other in a circle: {' -> '.join(cycle)}"
            )

    def _problem(self, path: KeyPath, message: str) -> None:
        self.problems.append(Problem(self.document.line(path), _dotted(path), message))


def _dotted_name(name: str, table: Any) -> str | None:
    """The name of an image that was written without quotes, so that its dots make tables in tables of it."""
    while isinstance(table, dict) and "template" not in table and len(table) == 1:
        ((part, table),) = table.items()
        name = f"{name}.{part}"
    return name if isinstance(table, dict) and "template" in table else None


def _is_only_dotted(table: Mapping[str, Any]) -> bool:
    return bool(table) and all(_dotted_name(name, value) for name, value in table.items())


def _lines_inside(document: Document) -> dict[KeyPath, dict[KeyPath, int]]:
    """The lines of the defaults' keys and of each image's, by the path of their table, sorted out in one go."""
    inside: dict[KeyPath, dict[KeyPath, int]] = {}
    for key, line in document.lines.items():
        length = 2 if key[0] == "images" else 1
        inside.setdefault(key[:length], {})[key[length:]] = line
    return inside


def _variables(table: Any) -> Mapping[str, Any]:
    """What stands in `vars`, as it was written."""
    variables = table.get("vars", {}) if isinstance(table, dict) else {}
    return variables if isinstance(variables, dict) else {}


def _no_id(parent: str) -> str:
    looks = parent.startswith("ami-")
    return ", and it is no AMI's id, which has 8 or 17 hexadecimal digits behind `ami-`" if looks else ""


def _cycles(parents: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Each circle once, from its first member in the order of the file, with that member again at the end."""
    cycles = []
    seen: set[str] = set()
    for start in parents:
        chain: list[str] = []
        name: str | None = start
        while name is not None and name not in seen and name not in chain:
            chain.append(name)
            name = parents.get(name)
        if name is not None and name in chain:
            circle = chain[chain.index(name) :]
            cycles.append((*circle, circle[0]))
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
