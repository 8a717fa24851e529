"""HCL2's functions that ask the disk or the environment; each file that they read is a finding."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.adapters.template.globs import fileset
from ami_bakery.adapters.template.hcl_syntax import parse_template
from ami_bakery.core.expression.evaluate import Scope, Surrounding, evaluate
from ami_bakery.core.expression.text_functions import from_document
from ami_bakery.core.expression.values import Text, Unknown, Value, as_text, is_mapping, is_tainted, taint
from ami_bakery.core.place import Place
from ami_bakery.errors import SourceError, TemplateError
from ami_bakery.ports import FileKind

if TYPE_CHECKING:
    from ami_bakery.adapters.template.definition import Reading
    from ami_bakery.core.expression import syntax


class Surroundings:
    """What `file()` and its like answer. `rendering`: the templates that are being rendered, outermost first."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._rendering: list[str] = []

    def functions(self) -> Mapping[str, Surrounding]:
        return {
            "file": self._file,
            "filebase64": self._filebase64,
            "fileexists": self._fileexists,
            "fileset": self._fileset,
            "templatefile": self._templatefile,
            "abspath": self._abspath,
            "pathexpand": self._pathexpand,
            "yamldecode": self._yamldecode,
        }

    def environment(self, *, record: bool) -> Mapping[str, Surrounding]:
        """`env()`, which only the default of a variable may call. `record`: its answer matters."""

        def env(call: syntax.Call, arguments: Sequence[Value], _scope: Scope) -> Value:
            name = _text(call, arguments, 0)
            if isinstance(name, Unknown):
                return name
            if record:
                self._reading.ledger.environment(name, call.place)
            return Text(self._reading.request.environment.get(name, ""), call.place, tainted=True)

        return {"env": env}

    # --- the functions

    def _file(self, call: syntax.Call, arguments: Sequence[Value], scope: Scope) -> Value:
        found = self._read(call, arguments, scope, from_template=True)
        if isinstance(found, Unknown):
            return found
        try:
            return Text(found[1].decode(), call.place, tainted=True)
        except UnicodeDecodeError:
            return Unknown(why=f"what `{call.written}` reads is not UTF-8")

    def _filebase64(self, call: syntax.Call, arguments: Sequence[Value], scope: Scope) -> Value:
        found = self._read(call, arguments, scope, from_template=False)
        if isinstance(found, Unknown):
            return found
        return Text(base64.b64encode(found[1]).decode(), call.place, tainted=True)

    def _fileexists(self, call: syntax.Call, arguments: Sequence[Value], _scope: Scope) -> Value:
        path = self._path(call, arguments, 0, from_template=True)
        if isinstance(path, Unknown):
            return path
        self._reading.ledger.reference(path, call.place, required=False)
        entry = self._reading.tree.entry(path, follow=True)
        return entry is not None and entry.kind is FileKind.FILE

    def _fileset(self, call: syntax.Call, arguments: Sequence[Value], _scope: Scope) -> Value:
        folder = self._path(call, arguments, 0, from_template=True)
        pattern = _text(call, arguments, 1)
        if isinstance(folder, Unknown):
            return folder
        if isinstance(pattern, Unknown):
            self._reading.ledger.not_known(call.place, call.written, pattern)
            return pattern
        return tuple(Text(name, call.place) for name in fileset(self._reading.tree, folder, pattern))

    def _templatefile(self, call: syntax.Call, arguments: Sequence[Value], scope: Scope) -> Value:
        found = self._read(call, arguments, scope, from_template=True)
        if isinstance(found, Unknown):
            return found
        path, content = found
        if path in self._rendering:
            why = f"the template includes itself: {' -> '.join([*self._rendering, path])}"
            self._reading.ledger.unresolved(call.place, call.written, why)
            return Unknown(why=why)
        given = arguments[1] if len(arguments) > 1 else {}
        try:
            template = parse_template(content.decode(), Place(file=path, line=1))
        except UnicodeDecodeError:
            return Unknown(why=f"what `{call.written}` reads is not UTF-8")
        names = given if is_mapping(given) else {}
        self._rendering.append(path)
        try:
            inner = Scope(names=names, surroundings=scope.surroundings, optional=scope.optional)
            return taint(evaluate(template, inner), call.place)
        finally:
            self._rendering.pop()

    def _abspath(self, call: syntax.Call, arguments: Sequence[Value], _scope: Scope) -> Value:
        path = _text(call, arguments, 0)
        if isinstance(path, Unknown):
            return path
        found = self._reading.locations.absolute(path)
        return taint(found, call.place) if is_tainted(path) else found

    def _pathexpand(self, call: syntax.Call, arguments: Sequence[Value], _scope: Scope) -> Value:
        path = _text(call, arguments, 0)
        if isinstance(path, Unknown):
            return path
        found = self._reading.expand_home(path) or Unknown(why="the home folder is not known")
        return taint(found, call.place) if is_tainted(path) else found

    def _yamldecode(self, call: syntax.Call, arguments: Sequence[Value], _scope: Scope) -> Value:
        from ami_bakery.adapters.template.yaml_syntax import yaml_value

        text = _text(call, arguments, 0)
        if isinstance(text, Unknown):
            return text
        found = from_document(yaml_value(text))
        return taint(found, call.place) if is_tainted(text) else found

    # --- where and what

    def _path(
        self, call: syntax.Call, arguments: Sequence[Value], number: int, *, from_template: bool
    ) -> str | Unknown:
        """The path that an argument names; one that cannot be worked out is a finding, for a file is read by it."""
        path = _text(call, arguments, number)
        if isinstance(path, str):
            expanded = self._reading.expand_home(path)
            locations = self._reading.locations
            resolve = locations.from_template if from_template else locations.from_workdir
            path = resolve(expanded) if expanded else Unknown(why="the home folder is not known")
        if isinstance(path, Unknown):
            self._reading.ledger.not_known(call.place, call.written, path)
        return path

    def _read(
        self, call: syntax.Call, arguments: Sequence[Value], scope: Scope, *, from_template: bool
    ) -> tuple[str, bytes] | Unknown:
        path = self._path(call, arguments, 0, from_template=from_template)
        if isinstance(path, Unknown):
            return path
        self._reading.ledger.reference(path, call.place, required=not scope.optional)
        entry = self._reading.tree.entry(path, follow=True)
        if entry is None:
            return Unknown(why=f"the file that `{call.written}` reads is not there")
        if entry.kind is not FileKind.FILE:
            return Unknown(why=f"what `{call.written}` reads is not a file: it is a {entry.kind}")
        try:
            return path, self._reading.content(path)
        except SourceError as error:
            marks = (call.place.mark(str(error)),)
            raise TemplateError(f"reading {call.place}", str(error), error.todo, marks=marks) from error


def _text(call: syntax.Call, arguments: Sequence[Value], number: int) -> str | Unknown:
    if number >= len(arguments):
        return Unknown(why=f"`{call.name}()` is called with too few arguments")
    return as_text(arguments[number])
