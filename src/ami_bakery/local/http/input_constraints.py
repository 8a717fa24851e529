"""Checks a request against botocore's model: required members, lengths, ranges, patterns, enums.

boto3 checks only some of these before it sends a request, and moto checks few.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import re2
from moto.core.responses import ActionResult, BaseResponse
from moto.core.utils import get_service_model

if TYPE_CHECKING:
    from moto.core.common_types import TYPE_RESPONSE
    from moto.core.exceptions import ServiceException


class CheckedResponse(BaseResponse):
    """A moto service that refuses requests which violate its model."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.automated_parameter_parsing = True  # parses requests by the model

    def violation(self, text: str) -> ServiceException:
        """Returns the service's error for a request that violates its model."""
        raise NotImplementedError(text)

    def call_action(self) -> TYPE_RESPONSE:
        shape = get_service_model(self.service_name).operation_model(self._get_action()).input_shape
        found = list(_violations(shape, self.params, "")) if shape else []
        if not found:
            answer: TYPE_RESPONSE = super().call_action()
            return answer
        noun = "error" if len(found) == 1 else "errors"
        text = f"{len(found)} validation {noun} detected: {'; '.join(found)}"
        status, headers, body = self.serialized(ActionResult(self.violation(text)))
        return status, *self._enrich_response(headers, body)


def _violations(shape: Any, value: Any, path: str) -> Iterator[str]:
    """Yields the violations of a value and its members, in AWS's words."""
    match shape.type_name:
        case "structure" if hasattr(value, "get"):
            for name, member in shape.members.items():
                inner = _member_path(path, name)
                found = value.get(name)
                if found is not None:
                    yield from _violations(member, found, inner)
                elif name in shape.required_members:
                    yield f"Value null at '{inner}' failed to satisfy constraint: Member must not be null"
        case "list" if isinstance(value, list):
            yield from _sentence(value, path, _length(shape, value))
            yield from _list_violations(shape.member, value, path)
        case "string" if isinstance(value, str):
            hidden = bool(shape.serialization.get("sensitive") or shape.metadata.get("sensitive"))
            yield from _sentence(value, path, _text_constraints(shape, value), hidden=hidden)
        case "integer" | "long" if isinstance(value, int):
            yield from _sentence(value, path, _range(shape, value))


def _list_violations(member: Any, values: list[Any], path: str) -> Iterator[str]:
    if member.type_name != "string":
        for number, one in enumerate(values, 1):
            yield from _violations(member, one, f"{path}.{number}.member")
    elif any(list(_text_constraints(member, one)) for one in values):
        constraints = ", ".join(_all_text_constraints(member))
        yield from _sentence(values, path, [f"Member must satisfy constraint: [{constraints}]"])


def _member_path(path: str, name: str) -> str:
    inner = name[:1].lower() + name[1:]
    return f"{path}.{inner}" if path else inner


def _sentence(value: Any, path: str, constraints: Any, *, hidden: bool = False) -> Iterator[str]:
    shown = f"[{', '.join(map(str, value))}]" if isinstance(value, list) else value
    quoted = "" if hidden else f" '{shown}'"
    for constraint in constraints:
        yield f"Value{quoted} at '{path}' failed to satisfy constraint: {constraint}"


def _length(shape: Any, value: Any) -> Iterator[str]:
    limits: Mapping[str, Any] = shape.metadata
    if len(value) > limits.get("max", len(value)):
        yield f"Member must have length less than or equal to {limits['max']}"
    if len(value) < limits.get("min", 0):
        yield f"Member must have length greater than or equal to {limits['min']}"


def _range(shape: Any, value: int) -> Iterator[str]:
    limits: Mapping[str, Any] = shape.metadata
    if value > limits.get("max", value):
        yield f"Member must have value less than or equal to {limits['max']}"
    if value < limits.get("min", value):
        yield f"Member must have value greater than or equal to {limits['min']}"


def _text_constraints(shape: Any, value: str) -> Iterator[str]:
    yield from _length(shape, value)
    if shape.enum and value not in shape.enum:
        yield f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    pattern = shape.metadata.get("pattern")
    compiled = _compiled(pattern) if pattern else None
    if compiled is not None and not compiled.fullmatch(value):
        yield f"Member must satisfy regular expression pattern: {pattern}"


def _all_text_constraints(shape: Any) -> Iterator[str]:
    limits: Mapping[str, Any] = shape.metadata
    if "max" in limits:
        yield f"Member must have length less than or equal to {limits['max']}"
    if "min" in limits:
        yield f"Member must have length greater than or equal to {limits['min']}"
    if shape.enum:
        yield f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    if "pattern" in limits:
        yield f"Member must satisfy regular expression pattern: {limits['pattern']}"


@cache
def _compiled(pattern: str) -> Any:
    """Returns a compiled pattern; None if only Java can compile it."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)  # type: ignore[no-untyped-call]
    except re2.error:
        return None
