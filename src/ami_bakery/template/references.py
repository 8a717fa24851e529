"""Finds the files that components read: known fields by rule, others by name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ami_bakery.template import component_fields as known
from ami_bakery.template.component import Component, ComponentKind, Field
from ami_bakery.template.expression.known_values import (
    CHECKOUT,
    Text,
    Unknown,
    Value,
    is_mapping,
    is_sequence,
    is_tainted,
)
from ami_bakery.template.globs import fileset
from ami_bakery.template.packer_outputs import find_packer_outputs, is_download
from ami_bakery.template.source_tree import FileKind
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.template.definition import Reading
    from ami_bakery.template.location import SourceLocation

_GLOB = re.compile(r"[*?\[]")
_QUOTED_OR_REDIRECTION = re.compile(
    r"""\\.|'[^']*'|"(?:\\.|[^"\\])*"|(&?>>?[|&]?\s*)""", re.DOTALL
)  # group 1: >, >>, >|, &>, >&
_TARGET = re.compile(r"^\0[^=;&|<>()]*")
_GLOB_FIELDS = frozenset({"floppy_files", "cd_files"})


_COMMAND_FIELDS = frozenset(
    {
        *("inline", "command", "script", "scripts", "execute_command", "pre_mount_commands", "post_mount_commands"),
        *("program", "extra_arguments"),
    }
)


def runs_here(component: Component) -> bool:
    """Whether a component runs commands on this machine; for unknown types, whether it may."""
    if component.type in ("shell-local", "inspec") or component.type.startswith(("amazon-chroot", "external")):
        return not _COMMAND_FIELDS.isdisjoint(component.fields) or component.type == "inspec"
    unknown = component.kind is not ComponentKind.BUILDER and not known.is_known(component.type)
    return unknown and any(known.COMMANDS.search(name) for name in component.fields)


def find_references(reading: Reading, component: Component) -> None:
    """Finds the files that a component reads. It omits those that Ansible finds itself."""
    inputs = known.BUILDER_INPUTS if component.kind is ComponentKind.BUILDER else known.INPUTS.get(component.type)
    find_packer_outputs(reading, component)
    is_file = component.type == "file" and component.kind is ComponentKind.PROVISIONER
    if is_file and (is_download(component) or component.is_true("generated")):
        return
    for name, field in component.fields.items():
        if name in known.CREDENTIALS:
            _credential(reading, component, name)
        elif inputs is not None and name in inputs:
            _input(reading, component, name)
            for other in component.alternatives(name):
                _input(reading, other, name, required=False)
        elif not _elsewhere(component, name):
            for value in (field.value, *field.alternatives):
                _unknown_field(reading, name, replace(field, value=value), is_known=known.is_known(component.type))
    if runs_here(component):
        from ami_bakery.template.shell.local_components import find_local_commands

        find_local_commands(reading, component)
    if component.type == "converge":
        _converge(reading, component)


def _elsewhere(component: Component, name: str) -> bool:
    written = (*known.OUTPUTS.get(component.type, ()), *known.ELSEWHERE_OF.get(component.type, ()))
    return name in known.ELSEWHERE or name in written


def _credential(reading: Reading, component: Component, name: str) -> None:
    for text, location, _ in component.texts(name):
        expanded = reading.expand_home(text) if isinstance(text, str) and text else None
        path = reading.paths.from_workdir(expanded) if expanded else None
        if isinstance(path, str):
            reading.collector.credential(path, location)


def if_tainted(value: Value, written: str) -> str:
    """Returns the expression if messages must hide the value. Otherwise, returns an empty string."""
    return written if is_tainted(value) else ""


def local_path(reading: Reading, text: str | Unknown) -> str | Unknown:
    """Resolves a path field, relative to the folder that Packer runs in."""
    return text if isinstance(text, Unknown) else reading.paths.from_workdir(text)


def _input(reading: Reading, component: Component, name: str, *, required: bool = True) -> None:
    texts = component.list_texts(name) if name in known.LISTS else component.texts(name)
    for text, location, written in texts:
        if text == "" or _is_url(component, name, text):
            continue
        path = local_path(reading, text)
        if isinstance(path, Unknown):
            if required:
                reading.collector.not_known(location, written, path)
        elif name in _GLOB_FIELDS and _GLOB.search(path):
            for found in fileset(reading.tree, ".", path):
                reading.collector.reference(found, location, required=required)
        else:
            reading.collector.reference(path, location, required=required, written=if_tainted(text, written))


def _is_url(component: Component, name: str, text: str | Unknown) -> bool:
    may_be = name in known.MAY_BE_URLS.get(component.type, ())
    return may_be and isinstance(text, str) and re.match(r"[a-z][a-z0-9+.-]*://|git@", text) is not None


# --- unknown fields


def _unknown_field(reading: Reading, name: str, field: Field, *, is_known: bool) -> None:
    looks_like_path = known.LIKE_A_PATH.search(name) is not None
    for text, location in _texts_in(field.value, field.location):
        if isinstance(text, Unknown):
            if not is_known and known.MUST_BE_KNOWN.search(name):
                reading.collector.not_known(location, text.pattern or field.written, text)
            continue
        if (looks_like_path or (not is_known and re.search(r"[/.]", text))) and _is_here(reading, text):
            path = reading.paths.from_workdir(text)
            if isinstance(path, str):
                reading.collector.reference(path, location, required=False, guessed=True)
    for inner, value in _nested(field.value):
        if inner in known.CREDENTIALS:
            continue
        if inner not in known.ELSEWHERE:
            _unknown_field(
                reading, inner, Field(value=value, location=field.location, written=field.written), is_known=is_known
            )


def _texts_in(value: Value, location: SourceLocation) -> Iterator[tuple[str | Unknown, SourceLocation]]:
    for item in value if is_sequence(value) else (value,):
        if isinstance(item, str | Unknown):
            yield item, item.location if isinstance(item, Text) else location


def _nested(value: Value) -> Iterator[tuple[str, Value]]:
    for item in value if is_sequence(value) else (value,):
        if is_mapping(item):
            yield from ((str(name).lower(), child) for name, child in item.items())


def _is_here(reading: Reading, text: str) -> bool:
    """Whether a string is an existing path below the root; an absolute path may be on another machine."""
    inside = text.startswith(CHECKOUT) or not text.startswith(("/", "~"))
    if not inside or not text or len(text) > 1024 or "\n" in text or text in (".", "./", ".."):
        return False
    path = reading.paths.from_workdir(text)
    return isinstance(path, str) and path != "." and reading.tree.entry(path) is not None


def command_words(command: str) -> list[str]:
    """Returns the words that may name an input; a redirection target (`> build.log`) is not one."""
    marked = _QUOTED_OR_REDIRECTION.sub(lambda found: " \0" if found[1] else found[0], command)
    try:
        words = shlex.split(marked, comments=True)
    except ValueError:
        words = marked.split()
    parts = [part for word in words for part in re.split(r"[=;&|<>()]", _TARGET.sub("", word))]
    return [part.removeprefix("@") for part in parts if part]


def note_file_if_here(reading: Reading, word: str, location: SourceLocation) -> None:
    if not _is_here(reading, word):
        return
    path = reading.paths.from_workdir(word)
    entry = reading.tree.entry(path, follow=True) if isinstance(path, str) else None
    if isinstance(path, str) and entry and entry.kind is FileKind.FILE:
        reading.collector.reference(path, location, required=False, guessed=True)


def _converge(reading: Reading, component: Component) -> None:
    found = component.fields.get("module_dirs")
    for name, value in _nested(found.value) if found else ():
        if name == "source" and found and isinstance(value, str | Unknown):
            path = local_path(reading, value)
            if isinstance(path, Unknown):
                reading.collector.not_known(found.location, found.written, path)
            else:
                reading.collector.reference(path, found.location, written=if_tainted(value, found.written))
