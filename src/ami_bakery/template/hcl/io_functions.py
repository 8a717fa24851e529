"""HCL2 functions that read files or the environment; each file becomes a reference."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.errors import SourceError, TemplateError
from ami_bakery.template.env_inputs import why_not_used
from ami_bakery.template.expression import cty
from ami_bakery.template.expression.convert import convert
from ami_bakery.template.expression.cty import Cty, EvaluationError
from ami_bakery.template.expression.cty_types import BOOL, STRING, UNKNOWN
from ami_bakery.template.expression.evaluate import IoFunction, Scope, evaluate_node
from ami_bakery.template.expression.known_values import Unknown
from ami_bakery.template.expression.public_values import to_value
from ami_bakery.template.globs import fileset
from ami_bakery.template.hcl.hcl_parser import parse_template
from ami_bakery.template.location import SourceLocation
from ami_bakery.template.source_tree import FileKind

if TYPE_CHECKING:
    from ami_bakery.template.definition import Reading
    from ami_bakery.template.expression import syntax

_Path = Callable[[str], str | Unknown]


class IoFunctions:
    """Evaluates `file()` and similar functions."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._rendering: list[str] = []  # nested `templatefile()` calls, outermost first

    def functions(self) -> Mapping[str, IoFunction]:
        return {
            "file": self._file,
            "filebase64": self._filebase64,
            "fileexists": self._fileexists,
            "fileset": self._fileset,
            "templatefile": self._templatefile,
            "abspath": self._abspath,
            "pathexpand": self._pathexpand,
        }

    def environment(self, *, record: bool) -> Mapping[str, IoFunction]:
        """`env()`, for the default of a variable only. `record`: whether the default is used."""

        def env(call: syntax.FunctionCall, arguments: Sequence[Cty], _scope: Scope) -> Cty:
            name = _text(call, arguments, 0, 1)
            if not isinstance(name.raw, str):
                return cty.unknown(cty.why_of(name), STRING, tainted=True)
            if record:
                self._reading.collector.environment(name.raw, call.location)
            text = self._reading.request.environment.get(name.raw, "")
            if text and (why := why_not_used(name.raw)) is not None:
                self._reading.collector.secret(text)
                return cty.unknown(why, STRING, tainted=True)
            return self._withheld(cty.text(text, call.location, tainted=True))

        return {"env": env}

    # --- the functions

    def _file(self, call: syntax.FunctionCall, arguments: Sequence[Cty], scope: Scope) -> Cty:
        found = self._read(call, _text(call, arguments, 0, 1), scope, self._reading.paths.from_template)
        return found if isinstance(found, Cty) else self._withheld(_decoded(call, found[1]))

    def _filebase64(self, call: syntax.FunctionCall, arguments: Sequence[Cty], scope: Scope) -> Cty:
        found = self._read(call, _text(call, arguments, 0, 1), scope, self._reading.paths.from_workdir)
        if isinstance(found, Cty):
            return found
        return self._withheld(cty.text(base64.b64encode(found[1]).decode(), call.location, tainted=True))

    def _fileexists(self, call: syntax.FunctionCall, arguments: Sequence[Cty], _scope: Scope) -> Cty:
        given = _text(call, arguments, 0, 1)
        path = self._path(call, given, self._reading.paths.from_template)
        if isinstance(path, Cty):
            return path.copy_with(kind=BOOL)
        self._reading.collector.reference(path, call.location, required=False, written=_if_tainted(call, given))
        entry = self._reading.tree.entry(path, follow=True)
        if entry is not None and entry.kind is not FileKind.FILE:
            raise EvaluationError("`fileexists()` is called with the path of a folder or a special file")
        return Cty(BOOL, entry is not None).taint_by(given)

    def _fileset(self, call: syntax.FunctionCall, arguments: Sequence[Cty], _scope: Scope) -> Cty:
        given, pattern = _text(call, arguments, 0, 2), _text(call, arguments, 1, 2)
        folder = self._path(call, given, self._reading.paths.from_template)
        if isinstance(folder, Cty):
            return folder.copy_with(kind=UNKNOWN)
        if not isinstance(pattern.raw, str):
            self._reading.collector.not_known(call.location, call.written, Unknown(why=cty.why_of(pattern)))
            return cty.unknown(cty.why_of(pattern), tainted=pattern.tainted)
        names = fileset(self._reading.tree, folder, pattern.raw)
        return cty.set_value([cty.text(name, call.location) for name in names], STRING).taint_by(given, pattern)

    def _templatefile(self, call: syntax.FunctionCall, arguments: Sequence[Cty], scope: Scope) -> Cty:
        found = self._read(call, _text(call, arguments, 0, 2), scope, self._reading.paths.from_template)
        if isinstance(found, Cty):
            return found.copy_with(kind=UNKNOWN)
        path, content = found
        if path in self._rendering:
            why = f"the template includes itself: {' -> '.join([*self._rendering, path])}"
            self._reading.collector.unresolved(call.location, call.written, why)
            return cty.unknown("the template includes itself")
        names, any_name = _names(arguments[1])
        source = _decoded(call, content)
        if not isinstance(source.raw, str):
            return source
        template = parse_template(content.decode(), SourceLocation(file=path, line=1))
        self._rendering.append(path)
        try:
            inner = Scope(names=names, io_functions=scope.io_functions, optional=scope.optional, any_name=any_name)
            return self._withheld(cty.hidden(evaluate_node(template, inner)))
        finally:
            self._rendering.pop()

    def _abspath(self, call: syntax.FunctionCall, arguments: Sequence[Cty], _scope: Scope) -> Cty:
        path = _text(call, arguments, 0, 1)
        if not isinstance(path.raw, str):
            return path
        return cty.text(self._reading.paths.absolute(path.raw), path.location, tainted=path.tainted)

    def _pathexpand(self, call: syntax.FunctionCall, arguments: Sequence[Cty], _scope: Scope) -> Cty:
        path = _text(call, arguments, 0, 1)
        if not isinstance(path.raw, str):
            return path
        found = self._reading.expand_home(path.raw)
        if found is None:
            return cty.unknown("the home directory is unknown", STRING, tainted=path.tainted)
        return cty.text(found, path.location, tainted=path.tainted)

    def _withheld(self, value: Cty) -> Cty:
        """Hides the value in Packer's output, even if it is unused here."""
        self._reading.collector.withhold(to_value(value, self._reading.given_location()))
        return value

    # --- reading files

    def _path(self, call: syntax.FunctionCall, path: Cty, resolve: _Path) -> str | Cty:
        """Resolves a path argument; an unknown path is a finding, because a file is read."""
        found: str | Unknown
        if isinstance(path.raw, str):
            expanded = self._reading.expand_home(path.raw)
            found = resolve(expanded) if expanded else Unknown(why="the home directory is unknown")
        else:
            found = Unknown(why=cty.why_of(path))
        if isinstance(found, str):
            return found
        self._reading.collector.not_known(call.location, call.written, found)
        return cty.unknown(found.why, STRING, tainted=True)

    def _read(self, call: syntax.FunctionCall, given: Cty, scope: Scope, resolve: _Path) -> tuple[str, bytes] | Cty:
        path = self._path(call, given, resolve)
        if isinstance(path, Cty):
            return path
        written = _if_tainted(call, given)
        self._reading.collector.reference(path, call.location, required=not scope.optional, written=written)
        entry = self._reading.tree.entry(path, follow=True)
        if entry is None:
            if scope.optional:
                raise EvaluationError(f"the file that `{call.written}` reads does not exist")
            # A file may be created before Packer runs; else Packer fails.
            return cty.unknown(f"the file that `{call.written}` reads does not exist", STRING, tainted=True)
        if entry.kind is not FileKind.FILE:
            why = f"`{call.written}` reads a {entry.kind}, not a file"
            return cty.unknown(why, STRING, tainted=True)
        try:
            content = self._reading.content(path)
            if not self._reading.is_foreign(path):
                return path, content
            self._withheld(_decoded(call, content))
            why = f"`{call.written}` reads a file outside the repository, and planning does not use its content"
            return cty.unknown(why, STRING, tainted=True)
        except SourceError as error:
            wrong = f"reading `{written}`: {error.wrong}" if written else str(error)
            marks = (call.location.mark(wrong),)
            raise TemplateError(f"reading {call.location}", wrong, error.todo, marks=marks) from None


def _if_tainted(call: syntax.FunctionCall, path: Cty) -> str:
    """Returns the call as written if messages must hide the path. Otherwise, returns an empty string."""
    return call.written if path.is_dirty else ""


def _decoded(call: syntax.FunctionCall, content: bytes) -> Cty:
    try:
        return cty.text(content.decode(), call.location, tainted=True)
    except UnicodeDecodeError:
        return cty.unknown(f"the file that `{call.written}` reads is not UTF-8", STRING, tainted=True)


def _names(given: Cty) -> tuple[Mapping[str, Cty], Cty | None]:
    """Returns a template's variables. If they are not all known, it also returns the value for any other name."""
    if given.is_null or not (given.type.is_mapping or given.type.kind in ("unknown", "dynamic")):
        raise EvaluationError("the variables of `templatefile()` are not a map")
    if given.is_known:
        return dict(given.raw), None
    return {}, cty.unknown(cty.why_of(given), tainted=given.tainted)


def _text(call: syntax.FunctionCall, arguments: Sequence[Cty], number: int, wanted: int) -> Cty:
    if len(arguments) != wanted:
        raise EvaluationError(f"`{call.name}()` is called with {len(arguments)} arguments")
    value = convert(arguments[number], STRING)
    if value.is_null:
        raise EvaluationError(f"`{call.name}()` is called with null")
    return value
