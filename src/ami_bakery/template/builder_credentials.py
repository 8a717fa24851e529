"""Reads the credentials that a builder configures instead of the environment's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ami_bakery.template.env_inputs import unused_variable
from ami_bakery.template.expression.known_values import (
    HOLE,
    Unknown,
    Value,
    as_text,
    is_mapping,
    is_sequence,
    is_tainted,
)
from ami_bakery.template.facts import Login

if TYPE_CHECKING:
    from ami_bakery.template.component import Component

_STRING_FIELDS = ("access_key", "secret_key", "token", "profile", "shared_credentials_file")
_KEYS = ("access_key", "secret_key", "token")
_SHOWN = ("profile", "shared_credentials_file")
"""Fields whose values messages may show."""
_HIDDEN = "it depends on a file, the environment or a secret"
_BLOCKS = ("assume_role", "assume_role_with_web_identity", "vault_aws_engine")


def login_of(component: Component, environment: Mapping[str, str]) -> Login | None:
    """Returns the builder's own credentials; None if it uses the environment's.

    To Packer, an empty string is the same as an absent field, and a token alone has no effect.
    """
    known: dict[str, str] = {}
    unknown: dict[str, str] = {}
    for name in _STRING_FIELDS:
        value = component.value(name)
        if isinstance(value, Unknown) and value.known in ("", HOLE) and name in _KEYS:
            # The value of a secret variable is used as credentials, which no message shows.
            value = environment.get(unused_variable(value.why), value)
        if isinstance(value, Unknown):
            unknown[name] = value.why
        elif name in _SHOWN and value not in (None, "") and is_tainted(value):
            unknown[name] = _HIDDEN
        elif value is not None and (text := as_text(value)):
            known[name] = str(text)
    blocks = [name for name in _BLOCKS if name in component.fields and component.value(name) not in (None, ())]
    role, why = _role(component, blocks)
    if why:
        unknown[blocks[0]] = why
    if "vault_aws_engine" in blocks:
        unknown["vault_aws_engine"] = "Vault issues the credentials when the build starts"
    named = [name for name in component.fields if name in {*blocks, *(known.keys() | unknown.keys()) - {"token"}}]
    if not named:
        return None
    return Login(
        location=component.fields[named[0]].location,
        named=tuple(named),
        role=role,
        profile=known.get("profile", ""),
        credentials_file=known.get("shared_credentials_file", ""),
        access_key=known.get("access_key", ""),
        secret_key=known.get("secret_key", ""),
        token=known.get("token", ""),
        unknown=next((f"{name}: {why}" for name, why in unknown.items() if name != "token"), ""),
    )


def _role(component: Component, blocks: list[str]) -> tuple[str, str]:
    """Returns the assumed role's ARN, or the reason why it is unknown."""
    for name in blocks:
        if not name.startswith("assume_role"):
            continue
        value: Value = component.value(name)
        if is_sequence(value):
            value = value[0] if value else None
        if isinstance(value, Unknown):
            return "", value.why
        arn = value.get("role_arn") if is_mapping(value) else None
        if isinstance(arn, Unknown):
            return "", arn.why
        if is_tainted(arn):
            return "", _HIDDEN
        if arn is not None and (text := str(as_text(arn))):
            return text, ""
    return "", ""
