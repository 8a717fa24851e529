"""Reads legacy JSON templates: variables, builders, provisioners, post-processors."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from ami_bakery.errors import TemplateError
from ami_bakery.template.component import Component, ComponentKind, Field, go_folded, overridden
from ami_bakery.template.definition import Reading, TemplateDefinition
from ami_bakery.template.expression.known_values import Text, Value, is_tainted
from ami_bakery.template.facts import Variable
from ami_bakery.template.json_parser import JsonArray, JsonObject, JsonScalar, JsonValue, parse_json
from ami_bakery.template.packer_json.engine_functions import LegacyContext

if TYPE_CHECKING:
    from ami_bakery.template.location import SourceLocation

_META = frozenset({"type", "name", "only", "except", "override", "pause_before", "max_retries", "timeout"})


def read_legacy(reading: Reading, source: bytes) -> TemplateDefinition:
    template = reading.request.template
    document = parse_json(source, template)
    if not isinstance(document, JsonObject):
        raise _bad(document.location, "a template must be a JSON object")
    _refuse_duplicates(document)
    root = _members(document)
    raw = _variables(reading, root)
    context = LegacyContext(reading, raw, sensitive=_texts(root.get("sensitive-variables")))
    _note_secrets(reading, root, context, raw)
    builders = _builders(root, context)
    components = [component for _, component in builders]
    for raw_name, builder in builders:
        rendered = context.render(raw_name)
        here = context.in_build(rendered if isinstance(rendered, str) else builder.name, builder.type)
        components.extend(_provisioners(root, raw_name, here))
        components.extend(_post_processors(root, raw_name, here, reading.request.except_))
    return TemplateDefinition(files=(template,), variables=_declared(root, raw), components=tuple(components))


def _bad(location: SourceLocation, wrong: str) -> TemplateError:
    return TemplateError(
        f"reading {location}",
        wrong,
        "Fix the template; `packer validate` gives details.",
        marks=(location.mark(wrong),),
    )


def _refuse_duplicates(value: JsonValue) -> None:
    """Refuses duplicate fields, as Packer does: one of them would have no effect."""
    seen: set[str] = set()
    for name, member in value.members if isinstance(value, JsonObject) else ():
        if name in seen:
            raise _bad(member.location, f"the field `{name}` is defined twice")
        seen.add(name)
        _refuse_duplicates(member)
    for item in _items(value):
        _refuse_duplicates(item)


def _members(value: JsonValue) -> dict[str, JsonValue]:
    """Returns the members by the name that Go's decoder matches; an exact name takes precedence."""
    given = value.members if isinstance(value, JsonObject) else ()
    exact = {name: member for name, member in given if name == go_folded(name)}
    folded: dict[str, JsonValue] = {}
    for name, member in given:
        known = go_folded(name)
        if known in folded and known not in exact:
            raise _bad(member.location, f"Packer reads two fields as `{known}`, and uses either of them")
        folded[known] = member
    return folded | exact


def _items(value: JsonValue | None) -> tuple[JsonValue, ...]:
    return value.items if isinstance(value, JsonArray) else ()


def _text(value: JsonValue | None) -> str:
    return value.value if isinstance(value, JsonScalar) and isinstance(value.value, str) else ""


def _texts(value: JsonValue | None) -> tuple[str, ...]:
    if isinstance(value, JsonScalar) and isinstance(value.value, str):
        return (value.value,)
    return tuple(_text(item) for item in _items(value))


# --- variables


def _declared(root: Mapping[str, JsonValue], given: Collection[str]) -> tuple[Variable, ...]:
    declared = root.get("variables")
    sensitive = set(_texts(root.get("sensitive-variables")))
    members = declared.members if isinstance(declared, JsonObject) else ()
    return tuple(
        Variable(
            name=name,
            location=value.location,
            sensitive=name in sensitive,
            required=isinstance(value, JsonScalar) and value.value is None,
            missing=name not in given,
        )
        for name, value in dict(members).items()
    )


def _variables(reading: Reading, root: Mapping[str, JsonValue]) -> dict[str, tuple[str, SourceLocation]]:
    """Returns the unrendered value of each variable: default < var-files in order < `-var`."""
    raw: dict[str, tuple[str, SourceLocation]] = {}
    variables = root.get("variables")
    declared = variables.members if isinstance(variables, JsonObject) else ()
    for name, value in declared:
        raw.pop(name, None)
        if not isinstance(value, JsonScalar) or value.value is not None:
            raw[name] = (_variable_text(value), value.location)
    for path in reading.request.var_files:
        reading.collector.reference(reading.paths.normalise(path), reading.given_location())
        document = parse_json(reading.parsed(path), path)
        if not isinstance(document, JsonObject):
            raise _bad(document.location, "a var-file must be a JSON object")
        raw |= {name: (_variable_text(value), value.location) for name, value in document.members}
    optional = {
        name: reading.request.optional_variables[name]
        for name, _ in declared
        if name in reading.request.optional_variables
    }
    given = {
        name: (value, reading.given_location()) for name, value in (optional | dict(reading.request.variables)).items()
    }
    # The value of an unknown function is unknown.
    deferred = {name: (f"{{{{handed_over `{name}`}}}}", reading.given_location()) for name in reading.request.deferred}
    return raw | given | deferred


def _variable_text(value: JsonValue) -> str:
    if isinstance(value, JsonScalar) and not isinstance(value.value, str):
        return {True: "1", False: "0", None: ""}.get(value.value, str(value.value))  # type: ignore[arg-type]
    if isinstance(value, JsonScalar):
        return str(value.value)
    raise _bad(value.location, "a variable must be a string")


def _note_secrets(
    reading: Reading, root: Mapping[str, JsonValue], context: LegacyContext, names: Collection[str]
) -> None:
    for name in names:
        reading.collector.withhold(context.variable(name))
    for name in _texts(root.get("sensitive-variables")):
        reading.collector.secret(context.variable(name))


# --- builders, provisioners, post-processors


def _value(value: JsonValue, context: LegacyContext) -> Value:
    if isinstance(value, JsonObject):
        return {name: _value(member, context) for name, member in value.members}
    if isinstance(value, JsonArray):
        return tuple(_value(item, context) for item in value.items)
    if isinstance(value.value, str):
        rendered = context.render(value.value)
        return Text(rendered, value.location, tainted=is_tainted(rendered)) if isinstance(rendered, str) else rendered
    return value.value


def _fields(members: Mapping[str, JsonValue], context: LegacyContext, *, without: frozenset[str]) -> dict[str, Field]:
    return {
        name: Field(value=_value(value, context), location=value.location, written=_text(value) or name)
        for name, value in members.items()
        if name not in without
    }


def _builders(root: Mapping[str, JsonValue], context: LegacyContext) -> list[tuple[str, Component]]:
    """Returns the selected builders with their unrendered names.

    `only` and `except` of provisioners use these names.
    """
    request = context.reading.request
    selected = []
    for item in _items(root.get("builders")):
        members = _members(item)
        kind = _text(members.get("type"))
        if not kind:
            raise _bad(item.location, "a builder has no `type`")
        raw_name = _text(members.get("name")) or kind
        name = context.render(raw_name)
        if isinstance(name, str) and ((request.only and name not in request.only) or name in request.except_):
            continue
        known = name if isinstance(name, str) else name.pattern
        shown = raw_name if is_tainted(name) else known
        fields = _fields(members, context.in_build(known, kind), without=frozenset({"type", "name"}))
        component = Component(kind=ComponentKind.BUILDER, type=kind, name=shown, location=item.location, fields=fields)
        selected.append((raw_name, component))
    return selected


def _skipped(members: Mapping[str, JsonValue], build: str) -> bool:
    only, but = _texts(members.get("only")), _texts(members.get("except"))
    return build not in only if only else build in but


def _provisioners(root: Mapping[str, JsonValue], build: str, context: LegacyContext) -> Iterator[Component]:
    cleanup = root.get("error-cleanup-provisioner")
    for item in (*_items(root.get("provisioners")), *((cleanup,) if cleanup else ())):
        members = _members(item)
        if item is not cleanup and _skipped(members, build):
            continue
        if not _text(members.get("type")):
            raise _bad(item.location, "a provisioner has no `type`")
        fields = _fields(members, context, without=_META)
        override = members.get("override")
        own = dict(override.members).get(build) if isinstance(override, JsonObject) else None
        if own is not None:
            fields = overridden(fields, _fields(_members(own), context, without=frozenset()))
        yield Component(
            kind=ComponentKind.PROVISIONER,
            type=_text(members["type"]),
            name="",
            location=item.location,
            fields=fields,
            on_failure=item is cleanup,
        )


def _post_processors(
    root: Mapping[str, JsonValue], build: str, context: LegacyContext, except_: tuple[str, ...]
) -> Iterator[Component]:
    for item in _items(root.get("post-processors")):
        for step in item.items if isinstance(item, JsonArray) else (item,):
            members = _members(step)
            kind = _text(step) or _text(members.get("type"))
            if not kind:
                raise _bad(step.location, "a post-processor has no `type`")
            if _skipped(members, build):
                continue
            name = _text(members.get("name")) or kind
            if name in except_:
                break  # without its artifact, the rest of the chain does not run
            without = frozenset({"type", "name", "only", "except", "keep_input_artifact"})
            fields = _fields(members, context, without=without)
            yield Component(
                kind=ComponentKind.POST_PROCESSOR, type=kind, name=name, location=step.location, fields=fields
            )
