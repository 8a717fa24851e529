"""The digest of an image's definition: a value that refuses malformed text."""

from __future__ import annotations

import re
from enum import StrEnum

from ami_bakery.values import Frozen


class Scheme(StrEnum):
    """How a digest is computed: `SHA1` is the original bakery's checksum, `SHA256` that of the manifest."""

    SHA1 = "sha1"
    SHA256 = "sha256"


_HEX = {Scheme.SHA1: re.compile("[0-9a-f]{40}"), Scheme.SHA256: re.compile("[0-9a-f]{64}")}

SHORT_LENGTH = 12
"""Hex digits in messages and in the components tag: 48 bits."""


class Digest(Frozen):
    """A scheme and its lower-case hex digits; `str()` returns only the digits, as in the tag."""

    scheme: Scheme
    hex: str

    def __init__(self, scheme: Scheme, hex: str) -> None:
        if not _HEX[scheme].fullmatch(hex):
            raise ValueError(f"not a {scheme} digest: {hex!r}")
        super().__init__(scheme=scheme, hex=hex)

    def __str__(self) -> str:
        return self.hex

    @property
    def short(self) -> str:
        return self.hex[:SHORT_LENGTH]
