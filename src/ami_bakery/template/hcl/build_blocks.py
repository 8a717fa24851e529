"""Reads the `build` blocks of an HCL2 template: sources, provisioners, post-processors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.template.builders import with_source_from_data
from ami_bakery.template.component import Component, ComponentKind, Field, overridden
from ami_bakery.template.expression import cty
from ami_bakery.template.expression.alternatives import alternatives
from ami_bakery.template.expression.evaluate import Scope, evaluate, resolve
from ami_bakery.template.expression.known_values import Unknown, as_text, is_mapping, is_sequence
from ami_bakery.template.expression.public_values import to_value
from ami_bakery.template.globs import name_matches
from ami_bakery.template.packer_json.engine_functions import render_in_hcl2
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.template.definition import Reading
    from ami_bakery.template.expression.cty import Cty
    from ami_bakery.template.expression.syntax import Block, Body, Setting
    from ami_bakery.template.facts import TemplateRequest
    from ami_bakery.template.location import SourceLocation

_META = frozenset(
    {"name", "only", "except", "override", "pause_before", "max_retries", "timeout", "keep_input_artifact"}
)


_DATA_ID = re.compile(r"data\.amazon-ami\.([A-Za-z_][\w-]*)\.id")
_LOCAL = re.compile(r"local\.([A-Za-z_][\w-]*)")
_ALONE = re.compile(r'"?\$\{\s*([^{}]*?)\s*\}"?')
"""A string that is one interpolation, as in older templates and in JSON."""


def components_of(
    reading: Reading, bodies: Sequence[Body], scope: Scope, locals_written: Mapping[str, str]
) -> tuple[Component, ...]:
    """Returns the selected components. `locals_written`: the expression of each local, as written."""
    blocks = [pair for body in bodies for pair in _concrete(body, scope)]
    sources = {block.labels[:2]: (block, inner) for block, inner in blocks if block.type == "source"}
    components = [_data_source(block, inner) for block, inner in blocks if block.type == "data"]
    for block, inner in blocks:
        if block.type == "build":
            components.extend(_BuildBlock(reading, block, inner, sources).components())
    data = {component.name: component for component in components if component.kind is ComponentKind.DATA}
    return tuple(
        with_source_from_data(component, data[name])
        if (name := _data_of(component, locals_written)) in data and data[name].type == "amazon-ami"
        else component
        for component in components
    )


def _data_of(builder: Component, locals_written: Mapping[str, str]) -> str:
    """Returns the data source whose id is a builder's `source_ami`; else empty. `source_ami` may use locals."""
    if builder.kind is not ComponentKind.BUILDER or "source_ami" not in builder.fields:
        return ""
    written = builder.fields["source_ami"].written.strip()
    for _ in range(len(locals_written) + 1):
        alone = _ALONE.fullmatch(written)
        written = alone[1] if alone else written
        local = _LOCAL.fullmatch(written)
        if local is None:
            break
        written = locals_written.get(local[1], "").strip()
    found = _DATA_ID.fullmatch(written)
    return found[1] if found else ""


def _concrete(body: Body, scope: Scope) -> Iterator[tuple[Block, Scope]]:
    """Yields the blocks of a body, with `dynamic` blocks expanded."""
    for block in body.blocks:
        if block.type == "dynamic" and block.labels:
            yield from _expanded(block, scope)
        else:
            yield block, scope


def _expanded(block: Block, scope: Scope) -> Iterator[tuple[Block, Scope]]:
    kind = block.labels[0]
    content = next(iter(block.body.of_type("content")), None)
    for_each, iterator = block.body.setting("for_each"), block.body.setting("iterator")
    if content is None or for_each is None:
        return
    name = iterator.expression.written if iterator else kind
    labels = block.body.setting("labels")
    for key, value in _items(resolve(for_each.expression, scope)):
        inner = scope.binding(**{name: {"key": key, "value": value}})
        given = evaluate(labels.expression, inner) if labels else ()
        labelled = (as_text(each) for each in given) if is_sequence(given) else iter(())
        texts = tuple("" if isinstance(text, Unknown) else str(text) for text in labelled)
        yield replace(content, type=kind, labels=texts), inner


def _items(collection: Cty) -> Iterator[tuple[Cty, Cty]]:
    """Yields the items of a `dynamic` block; one unknown item for an unknown collection."""
    if collection.is_known and isinstance(collection.raw, tuple | dict):
        yield from collection.items()
        return
    item = cty.unknown(cty.why_of(collection) or "`for_each` is not a collection", tainted=collection.tainted)
    yield item, item
    for other in alternatives(collection):
        if isinstance(other.raw, tuple | dict):
            yield from other.items()


def _fields(body: Body, scope: Scope, *, without: Iterable[str] = ()) -> dict[str, Field]:
    fields = {setting.name.lower(): _field(setting, scope) for setting in body.settings if setting.name not in without}
    nested: dict[str, list[tuple[dict[str, Field], SourceLocation]]] = {}
    for block, inner in _concrete(body, scope):
        nested.setdefault(block.type, []).append((_fields(block.body, inner), block.location))
    for name, found in nested.items():
        values = tuple({key: field.value for key, field in inner.items()} for inner, _ in found)
        others = tuple(
            ({**value, key: other},)
            for value, (inner, _) in zip(values, found, strict=True)
            for key, field in inner.items()
            for other in field.alternatives
        )
        block_field = Field(value=values, location=found[0][1], written=name, alternatives=others)
        fields.setdefault(name.lower(), block_field)
    return fields


def _field(setting: Setting, scope: Scope) -> Field:
    found, location = resolve(setting.expression, scope), setting.location
    return Field(
        value=to_value(found, setting.expression.location),
        location=location,
        written=setting.expression.written,
        alternatives=tuple(to_value(other, setting.expression.location) for other in alternatives(found)),
    )


def _data_source(block: Block, scope: Scope) -> Component:
    kind, name = (*block.labels, "", "")[:2]
    fields = _fields(block.body, scope)
    return Component(kind=ComponentKind.DATA, type=kind, name=name, location=block.location, fields=fields)


def _source_parts(reference: str) -> tuple[str, ...]:
    """Returns type and name: `source.amazon-ebs.base` and `amazon-ebs.base` are the same."""
    parts = reference.split(".")
    return tuple(parts[-2:]) if len(parts) >= 2 else ()


class _BuildBlock:
    """One `build` block and the sources that it may refer to."""

    def __init__(
        self,
        reading: Reading,
        block: Block,
        scope: Scope,
        sources: Mapping[tuple[str, ...], tuple[Block, Scope]],
    ) -> None:
        self._reading = reading
        self._block = block
        self._scope = scope
        self._sources = sources
        self._blocks = list(_concrete(block.body, scope))
        name = block.body.setting("name")
        self._name: str | Unknown = as_text(evaluate(name.expression, scope)) if name else ""

    def components(self) -> Iterator[Component]:
        for use in self._used_sources():
            reference = use.reference
            if reference not in self._sources:
                continue
            source, _ = self._sources[reference]
            name = use.local_name or reference[1]
            full = f"{reference[0]}.{name}"
            if not self._is_selected(full):
                continue
            scope = self._scope.binding(source={"type": cty.text(reference[0]), "name": cty.text(name)})
            fields = {**_fields(source.body, scope), **use.additions(scope)}
            shown = f"{self._name}.{full}" if isinstance(self._name, str) and self._name else full
            builder = Component(
                kind=ComponentKind.BUILDER, type=reference[0], name=shown, location=source.location, fields=fields
            )
            here = self._reading.paths.absolute(".")
            build = {"build_name": reference[1], "build_type": reference[0], "pwd": here}
            for component in (builder, *self._provisioners(full, name, scope), *self._post_processors(full, scope)):
                yield _rendered(component, build)

    def _used_sources(self) -> Iterator[_SourceUse]:
        listed = self._block.body.setting("sources")
        references = evaluate(listed.expression, self._scope) if listed else ()
        if isinstance(references, Unknown) or not is_sequence(references):
            references = tuple(".".join(key) for key in self._sources)  # any of them may be selected
        for reference in references:
            text = as_text(reference)
            for key in self._sources if isinstance(text, Unknown) else (_source_parts(text),):
                yield _SourceUse(key)
        for block, scope in self._blocks:
            if block.type == "source" and block.labels:
                yield _SourceUse(_source_parts(block.labels[0]), block, scope)

    def _is_selected(self, full: str) -> bool:
        if isinstance(self._name, Unknown):
            return True
        name = f"{self._name}.{full}" if self._name else full
        request: TemplateRequest = self._reading.request
        if request.only and not any(name_matches(pattern, name) for pattern in request.only):
            return False
        return not any(name_matches(pattern, name) for pattern in request.except_)

    def _provisioners(self, full: str, name: str, scope: Scope) -> Iterator[Component]:
        for block, inner in self._blocks:
            if block.type not in ("provisioner", "error-cleanup-provisioner") or not block.labels:
                continue
            here = inner.binding(source=scope.names["source"])
            if _skipped(block.body, full, inner):
                continue
            fields = _fields(block.body, here, without=_META)
            override = block.body.setting("override")
            own = evaluate(override.expression, inner) if override else None
            if is_mapping(own) and is_mapping(mine := own.get(name)):
                written = override.expression.written if override else ""
                location = override.location if override else block.location
                upper = {key: Field(value=value, location=location, written=written) for key, value in mine.items()}
                fields = overridden(fields, upper)
            yield Component(
                kind=ComponentKind.PROVISIONER,
                type=block.labels[0],
                name="",
                location=block.location,
                fields=fields,
                on_failure=block.type == "error-cleanup-provisioner",
            )

    def _post_processors(self, full: str, scope: Scope) -> Iterator[Component]:
        for block, inner in self._blocks:
            chain = [(block, inner)] if block.type == "post-processor" else []
            if block.type == "post-processors":
                chain = [pair for pair in _concrete(block.body, inner) if pair[0].type == "post-processor"]
            for step, here in chain:
                if not step.labels or _skipped(step.body, full, here):
                    continue
                setting = step.body.setting("name")
                own_name = as_text(evaluate(setting.expression, here)) if setting else ""
                name = step.labels[0] if isinstance(own_name, Unknown) or not own_name else own_name
                if any(name_matches(pattern, name) for pattern in self._reading.request.except_):
                    break  # without its artifact, the rest of the chain does not run
                fields = _fields(step.body, here.binding(source=scope.names["source"]), without=_META)
                yield Component(
                    kind=ComponentKind.POST_PROCESSOR,
                    type=step.labels[0],
                    name=name,
                    location=step.location,
                    fields=fields,
                )


def _rendered(component: Component, build: Mapping[str, str]) -> Component:
    fields = {
        name: replace(
            each,
            value=render_in_hcl2(each.value, build),
            alternatives=tuple(render_in_hcl2(other, build) for other in each.alternatives),
        )
        for name, each in component.fields.items()
    }
    return replace(component, fields=fields)


class _SourceUse:
    """A source that a build uses. It may have its own name and additional settings."""

    def __init__(self, reference: tuple[str, ...], block: Block | None = None, scope: Scope | None = None) -> None:
        self.reference = reference
        self._block = block
        self._scope = scope or Scope()

    @property
    def local_name(self) -> str:
        setting = self._block.body.setting("name") if self._block else None
        name = as_text(evaluate(setting.expression, self._scope)) if setting else ""
        return "" if isinstance(name, Unknown) else name

    def additions(self, scope: Scope) -> dict[str, Field]:
        return _fields(self._block.body, scope, without=("name",)) if self._block else {}


def _skipped(body: Body, full: str, scope: Scope) -> bool:
    only, but = _names(body, "only", scope), _names(body, "except", scope)
    return full not in only if only else full in but


def _names(body: Body, name: str, scope: Scope) -> tuple[str, ...]:
    """Returns the names in `only` or `except`; empty if unknown, so that nothing is skipped."""
    setting = body.setting(name)
    value = evaluate(setting.expression, scope) if setting else ()
    if not is_sequence(value) or any(isinstance(item, Unknown) for item in value):
        return ()
    return tuple(str(as_text(item)) for item in value)
