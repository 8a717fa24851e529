"""Pages with MaxResults and NextToken, like AWS, with a configurable maximum size."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from moto.ec2.exceptions import EC2ClientError

Item = TypeVar("Item")


class ForeignTokenError(Exception):
    """A token of another action, or one that was not issued here."""


def page(
    items: Sequence[Item], *, action: str, max_results: int | None, token: str | None, cap: int
) -> tuple[Sequence[Item], str | None]:
    """Returns one page of `items`, and the next page's token or None. Raises for a foreign token."""
    if max_results is not None and not 1 <= max_results <= 1000:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"Value ( {max_results} ) for parameter maxResults is invalid. Expecting 1 to 1000.",
        )
    try:
        return cut_page(items, action=action, size=min(cap, max_results or cap), token=token)
    except ForeignTokenError:
        text = f"The specified NextToken is not valid: {token}"
        raise EC2ClientError("InvalidNextToken", text) from None


def cut_page(items: Sequence[Item], *, action: str, size: int, token: str | None) -> tuple[Sequence[Item], str | None]:
    """Returns one page of `size` items, and the next token or None. Raises `ForeignTokenError`."""
    start = _start(action, token)
    following = _token(action, start + size) if start + size < len(items) else None
    return items[start : start + size], following


def _token(action: str, start: int) -> str:
    return base64.urlsafe_b64encode(f"{action}:{start}".encode()).decode()


def _start(action: str, token: str | None) -> int:
    if not token:
        return 0
    try:
        name, _, start = base64.b64decode(token, altchars=b"-_", validate=True).decode().partition(":")
        if name == action:
            return int(start)
    except (binascii.Error, ValueError):
        pass
    raise ForeignTokenError
