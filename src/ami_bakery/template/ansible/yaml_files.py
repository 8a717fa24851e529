"""Opens Ansible's YAML files; reports those that do not parse, and skips encrypted ones."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from ami_bakery.errors import TemplateError
from ami_bakery.template.ansible.search import is_folder
from ami_bakery.template.globs import fileset
from ami_bakery.template.location import SourceLocation
from ami_bakery.template.source_tree import FileKind
from ami_bakery.template.yaml_parser import YamlMap, yaml_documents

if TYPE_CHECKING:
    from ami_bakery.template.definition import Reading

_EXTENSIONS = (".yml", ".yaml", ".json")


def as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def documents_of(reading: Reading, path: str) -> list[Any]:
    try:
        source = reading.parsed(path)
        if source.startswith(b"$ANSIBLE_VAULT"):
            return []  # the file is an input, but its content is secret
        return yaml_documents(source, path)
    except TemplateError as error:
        location = SourceLocation(file=path, line=int(error.doing.rpartition(":")[2] or 1))
        reading.collector.unresolved(location, posixpath.basename(path), f"it does not parse: {error.wrong}")
        return []


def maps_of(reading: Reading, path: str) -> list[YamlMap]:
    found = (item for document in documents_of(reading, path) for item in as_list(document))
    return [item for item in found if isinstance(item, YamlMap)]


def yaml_at(reading: Reading, path: str) -> list[str]:
    """Returns a file, or the YAML files of a folder."""
    entry = reading.tree.entry(path, follow=True)
    if entry is None:
        return []
    if entry.kind is FileKind.FILE:
        return [path]
    return [] if path.startswith(("/", "..")) else yaml_below(reading, path)  # others may be very large


def yaml_below(reading: Reading, folder: str, *, deep: bool = True) -> list[str]:
    if not is_folder(reading, folder):
        return []
    names = fileset(reading.tree, folder, "**/*" if deep else "*")
    paths = [posixpath.normpath(posixpath.join(folder, name)) for name in names]
    return [path for path in paths if path.endswith(_EXTENSIONS) or "." not in path.rsplit("/")[-1]]
