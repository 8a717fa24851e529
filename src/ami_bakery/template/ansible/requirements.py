"""Reads the requirements file of roles and collections that ansible-galaxy installs."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

from ami_bakery.errors import TemplateError
from ami_bakery.template.ansible.ansible_cfg import note_if_exists
from ami_bakery.template.location import SourceLocation
from ami_bakery.template.yaml_parser import YamlMap, yaml_documents

if TYPE_CHECKING:
    from ami_bakery.template.definition import Reading


def required_names(reading: Reading, path: str, location: SourceLocation, above: tuple[str, ...] = ()) -> set[str]:
    """Returns the names in a requirements file; sources that are local folders are inputs."""
    if reading.tree.entry(path, follow=True) is None or path in above:
        return set()  # a missing galaxy_file is reported as a missing input
    try:
        documents = yaml_documents(reading.parsed(path), path)
    except TemplateError as error:
        reading.collector.unresolved(location, path, f"it does not parse: {error.wrong}")
        return set()
    names: set[str] = set()
    for document in documents:
        parts: list[Any] = [document] if isinstance(document, list) else []
        if isinstance(document, YamlMap):
            parts = [document.get(part) for part in ("roles", "collections")]
        for entries in parts:
            for entry in entries if isinstance(entries, list) else []:
                names |= _entry(reading, path, entry, (*above, path))
    return names


def _entry(reading: Reading, path: str, entry: Any, above: tuple[str, ...]) -> set[str]:
    given = entry if isinstance(entry, YamlMap) else {"name": entry}
    location = SourceLocation(file=path, line=max(getattr(entry, "line", 1), 1))
    source = str(given.get("src") or given.get("source") or given.get("role") or given.get("name") or "")
    included = _here(reading, path, str(given.get("include", "")))
    if included is not None and note_if_exists(reading, included, location):
        return required_names(reading, included, location, above)
    local = _here(reading, path, re.sub(r"\A(?:git\+)?file://", "", source).partition("#")[0])
    is_path = re.match(r"\.|/|(?:git\+)?file://", source) is not None
    if local is not None and (is_path or given.get("type") in ("dir", "file", "subdirs")):
        note_if_exists(reading, local, location)
    name = str(given.get("name") or re.sub(r"(\.git|\.tar\.gz)?\Z", "", source.rsplit("/", 1)[-1]).split(",")[0])
    return {name}


def _here(reading: Reading, file: str, text: str) -> str | None:
    """Resolves a path relative to the requirements file or ansible-galaxy's working directory."""
    if not text or "\n" in text:
        return None
    folders = (posixpath.dirname(file) or ".", reading.paths.workdir)
    paths = [path for folder in folders if isinstance(path := reading.paths.resolve(text, folder), str)]
    here = [path for path in paths if path != "." and reading.tree.entry(path, follow=True) is not None]
    return next(iter(here), None)
