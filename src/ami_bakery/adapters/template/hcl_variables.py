"""The variables of an HCL2 template: what is declared, and the value that each has in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.adapters.template.hcl_syntax import parse_expression
from ami_bakery.core.expression import syntax
from ami_bakery.core.expression.collection_functions import toset
from ami_bakery.core.expression.evaluate import Scope, evaluate
from ami_bakery.core.expression.values import (
    Text,
    Unknown,
    Value,
    as_bool,
    as_number,
    as_text,
    equal,
    first_unknown,
    is_mapping,
    is_sequence,
    is_tainted,
    taint,
)
from ami_bakery.errors import TemplateError
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.adapters.template.definition import Reading
    from ami_bakery.adapters.template.hcl_surroundings import Surroundings
    from ami_bakery.core.expression.syntax import Block, Body, Expression
    from ami_bakery.core.place import Place


class Declaration(Frozen):
    name: str
    place: Place
    type: Expression | None
    default: Expression | None
    sensitive: bool


class VariableFile(Frozen):
    path: str
    body: Body


def declarations(bodies: Sequence[Body]) -> dict[str, Declaration]:
    """By name. Both `variable "x" {}` and the older `variables { x = ... }`."""
    declared: dict[str, Declaration] = {}
    for body in bodies:
        for block in body.of_type("variable"):
            if block.labels:
                declared[block.labels[0]] = _declaration(block)
        for block in body.of_type("variables"):
            for setting in block.body.settings:
                declared[setting.name] = Declaration(
                    name=setting.name, place=setting.place, type=None, default=setting.expression, sensitive=False
                )
    return declared


def _declaration(block: Block) -> Declaration:
    kind, default, sensitive = (block.body.setting(name) for name in ("type", "default", "sensitive"))
    return Declaration(
        name=block.labels[0],
        place=block.place,
        type=kind.expression if kind else None,
        default=default.expression if default else None,
        sensitive=sensitive is not None and as_bool(evaluate(sensitive.expression, Scope())) is True,
    )


def values_of(
    reading: Reading,
    declared: Mapping[str, Declaration],
    files: Sequence[VariableFile],
    surroundings: Surroundings,
) -> dict[str, Value]:
    """default < PKR_VAR_ environment < auto files < var-files in order < `-var`."""
    values = {name: _value(reading, declaration, files, surroundings) for name, declaration in declared.items()}
    return {
        name: taint(value, declared[name].place) if declared[name].sensitive else value
        for name, value in values.items()
    }


def is_given(reading: Reading, name: str, files: Sequence[VariableFile]) -> bool:
    """Whether anything but a default gives this variable a value, now or when the image is built."""
    request = reading.request
    return (
        name in {*request.later, *request.variables, *request.offered}
        or f"PKR_VAR_{name}" in request.environment
        or any(setting.name == name for file in files for setting in file.body.settings)
    )


def _value(
    reading: Reading, declaration: Declaration, files: Sequence[VariableFile], surroundings: Surroundings
) -> Value:
    name = declaration.name
    if name in reading.request.later:
        return Unknown(why=f"the variable `{name}` gets its value when the image is baked")
    from_file = _from_files(name, files)
    given = reading.request.variables.get(name, reading.request.offered.get(name))
    told = reading.request.environment.get("PKR_VAR_" + name)
    overridden = not (given is None and from_file is None and told is None)
    default = _default(declaration, surroundings, matters=not overridden)
    if given is not None:
        return _converted(_given(given, declaration, default, reading.given_place()), declaration.type)
    if from_file is not None:
        return _converted(from_file, declaration.type)
    if told is not None:
        reading.ledger.environment("PKR_VAR_" + name, declaration.place)
        given_there = _given(told, declaration, default, declaration.place)
        return taint(_converted(given_there, declaration.type), declaration.place)
    return _converted(default, declaration.type)


def _default(declaration: Declaration, surroundings: Surroundings, *, matters: bool) -> Value:
    if declaration.default is None:
        return Unknown(why=f"the variable `{declaration.name}` has no value")
    environment = surroundings.environment(record=matters)
    return evaluate(declaration.default, Scope(surroundings=environment))


def _from_files(name: str, files: Sequence[VariableFile]) -> Value | Unknown | None:
    """The last file wins; a `null` there is a value, told as an empty `Unknown` only by what uses it."""
    found = [
        (file.path, setting.expression) for file in files for setting in file.body.settings if setting.name == name
    ]
    if not found:
        return None
    value = evaluate(found[-1][1], Scope())
    # Packer up to 1.7 and later ones differ in whether all *.hcl come before all *.json.
    older = [pair for pair in found if pair[0].endswith(".json")] or found
    other = evaluate(older[-1][1], Scope())
    if older[-1][0] != found[-1][0] and equal(value, other) is not True:
        return Unknown(why=f"which of {older[-1][0]} and {found[-1][0]} wins depends on the version of Packer")
    return Unknown(why=f"the variable `{name}` is null") if value is None else value


def _given(text: str, declaration: Declaration, default: Value, place: Place) -> Value:
    """A value from the command line or the environment: a text, or an expression where the type is no primitive."""
    if _is_plain(declaration.type, default):
        return Text(text, place)
    try:
        return evaluate(parse_expression(text, place), Scope())
    except TemplateError as error:
        return Unknown(why=f"the value given for `{declaration.name}` does not parse: {error.wrong}")


def _is_plain(kind: Expression | None, default: Value) -> bool:
    if isinstance(kind, syntax.Name):
        return kind.name in ("string", "number")
    if kind is None:
        return isinstance(default, str | int | float | Unknown) and not isinstance(default, bool)
    return isinstance(kind, syntax.Literal) and kind.value in ("string", "number")


def _converted(value: Value, kind: Expression | None) -> Value:
    """What a type constraint makes of a value, as far as that shows in a path."""
    if value is None or isinstance(value, Unknown) or kind is None:
        return value
    if isinstance(kind, syntax.Name):
        return _primitive(value, kind.name, kind.place)
    if isinstance(kind, syntax.Call) and kind.arguments:
        return _collection(value, kind.name, kind.arguments[0])
    return value


def _primitive(value: Value, kind: str, place: Place) -> Value:
    convert = {"string": as_text, "number": as_number, "bool": as_bool}.get(kind)
    made = convert(value) if convert else value
    return taint(made, place) if is_tainted(value) else made


def _collection(value: Value, kind: str, inner: Expression) -> Value:
    if kind in ("list", "set") and is_sequence(value):
        items = tuple(_converted(item, inner) for item in value)
        return toset(items) if kind == "set" and first_unknown(items) is None else items
    if kind == "map" and is_mapping(value):
        return {key: _converted(item, inner) for key, item in value.items()}
    if kind == "object" and is_mapping(value) and isinstance(inner, syntax.ObjectOf):
        types = {str(key.value): of for key, of in inner.items if isinstance(key, syntax.Literal)}
        return {key: _converted(item, types.get(key)) for key, item in value.items()}
    return value
