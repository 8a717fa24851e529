"""A builder, provisioner, post-processor or data source, worked out: the same for JSON and for HCL2."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.template.builder_credentials import login_of
from ami_bakery.template.expression.known_values import (
    Text,
    Unknown,
    Value,
    as_text,
    first_unknown,
    is_mapping,
    is_sequence,
    is_tainted,
)
from ami_bakery.template.facts import Builder, SourceAmiFilter
from ami_bakery.values import Frozen, field, replace

if TYPE_CHECKING:
    from ami_bakery.template.location import SourceLocation


class ComponentKind(StrEnum):
    BUILDER = "builder"
    PROVISIONER = "provisioner"
    POST_PROCESSOR = "post-processor"
    DATA = "data"


class Field(Frozen):
    """
    written       the expression as it stands in the template
    alternatives  other values that the whole field may have: with the other arm of a conditional, another argument of
                  `try()` or `coalesce()`, a candidate of what is unknown. A file that only they name is read if it is
                  there, and need not be there
    """

    value: Value
    location: SourceLocation
    written: str
    alternatives: tuple[Value, ...] = ()


class Component(Frozen):
    """`name` is what `-only` knows a builder by; fields are by lower-case name. `on_failure`: it runs only where the
    build fails."""

    kind: ComponentKind
    type: str
    name: str
    location: SourceLocation
    fields: Mapping[str, Field] = field(default_factory=dict)
    on_failure: bool = False

    @property
    def may_not_run(self) -> bool:
        """In a build that succeeds, on Linux: of another system nobody bakes with the same digest."""
        systems = [text for text, _, _ in self.texts("only_on")]
        return self.on_failure or (bool(systems) and "linux" not in systems)

    def value(self, name: str) -> Value:
        return self.fields[name].value if name in self.fields else None

    def alternatives(self, name: str) -> tuple[Component, ...]:
        """This component once for each other value that the field may have."""
        found = self.fields.get(name)
        others = found.alternatives if found else ()
        return tuple(
            replace(self, fields={**self.fields, name: replace(found, value=value, alternatives=())})
            for value in others
            if found
        )

    def is_true(self, name: str) -> bool:
        return _is_true(self.value(name))

    def texts(self, name: str) -> tuple[tuple[str | Unknown, SourceLocation, str], ...]:
        """The texts of a field that is a text or a list of them, each with location and expression."""
        found = self.fields.get(name)
        if found is None or found.value is None:
            return ()
        items = found.value if is_sequence(found.value) else (found.value,)
        return tuple(
            (
                _text(item, found.location),
                item.location if isinstance(item, Text) else found.location,
                _written(item, found),
            )
            for item in items
            if item is not None
        )

    def list_texts(self, name: str) -> tuple[tuple[str | Unknown, SourceLocation, str], ...]:
        """The texts of a list field, which may be given as one text with commas."""
        found = self.fields.get(name)
        if found is not None and isinstance(found.value, str):
            location = found.value.location if isinstance(found.value, Text) else found.location
            return tuple(
                (Text(part, location, tainted=True) if is_tainted(found.value) else part, location, found.written)
                for part in found.value.split(",")
                if found.value
            )
        return self.texts(name)


def go_folded(name: str) -> str:
    """The name of a field as Go's decoder compares it: by simple case folding, for which `ſ` is an `s`, too.

    Of all that is not ASCII, only `ſ` (U+017F) and the Kelvin sign are the same as an ASCII letter.
    """
    return name.replace("\u017f", "s").lower()


def _member(mapping: Mapping[str, Value], name: str) -> Value:
    """A field of a nested block: in JSON templates any case of its name will do."""
    if name in mapping:
        return mapping[name]
    return next((value for key, value in mapping.items() if go_folded(key) == name), None)


def overridden(fields: Mapping[str, Field], override: Mapping[str, Field]) -> dict[str, Field]:
    """An override is decoded on top: of a longer list underneath, the rest shows."""
    merged = {**fields, **override}
    for name, upper in override.items():
        lower = fields.get(name)
        if lower and is_sequence(lower.value) and is_sequence(upper.value):
            merged[name] = replace(upper, value=upper.value + lower.value[len(upper.value) :])
    return merged


def _written(item: Value, found: Field) -> str:
    return item.pattern if isinstance(item, Unknown) and item.pattern else found.written


def _text(item: Value, location: SourceLocation) -> str | Unknown:
    """A tainted number becomes a tainted text."""
    text = as_text(item)
    return Text(text, location, tainted=True) if isinstance(text, str) and is_tainted(item) else text


def builder_of(component: Component, environment: Mapping[str, str]) -> Builder:
    """What the bakery must know of a builder. Unknown values are None, and a base that is unknown says why.

    environment  credentials of the builder may be named by it, as `{{env `AWS_ACCESS_KEY_ID`}}`
    """
    source_ami = component.value("source_ami")
    base_filter, why = _filter(component)
    if isinstance(source_ami, Unknown):
        why = source_ami.why
    elif _is_withheld(source_ami, _AMI_ID):
        why = f"`{component.fields['source_ami'].written}` is not the id of an AMI"
        source_ami = None
    ami_name = component.value("ami_name")
    name_written = component.fields["ami_name"].written if is_tainted(ami_name) else ""
    region = component.value("region")
    return Builder(
        name=component.name,
        type=component.type,
        location=component.location,
        source_ami=str(source_ami) if isinstance(source_ami, str) and source_ami else None,
        source_ami_filter=base_filter,
        base_unknown=why,
        ami_name=(ami_name.pattern or None) if isinstance(ami_name, Unknown) else _text_or_none(ami_name),
        ami_name_written=name_written,
        region=None if _is_withheld(region, _REGION) else _text_or_none(region),
        ami_regions=tuple(
            str(text)
            for text, _, _ in component.list_texts("ami_regions")
            if isinstance(text, str) and not _is_withheld(text, _REGION)
        ),
        skip_create_ami=component.is_true("skip_create_ami"),
        region_unknown=region.why if isinstance(region, Unknown) else "",
        login=login_of(component, environment),
        tags=frozenset(_tag_names(component)),
        force_deregister=component.is_true("force_deregister"),
        region_locations=tuple(_region_locations(component)),
    )


def _region_locations(component: Component) -> Iterator[tuple[str, SourceLocation]]:
    for text, location, written in (*component.texts("region"), *component.list_texts("ami_regions")):
        if isinstance(text, str) and text:
            yield written if _is_withheld(text, _REGION) else str(text), location


_AMI_ID = re.compile(r"ami-[0-9a-f]{8,17}")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]{3,})+-\d{1,2}")
_OWNER = re.compile(r"\d{12}|self|amazon|aws-marketplace|aws-backup-vault|microsoft|")
"""What of a tainted value may be shown, and asked for: the name of something that everybody may know."""


def _is_withheld(value: Value, public: re.Pattern[str]) -> bool:
    """Whether no message may show the value, since it is tainted and is not of the form that the field has."""
    return isinstance(value, str) and is_tainted(value) and not public.fullmatch(value)


def _tag_names(component: Component) -> Iterator[str]:
    """Of `tags`, and of `run_tags`, which Packer puts on the AMI, too; as maps, or as blocks with a key each."""
    kinds = ("tag",) if component.is_true("skip_ami_run_tags") else ("tag", "run_tag")
    for kind in kinds:
        table = component.value(f"{kind}s")
        yield from table if is_mapping(table) else ()
        for block in _mappings(component.value(kind)):
            key = _member(block, "key")
            if isinstance(key, str):
                yield str(key)


def _is_true(value: Value) -> bool:
    """Nearly as Packer takes it, which knows fewer spellings."""
    if isinstance(value, str):
        return value.lower() in ("true", "1", "t")
    return isinstance(value, bool | int | float) and value != 0


def _text_or_none(value: Value) -> str | None:
    return str(value) if isinstance(value, str) and value else None


def _filter(component: Component) -> tuple[SourceAmiFilter | None, str]:
    """The filter, or why there is one that cannot be worked out."""
    found = component.value("source_ami_filter")
    if is_sequence(found):
        found = found[0] if len(found) == 1 else None
    if isinstance(found, Unknown):
        return None, found.why
    if not is_mapping(found):
        return None, ""
    filters: dict[str, tuple[str, ...]] = {}
    given = _member(found, "filters")
    for name, value in given.items() if is_mapping(given) else ():
        filters[name] = _known_texts(value)
    for block in _mappings(_member(found, "filter")):
        filters[str(as_text(block.get("name")))] = _known_texts(block.get("value", block.get("values")))
    owners = _member(found, "owners")
    if isinstance(owners, str):
        owners = tuple(owners.split(","))
    lost = first_unknown((given, owners, _member(found, "filter"), _member(found, "include_deprecated")))
    if lost:
        return None, lost.why
    owner_list = owners if is_sequence(owners) else (owners,)
    if is_tainted(_member(found, "owners")) and not all(
        isinstance(each, str) and _OWNER.fullmatch(each) for each in owner_list
    ):
        return None, "one of its owners, which a file, the environment or a secret had a part in, is no account"
    if _is_withheld(_member(found, "region"), _REGION):
        return None, "its region, which a file, the environment or a secret had a part in, is none"
    location = component.fields["source_ami_filter"].location
    most_recent = _member(found, "most_recent")
    made = SourceAmiFilter(
        filters=tuple(sorted(filters.items())),
        owners=_known_texts(owners),
        most_recent=isinstance(most_recent, Unknown) or _is_true(most_recent),
        deprecated=_is_true(_member(found, "include_deprecated")),
        region=_text_or_none(_member(found, "region")),
        written=f"the filters at {location}" if is_tainted((given, _member(found, "filter"))) else "",
    )
    return made, ""


_OF_A_FILTER = ("filters", "filter", "owners", "most_recent", "include_deprecated", "region")
_OTHER_CREDENTIALS = frozenset(
    {
        *("access_key", "assume_role", "custom_endpoint_ec2", "mfa_code", "profile", "secret_key"),
        *("shared_credentials_file", "token", "vault_aws_engine"),
    }
)


def started_from(builder: Component, data: Component) -> Component:
    """A builder whose `source_ami` is the id that a data source `amazon-ami` finds: as if it had the filter itself,
    which finds the same AMI. One that asks with other credentials may see another."""
    base = builder.fields["source_ami"]
    if not _OTHER_CREDENTIALS.isdisjoint(data.fields):
        why = f"the data source {data.type}.{data.name} asks with credentials of its own"
        return replace(builder, fields={**builder.fields, "source_ami": replace(base, value=Unknown(why=why))})
    filtered = {name: data.value(name) for name in _OF_A_FILTER if name in data.fields}
    fields = {name: found for name, found in builder.fields.items() if name != "source_ami"}
    return replace(builder, fields={**fields, "source_ami_filter": replace(base, value=filtered)})


def _mappings(value: Value) -> tuple[Mapping[str, Value], ...]:
    items = value if is_sequence(value) else (value,)
    return tuple(item for item in items if is_mapping(item))


def _known_texts(value: Value) -> tuple[str, ...]:
    if value is None:
        return ()
    texts = tuple(as_text(item) for item in (value if is_sequence(value) else (value,)))
    return tuple(str(text) for text in texts if isinstance(text, str))


def is_of_ansible(component: Component) -> bool:
    """Whether Ansible runs on this machine for it: `ansible-local` uploads what its fields name, and runs it there."""
    return component.kind is ComponentKind.PROVISIONER and component.type in ("ansible", "ansible-navigator")


def connects_through_packer(component: Component) -> bool:
    """Whether Ansible reaches the instance through Packer's own SSH server, and nothing says which host keys it may
    have. False where that is not sure."""
    fields = ("extra_arguments", "ansible_ssh_extra_args", "ansible_env_vars")
    given = [text for name in fields for text, _, _ in component.texts(name)]
    if any(isinstance(text, Unknown) or "HostKeyAlgorithms" in text for text in given):
        return False
    use_proxy = component.value("use_proxy")
    return use_proxy is None or (not isinstance(use_proxy, Unknown) and _is_true(use_proxy))
