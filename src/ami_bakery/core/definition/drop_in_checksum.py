"""Computes the original bakery's checksum, byte for byte. Drop-in mode finds the original's AMIs by the checksum."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from ami_bakery.core.definition.digest import Digest, Scheme


def parse_folders(text: str) -> tuple[tuple[str, ...], int]:
    """Splits `AMI_DEFINITION_DIRS` into stripped folders, and counts the empty entries.

    In the original, an empty entry was an empty folder; it adds nothing to the checksum.
    """
    entries = [entry.strip() for entry in text.split(",")]
    folders = tuple(entry for entry in entries if entry)
    return folders, len(entries) - len(folders)


def is_covered(name: str) -> bool:
    """Whether the original covers a file of this name: it only checks the first character."""
    return not name.startswith(".")


def checksum(files: Iterable[tuple[str, str]]) -> Digest:
    """Computes the checksum from (joined path, SHA-1 of the content as hex).

    Paths are sorted by code point. A path that occurs twice (overlapping folders) counts twice, as in the original.
    """
    return checksum_of_sorted(sha1 for _, sha1 in sorted(files))


def checksum_of_sorted(sha1s: Iterable[str]) -> Digest:
    """Computes the checksum from the SHA-1s, in the order of the paths."""
    concatenated = hashlib.sha1(usedforsecurity=False)
    for sha1 in sha1s:
        concatenated.update(sha1.encode("ascii"))
    return Digest(Scheme.SHA1, concatenated.hexdigest())
