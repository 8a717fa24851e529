"""Reads inventories: their variables, and the group_vars and host_vars next to them."""

from __future__ import annotations

import posixpath
import re
import shlex
import tomllib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ami_bakery.errors import TemplateError, TooLargeError
from ami_bakery.template.ansible.ansible_cfg import note_if_exists
from ami_bakery.template.ansible.yaml_files import documents_of
from ami_bakery.template.location import SourceLocation
from ami_bakery.template.source_tree import FileKind
from ami_bakery.template.yaml_parser import YamlMap, yaml_documents

if TYPE_CHECKING:
    from ami_bakery.template.ansible.named_files import Files

_YAML = (".yml", ".yaml", ".json")
_IGNORED = re.compile(r"(?:^\..*|.*(?:~|\.(?:orig|cfg|retry|pyc|pyo|swp|bak|rpm|md|txt|rst)))\Z")
"""Names that Ansible skips in an inventory folder."""
_PAIR = re.compile(r"(\w+)\s*=\s*(.*)\Z", re.DOTALL)


def read_inventory(files: Files, path: str, location: SourceLocation) -> None:
    """Reads an inventory. `path`: a file or folder that is already recorded as an input."""
    entry = files.reading.tree.entry(path, follow=True)
    is_folder = entry is not None and entry.kind is FileKind.FOLDER
    folder = path if is_folder else posixpath.dirname(path) or "."
    read_adjacent_variables(files, folder, location)
    if is_folder and path.startswith(("/", "..")):
        return  # a folder outside the repository may be very large
    for file in _files(files, path) if is_folder else [path]:
        _file(files, file)


def read_adjacent_variables(files: Files, folder: str, location: SourceLocation) -> None:
    for name in ("group_vars", "host_vars"):
        path = posixpath.normpath(posixpath.join(folder, name))
        if note_if_exists(files.reading, path, location):
            files.variables_folder(path)


def _files(files: Files, folder: str, depth: int = 0) -> Iterator[str]:
    for child in files.reading.tree.children(folder):
        path = posixpath.normpath(child.path)
        name = posixpath.basename(path)
        entry = files.reading.tree.entry(path, follow=True)
        if entry is None or _IGNORED.fullmatch(name) or name in ("group_vars", "host_vars", "vars_plugins"):
            continue
        if entry.kind is FileKind.FOLDER and depth < 8:
            yield from _files(files, path, depth + 1)
        elif entry.kind is FileKind.FILE:
            yield path


def _file(files: Files, path: str) -> None:
    entry = files.reading.tree.entry(path, follow=True)
    if entry is None or entry.kind is not FileKind.FILE:
        return
    if files.reading.is_foreign(path):
        return
    try:
        source = files.reading.parsed(path)
    except TooLargeError as error:
        files.reading.collector.unresolved(SourceLocation(file=path, line=1), posixpath.basename(path), error.wrong)
        return
    if source.startswith(b"$ANSIBLE_VAULT") or b"\0" in source:
        return
    if source.startswith(b"#!"):
        files.run.script(path, "", (), None, folder=files.reading.paths.workdir)  # read, not run
    elif path.endswith(".toml"):
        _toml(files, path, source)
    elif _is_yaml(path, source):
        _yaml(files, path)
    else:
        _ini(files, source.decode("utf-8", "replace"))


def _toml(files: Files, path: str, source: bytes) -> None:
    try:
        _groups(files, tomllib.loads(source.decode("utf-8")))
    except ValueError as error:
        wrong = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        location = SourceLocation(file=path, line=1)
        files.reading.collector.unresolved(location, posixpath.basename(path), f"it does not parse: {wrong}")


def _is_yaml(path: str, source: bytes) -> bool:
    """Whether Ansible's YAML plugin reads the file. It accepts names without extension, and precedes the INI plugin."""
    if path.endswith(_YAML):
        return True
    if posixpath.splitext(path)[1]:
        return False
    try:
        documents = yaml_documents(source, path)
    except TemplateError:
        return False
    return any(isinstance(document, YamlMap) for document in documents)


def _yaml(files: Files, path: str) -> None:
    """Reads hosts and groups, or an inventory plugin's configuration. That configuration may name files."""
    for document in documents_of(files.reading, path):
        if isinstance(document, YamlMap) and "plugin" in document:
            files.note_existing_texts(document, path)
        else:
            _groups(files, document)


def _groups(files: Files, node: Any, depth: int = 0) -> None:
    if not isinstance(node, dict) or depth > 32:
        return
    for name, child in node.items():
        if name == "hosts" and isinstance(child, dict):
            for variables in child.values():
                files.variables.add(variables)
        elif name == "vars":
            files.variables.add(child)
        else:
            _groups(files, child, depth + 1)


def _ini(files: Files, source: str) -> None:
    section = ""
    for line in source.splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        elif section.endswith(":vars]"):
            pair = _PAIR.match(line)
            files.variables.add({pair[1]: pair[2].strip().strip("'\"")} if pair else None)
        elif line and not line.startswith(("#", ";")):
            files.variables.add(dict(_pairs(line)))


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        words = line.split()
    for word in words[1:]:
        name, sign, value = word.partition("=")
        if sign:
            yield name, value
