"""From components to the files they read: each known field by its rule, every other by how it looks."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ami_bakery.adapters.template import fields as known
from ami_bakery.adapters.template.component import Component, Field, Kind
from ami_bakery.adapters.template.globs import fileset
from ami_bakery.core.expression.values import CHECKOUT, Text, Unknown, Value, is_mapping, is_sequence
from ami_bakery.ports import FileKind
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.adapters.template.definition import Reading
    from ami_bakery.core.place import Place

_GLOB = re.compile(r"[*?\[]")
_QUOTED_OR_INTO = re.compile(
    r"""\\.|'[^']*'|"(?:\\.|[^"\\])*"|(&?>>?[|&]?\s*)""", re.DOTALL
)  # group 1: >, >>, >|, &>, >&
_WRITTEN = re.compile(r"^\0[^=;&|<>()]*")
_GLOBBED = frozenset({"floppy_files", "cd_files"})


def find_references(reading: Reading, component: Component) -> None:
    """Everything but what Ansible reads on its own."""
    inputs = known.BUILDER_INPUTS if component.kind is Kind.BUILDER else known.INPUTS.get(component.type)
    _outputs(reading, component)
    if component.type == "file" and component.kind is Kind.PROVISIONER and _makes_no_input(reading, component):
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
                _perhaps(reading, name, replace(field, value=value), is_known=known.is_known(component.type))
    if component.type == "shell-local":
        _local_commands(reading, component)
    if component.type == "converge":
        _converge(reading, component)


def _elsewhere(component: Component, name: str) -> bool:
    written = (*known.OUTPUTS.get(component.type, ()), *known.ELSEWHERE_OF.get(component.type, ()))
    return name in known.ELSEWHERE or name in written


def _outputs(reading: Reading, component: Component) -> None:
    if component.kind is not Kind.POST_PROCESSOR:
        return
    for name in known.OUTPUTS.get(component.type, ()):
        for text, place, _ in component.list_texts(name):
            path = reading.locations.from_workdir(text) if isinstance(text, str) and text else None
            if isinstance(path, str):
                reading.ledger.output(path, place)
    default = known.DEFAULT_OUTPUTS.get(component.type)
    if default and "output" not in component.fields:
        path = reading.locations.from_workdir(default)
        if isinstance(path, str):
            reading.ledger.output(path, component.place)


def _makes_no_input(reading: Reading, component: Component) -> bool:
    """A download writes here what it names; a `generated` source is made by the bake itself."""
    if component.value("direction") == "download":
        sources = [text for text, _, _ in component.texts("source") if isinstance(text, str)]
        for text, place, _ in component.texts("destination"):
            # As Packer has it: into a folder where the destination ends with a slash, else to that very path.
            within = [posixpath.basename(source) for source in sources] if str(text).endswith("/") else [""]
            for name in within:
                path = reading.locations.from_workdir(f"{text}{name}") if isinstance(text, str) else None
                if isinstance(path, str):
                    reading.ledger.output(path, place)
        return True
    return component.is_true("generated")


def _credential(reading: Reading, component: Component, name: str) -> None:
    for text, place, _ in component.texts(name):
        expanded = reading.expand_home(text) if isinstance(text, str) and text else None
        path = reading.locations.from_workdir(expanded) if expanded else None
        if isinstance(path, str):
            reading.ledger.credential(path, place)


def local_path(reading: Reading, text: str | Unknown) -> str | Unknown:
    """A path field: relative to the folder that Packer is started in."""
    return text if isinstance(text, Unknown) else reading.locations.from_workdir(text)


def _input(reading: Reading, component: Component, name: str, *, required: bool = True) -> None:
    texts = component.list_texts(name) if name in known.LISTS else component.texts(name)
    for text, place, written in texts:
        if text == "" or (isinstance(text, str) and "://" in text):
            continue
        path = local_path(reading, text)
        if isinstance(path, Unknown):
            if required:
                reading.ledger.not_known(place, written, path)
        elif name in _GLOBBED and _GLOB.search(path):
            for found in fileset(reading.tree, ".", path):
                reading.ledger.reference(found, place, required=required)
        else:
            reading.ledger.reference(path, place, required=required)


# --- fields that we do not know


def _perhaps(reading: Reading, name: str, field: Field, *, is_known: bool) -> None:
    looks = known.LIKE_A_PATH.search(name) is not None
    for text, place in _texts_in(field.value, field.place):
        if isinstance(text, Unknown):
            if not is_known and known.MUST_BE_KNOWN.search(name):
                reading.ledger.not_known(place, text.pattern or field.written, text)
            continue
        if (looks or (not is_known and re.search(r"[/.]", text))) and _is_here(reading, text):
            path = reading.locations.from_workdir(text)
            if isinstance(path, str):
                reading.ledger.reference(path, place, required=False)
    for inner, value in _nested(field.value):
        if inner in known.CREDENTIALS:
            continue
        if inner not in known.ELSEWHERE:
            _perhaps(reading, inner, Field(value=value, place=field.place, written=field.written), is_known=is_known)


def _texts_in(value: Value, place: Place) -> Iterator[tuple[str | Unknown, Place]]:
    for item in value if is_sequence(value) else (value,):
        if isinstance(item, str | Unknown):
            yield item, item.place if isinstance(item, Text) else place


def _nested(value: Value) -> Iterator[tuple[str, Value]]:
    for item in value if is_sequence(value) else (value,):
        if is_mapping(item):
            yield from ((str(name).lower(), child) for name, child in item.items())


def _is_here(reading: Reading, text: str) -> bool:
    """Whether a text is the path of something below the root; an absolute path may be of another machine."""
    inside = text.startswith(CHECKOUT) or not text.startswith(("/", "~"))
    if not inside or not text or len(text) > 1024 or "\n" in text or "://" in text or text in (".", "./", ".."):
        return False
    path = reading.locations.from_workdir(text)
    return isinstance(path, str) and path != "." and reading.tree.entry(path) is not None


def _local_commands(reading: Reading, component: Component) -> None:
    """The words of commands that run here and that are files here."""
    for name in ("command", "inline", "execute_command"):
        same = (component, *component.alternatives(name))
        for text, place, _ in (found for one in same for found in one.texts(name)):
            for word in command_words(text) if isinstance(text, str) else ():
                note_file_if_here(reading, word, place)


def command_words(command: str) -> list[str]:
    """The words that may name a file to be read; where a command's output goes (`> build.log`) is none."""
    marked = _QUOTED_OR_INTO.sub(lambda found: " \0" if found[1] else found[0], command)
    try:
        words = shlex.split(marked, comments=True)
    except ValueError:
        words = marked.split()
    parts = [part for word in words for part in re.split(r"[=;&|<>()]", _WRITTEN.sub("", word))]
    return [part.removeprefix("@") for part in parts if part]


def note_file_if_here(reading: Reading, word: str, place: Place) -> None:
    if not _is_here(reading, word):
        return
    path = reading.locations.from_workdir(word)
    entry = reading.tree.entry(path, follow=True) if isinstance(path, str) else None
    if isinstance(path, str) and entry and entry.kind is FileKind.FILE:
        reading.ledger.reference(path, place, required=False)


def _converge(reading: Reading, component: Component) -> None:
    found = component.fields.get("module_dirs")
    for name, value in _nested(found.value) if found else ():
        if name == "source" and found and isinstance(value, str | Unknown):
            path = local_path(reading, value)
            if isinstance(path, Unknown):
                reading.ledger.not_known(found.place, found.written, path)
            else:
                reading.ledger.reference(path, found.place)
