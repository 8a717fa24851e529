"""Reads the builders of a template: source AMI, AMI name, regions, credentials and tags."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ami_bakery.template.builder_credentials import login_of
from ami_bakery.template.component import go_folded, is_truthy
from ami_bakery.template.expression.known_values import (
    Unknown,
    Value,
    as_text,
    first_unknown,
    is_mapping,
    is_sequence,
    is_tainted,
)
from ami_bakery.template.facts import Builder, SourceAmiFilter
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.template.component import Component
    from ami_bakery.template.location import SourceLocation


def builder_of(component: Component, environment: Mapping[str, str]) -> Builder:
    """Returns the facts of one builder. Unknown values are None; `base_unknown` says why the source AMI is unknown.

    environment  Packer's environment: the builder's credentials may come from it (`{{env `AWS_ACCESS_KEY_ID`}}`)
    """
    source_ami = component.value("source_ami")
    base_filter, why = _filter(component)
    if isinstance(source_ami, Unknown):
        why = source_ami.why
    elif _is_withheld(source_ami, _AMI_ID):
        why = f"`{component.fields['source_ami'].written}` is not an AMI id"
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
"""Tainted values of this form are public names: messages may show them, and EC2 is queried with them."""


def _is_withheld(value: Value, public: re.Pattern[str]) -> bool:
    """Whether messages must hide the value: it is tainted and does not have the field's form."""
    return isinstance(value, str) and is_tainted(value) and not public.fullmatch(value)


def _tag_names(component: Component) -> Iterator[str]:
    """Names in `tags` and `run_tags`: Packer adds both to the AMI. Both are maps, or blocks with a `key`."""
    kinds = ("tag",) if component.is_true("skip_ami_run_tags") else ("tag", "run_tag")
    for kind in kinds:
        table = component.value(f"{kind}s")
        yield from table if is_mapping(table) else ()
        for block in _mappings(component.value(kind)):
            key = _member(block, "key")
            if isinstance(key, str):
                yield str(key)


def _text_or_none(value: Value) -> str | None:
    return str(value) if isinstance(value, str) and value else None


def _filter(component: Component) -> tuple[SourceAmiFilter | None, str]:
    """Returns the filter, or the reason why its value is unknown."""
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
    unknown = first_unknown((given, owners, _member(found, "filter"), _member(found, "include_deprecated")))
    if unknown:
        return None, unknown.why
    owner_list = owners if is_sequence(owners) else (owners,)
    if is_tainted(_member(found, "owners")) and not all(
        isinstance(each, str) and _OWNER.fullmatch(each) for each in owner_list
    ):
        return None, "one of its owners depends on a file, the environment or a secret, and is not an account"
    if _is_withheld(_member(found, "region"), _REGION):
        return None, "its region depends on a file, the environment or a secret, and is not an AWS region"
    location = component.fields["source_ami_filter"].location
    most_recent = _member(found, "most_recent")
    result = SourceAmiFilter(
        filters=tuple(sorted(filters.items())),
        owners=_known_texts(owners),
        most_recent=isinstance(most_recent, Unknown) or is_truthy(most_recent),
        deprecated=is_truthy(_member(found, "include_deprecated")),
        region=_text_or_none(_member(found, "region")),
        written=f"the filters at {location}" if is_tainted((given, _member(found, "filter"))) else "",
    )
    return result, ""


def _mappings(value: Value) -> tuple[Mapping[str, Value], ...]:
    items = value if is_sequence(value) else (value,)
    return tuple(item for item in items if is_mapping(item))


def _known_texts(value: Value) -> tuple[str, ...]:
    if value is None:
        return ()
    texts = tuple(as_text(item) for item in (value if is_sequence(value) else (value,)))
    return tuple(str(text) for text in texts if isinstance(text, str))


def _member(mapping: Mapping[str, Value], name: str) -> Value:
    """Returns a field of a nested block; JSON templates may write its name in any case."""
    if name in mapping:
        return mapping[name]
    return next((value for key, value in mapping.items() if go_folded(key) == name), None)


_FILTER_FIELDS = ("filters", "filter", "owners", "most_recent", "include_deprecated", "region")
_OTHER_CREDENTIALS = frozenset(
    {
        *("access_key", "assume_role", "custom_endpoint_ec2", "mfa_code", "profile", "secret_key"),
        *("shared_credentials_file", "token", "vault_aws_engine"),
    }
)


def with_source_from_data(builder: Component, data: Component) -> Component:
    """Returns the builder with the filter of its `amazon-ami` data source.

    The builder's `source_ami` refers to the data source. The filter finds the same AMI. If the data source has its own
    credentials, it may find another one: unknown.
    """
    base = builder.fields["source_ami"]
    if not _OTHER_CREDENTIALS.isdisjoint(data.fields):
        why = f"the data source {data.type}.{data.name} uses its own credentials"
        return replace(builder, fields={**builder.fields, "source_ami": replace(base, value=Unknown(why=why))})
    filtered = {name: data.value(name) for name in _FILTER_FIELDS if name in data.fields}
    fields = {name: found for name, found in builder.fields.items() if name != "source_ami"}
    return replace(builder, fields={**fields, "source_ami_filter": replace(base, value=filtered)})
