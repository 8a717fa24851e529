"""Reads an HCL2 template: its files, variables, locals, sources and builds."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ami_bakery.errors import TemplateError
from ami_bakery.template.definition import Reading, TemplateDefinition
from ami_bakery.template.expression import cty
from ami_bakery.template.expression.cty import Cty
from ami_bakery.template.expression.evaluate import Scope, evaluate, resolve
from ami_bakery.template.expression.known_values import (
    CHECKOUT,
    Text,
    Unknown,
    Value,
    as_bool,
    as_text,
    first_unknown,
    is_mapping,
)
from ami_bakery.template.expression.public_values import to_value
from ami_bakery.template.facts import Plugin, Variable
from ami_bakery.template.hcl.build_blocks import components_of
from ami_bakery.template.hcl.hcl_parser import parse_body
from ami_bakery.template.hcl.input_variables import VariableFile, declarations, is_given, values_of
from ami_bakery.template.hcl.io_functions import IoFunctions
from ami_bakery.template.hcl.json_body import parse_json_body
from ami_bakery.template.location import SourceLocation
from ami_bakery.template.source_tree import FileKind

if TYPE_CHECKING:
    from ami_bakery.template.component import Component
    from ami_bakery.template.expression.syntax import Body, Expression
    from ami_bakery.template.hcl.input_variables import Declaration


def read_hcl2(reading: Reading) -> TemplateDefinition:
    files = _template_files(reading)
    bodies = [_parse(reading, file) for file in files]
    io_functions = IoFunctions(reading)
    declared = declarations(bodies)
    variable_files = _variable_files(reading)
    values = values_of(reading, declared, variable_files, io_functions)
    for declaration in declared.values():
        _withhold(reading, declaration, to_value(values[declaration.name], declaration.location))
    scope = _scope(reading, bodies, values, io_functions)
    variables = tuple(
        Variable(
            name=each.name,
            location=each.location,
            sensitive=each.sensitive,
            required=each.default is None,
            missing=each.default is None and not is_given(reading, each.name, variable_files),
        )
        for each in declared.values()
    )
    texts = {name: expression.written for name, expression in _local_expressions(bodies).items()}
    components: tuple[Component, ...] = components_of(reading, bodies, scope, texts)
    return TemplateDefinition(
        files=files, variables=variables, components=components, plugins=tuple(_plugins(bodies, scope))
    )


def _withhold(reading: Reading, declaration: Declaration, value: Value) -> None:
    """Hides the value, and the unparsed text: Packer repeats values that it cannot parse."""
    given = reading.request.variables.get(declaration.name)
    from_environment = Text(
        reading.request.environment.get(f"PKR_VAR_{declaration.name}", ""), declaration.location, tainted=True
    )
    reading.collector.withhold((value, from_environment))
    if declaration.sensitive:
        reading.collector.secret((value, given, from_environment) if first_unknown(value) else value)


def _parse(reading: Reading, file: str, *, variables_only: bool = False) -> Body:
    source = reading.parsed(file)
    if file.endswith(".json"):
        return parse_json_body(source, file, variables_only=variables_only)
    return parse_body(source, file)


# --- files


def _in_folder(reading: Reading, *endings: str) -> tuple[str, ...]:
    """Returns the files of the template's folder with these endings: by ending, then by name."""
    names = []
    for child in reading.tree.children(reading.request.template):
        followed = reading.tree.entry(child.path, follow=True)
        if child.kind is not FileKind.FOLDER and (child.kind is FileKind.LINK or followed):
            names.append(posixpath.basename(child.path))
    folder = reading.paths.template
    return tuple(
        posixpath.normpath(posixpath.join(folder, name))
        for ending in endings
        for name in sorted(names)
        if name.endswith(ending)
    )


def _template_files(reading: Reading) -> tuple[str, ...]:
    template = reading.request.template
    entry = reading.tree.entry(template, follow=True)
    if entry is None or entry.kind is not FileKind.FOLDER:
        return (template,)
    files = _in_folder(reading, ".pkr.hcl", ".pkr.json")
    if not files:
        raise TemplateError(
            f"reading the template {template}",
            "the folder contains no *.pkr.hcl or *.pkr.json file",
            "Name the template's file, or the folder that contains its files.",
        )
    return files


def _variable_files(reading: Reading) -> tuple[VariableFile, ...]:
    """Returns the auto var-files (of a folder build), then the given ones. Each is parsed."""
    entry = reading.tree.entry(reading.request.template, follow=True)
    auto: tuple[str, ...] = ()
    if entry is not None and entry.kind is FileKind.FOLDER:
        auto = _in_folder(reading, ".auto.pkrvars.hcl", ".auto.pkrvars.json")
    var_files = []
    for path in (*auto, *reading.request.var_files):
        given = path not in auto
        if given and not path.endswith((".hcl", ".json")):
            raise TemplateError(
                f"reading the var-file {path}",
                "unrecognized file extension",
                "Name it *.pkrvars.hcl or *.pkrvars.json.",
            )
        location = reading.given_location() if given else SourceLocation(file=path, line=1)
        reading.collector.reference(reading.paths.normalise(path), location)
        var_files.append(VariableFile(path=path, body=_parse(reading, path, variables_only=True)))
    return tuple(var_files)


# --- names


class _Locals(Mapping[str, Cty]):
    """Locals, evaluated on first use; one that refers to itself is unknown."""

    def __init__(self, expressions: Mapping[str, Expression], sensitive: Collection[str]) -> None:
        self._expressions = expressions
        self._sensitive = sensitive
        self._values: dict[str, Cty] = {}
        self._busy: list[str] = []
        self.scope = Scope()

    def __getitem__(self, name: str) -> Cty:
        if name not in self._values:
            if name in self._busy:
                return cty.unknown(f"the local `{name}` refers to itself")
            expression = self._expressions[name]
            self._busy.append(name)
            value = resolve(expression, self.scope)
            self._values[name] = cty.hidden(value) if name in self._sensitive else value
            self._busy.pop()
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._expressions

    def __iter__(self) -> Iterator[str]:
        return iter(self._expressions)

    def __len__(self) -> int:
        return len(self._expressions)


def _local_expressions(bodies: Iterable[Body]) -> dict[str, Expression]:
    expressions: dict[str, Expression] = {}
    for body in bodies:
        for block in body.of_type("locals"):
            expressions |= {setting.name: setting.expression for setting in block.body.settings}
        for block in body.of_type("local"):
            setting = block.body.setting("expression")
            if setting and block.labels:
                expressions[block.labels[0]] = setting.expression
    return expressions


def _scope(reading: Reading, bodies: list[Body], values: Mapping[str, Cty], io_functions: IoFunctions) -> Scope:
    sensitive = [
        block.labels[0]
        for body in bodies
        for block in body.of_type("local")
        if (flag := block.body.setting("sensitive")) and as_bool(evaluate(flag.expression, Scope())) is True
    ]
    local = _Locals(_local_expressions(bodies), sensitive)
    inside = CHECKOUT if reading.paths.workdir == "." else f"{CHECKOUT}/{reading.paths.workdir}"
    scope = Scope(
        names={
            "var": values,
            "local": local,
            "path": {"cwd": cty.text(inside), "root": cty.text(reading.paths.from_packer())},
            "packer": cty.unknown("`packer` is known only when Packer runs"),
            "build": cty.unknown("`build` is known only when Packer runs"),
            "data": cty.unknown("data sources are queried only when Packer runs", tainted=True),
            "source": cty.unknown("`source` is known only in a build"),
        },
        io_functions=io_functions.functions(),
    )
    local.scope = scope
    for name in local:  # Packer evaluates all of them, used or not
        value = to_value(local[name], reading.given_location())
        reading.collector.withhold(value)
        if name in sensitive:
            reading.collector.secret(value)
    return scope


def _plugins(bodies: list[Body], scope: Scope) -> Iterator[Plugin]:
    for body in bodies:
        for packer in body.of_type("packer"):
            for block in packer.body.of_type("required_plugins"):
                for setting in block.body.settings:
                    yield _plugin(setting.name, evaluate(setting.expression, scope), setting.location)


def _plugin(name: str, value: Value, location: SourceLocation) -> Plugin:
    entry = value if is_mapping(value) else {"version": value}
    source, version = as_text(entry.get("source", "")), as_text(entry.get("version", ""))
    return Plugin(
        name=name,
        source=_plain(source),
        version=_plain(version),
        location=location,
    )


def _plain(text: str | Unknown) -> str:
    return "" if isinstance(text, Unknown) else str(text)
