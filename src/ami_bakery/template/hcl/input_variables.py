"""Reads the variables of an HCL2 template and their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.errors import TemplateError
from ami_bakery.template.env_inputs import why_not_used
from ami_bakery.template.expression import cty
from ami_bakery.template.expression.alternatives import map_alternatives
from ami_bakery.template.expression.convert import convert
from ami_bakery.template.expression.cty import Cty, EvaluationError, Unsure
from ami_bakery.template.expression.cty_types import DYNAMIC, NUMBER, STRING, Type
from ami_bakery.template.expression.evaluate import Scope, evaluate, resolve
from ami_bakery.template.expression.known_values import as_bool
from ami_bakery.template.expression.type_constraints import Defaults, constraint, with_defaults
from ami_bakery.template.hcl.hcl_parser import parse_expression
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.template.definition import Reading
    from ami_bakery.template.expression.syntax import Block, Body, Expression
    from ami_bakery.template.hcl.io_functions import IoFunctions
    from ami_bakery.template.location import SourceLocation


class Declaration(Frozen):
    name: str
    location: SourceLocation
    type: Expression | None
    default: Expression | None
    sensitive: bool


class VariableFile(Frozen):
    path: str
    body: Body


def declarations(bodies: Sequence[Body]) -> dict[str, Declaration]:
    """Returns declarations by name: `variable "x" {}` and the older `variables { x = ... }`."""
    declared: dict[str, Declaration] = {}
    for body in bodies:
        for block in body.of_type("variable"):
            if block.labels:
                declared[block.labels[0]] = _declaration(block)
        for block in body.of_type("variables"):
            for setting in block.body.settings:
                declared[setting.name] = Declaration(
                    name=setting.name, location=setting.location, type=None, default=setting.expression, sensitive=False
                )
    return declared


def _declaration(block: Block) -> Declaration:
    kind, default, sensitive = (block.body.setting(name) for name in ("type", "default", "sensitive"))
    return Declaration(
        name=block.labels[0],
        location=block.location,
        type=kind.expression if kind else None,
        default=default.expression if default else None,
        sensitive=sensitive is not None and as_bool(evaluate(sensitive.expression, Scope())) is True,
    )


def values_of(
    reading: Reading,
    declared: Mapping[str, Declaration],
    files: Sequence[VariableFile],
    io_functions: IoFunctions,
) -> dict[str, Cty]:
    """Returns the values by name.

    Precedence: default < PKR_VAR_ environment < auto files < var-files in order < `-var`.
    """
    values = {name: _value(reading, declaration, files, io_functions) for name, declaration in declared.items()}
    return {name: cty.hidden(value) if declared[name].sensitive else value for name, value in values.items()}


def default_of(declaration: Declaration) -> Cty:
    """Returns a variable's default, if it does not read the environment."""
    default = resolve(declaration.default, Scope()) if declaration.default else cty.null()
    return _converted(default, _type_spec(declaration))


class _TypeSpec(Frozen):
    """The type of a declaration (None: invalid) and the defaults of its optional attributes."""

    type: Type | None
    defaults: Defaults | None = None


def _type_spec(declaration: Declaration) -> _TypeSpec:
    if declaration.type is None:
        return _TypeSpec(type=DYNAMIC)
    try:
        kind, defaults = constraint(declaration.type)
    except (EvaluationError, Unsure):
        return _TypeSpec(type=None)
    return _TypeSpec(type=kind, defaults=defaults)


def is_given(reading: Reading, name: str, files: Sequence[VariableFile]) -> bool:
    """Whether anything but a default sets this variable. It may be set now or at build time."""
    request = reading.request
    return (
        name in {*request.deferred, *request.variables, *request.optional_variables}
        or f"PKR_VAR_{name}" in request.environment
        or any(setting.name == name for file in files for setting in file.body.settings)
    )


def _value(reading: Reading, declaration: Declaration, files: Sequence[VariableFile], io_functions: IoFunctions) -> Cty:
    name = declaration.name
    if name in reading.request.deferred:
        return cty.unknown(f"the variable `{name}` gets its value when the image is built")
    from_file = _from_files(name, files)
    given = reading.request.variables.get(name, reading.request.optional_variables.get(name))
    from_environment = reading.request.environment.get("PKR_VAR_" + name)
    overridden = not (given is None and from_file is None and from_environment is None)
    spec = _type_spec(declaration)
    default = _converted(_default(declaration, io_functions, matters=not overridden), spec)
    if not overridden:
        return default

    def value_as(spec: _TypeSpec) -> Cty:
        if given is not None:
            return _converted(_given(given, declaration, spec, reading.given_location()), spec)
        if from_file is not None:
            return _converted(from_file, spec)
        reading.collector.environment("PKR_VAR_" + name, declaration.location)
        if from_environment is not None and (why := why_not_used("PKR_VAR_" + name)) is not None:
            reading.collector.secret(from_environment)
            return cty.unknown(why, spec.type or DYNAMIC, tainted=True)
        return cty.hidden(_converted(_given(from_environment or "", declaration, spec, declaration.location), spec))

    if spec.type != DYNAMIC or not default.is_known:
        return value_as(spec)
    inferred = value_as(_TypeSpec(type=default.type))
    # Newer Packer versions infer no type from `{}` and `[]`; older ones drop all attributes of the value.
    is_empty = default.type.kind in ("object", "tuple") and not default.type.of
    return value_as(spec).with_others([inferred]) if is_empty else inferred


def _default(declaration: Declaration, io_functions: IoFunctions, *, matters: bool) -> Cty:
    if declaration.default is None:
        return cty.unknown(f"the variable `{declaration.name}` has no value")
    environment = io_functions.environment(record=matters)
    return resolve(declaration.default, Scope(io_functions=environment))


def _from_files(name: str, files: Sequence[VariableFile]) -> Cty | None:
    """Returns the value of the last file that sets it."""
    found = [
        (file.path, setting.expression) for file in files for setting in file.body.settings if setting.name == name
    ]
    if not found:
        return None
    value = resolve(found[-1][1], Scope())
    # Packer up to 1.7 reads all *.hcl before all *.json; later versions do not.
    older = [pair for pair in found if pair[0].endswith(".json")] or found
    if older[-1][0] == found[-1][0]:
        return value
    other = resolve(older[-1][1], Scope())
    if cty.same(value, other):
        return value
    why = f"which of {older[-1][0]} and {found[-1][0]} wins depends on the version of Packer"
    return cty.unknown(why).with_others([value, other])


def _given(text: str, declaration: Declaration, spec: _TypeSpec, location: SourceLocation) -> Cty:
    """Parses a value from the command line or the environment: an expression unless the type is primitive."""
    if spec.type in (STRING, NUMBER, DYNAMIC):
        return cty.text(text, location)
    if spec.type is None or spec.type.kind == "unknown":
        return cty.unknown(f"the type of the variable `{declaration.name}` is unknown")
    try:
        return resolve(parse_expression(text, location), Scope())
    except TemplateError:
        return cty.unknown(f"the value given for the variable `{declaration.name}` is not an expression")


def _converted(value: Cty, spec: _TypeSpec) -> Cty:
    if spec.type is None:
        return value
    try:
        return map_alternatives(
            lambda values: convert(with_defaults(values[0], spec.defaults), spec.type or DYNAMIC), [value]
        )
    except (EvaluationError, Unsure) as error:
        return cty.unknown(f"the value does not match the type of the variable: {error}", tainted=value.is_dirty)
