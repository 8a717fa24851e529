"""The original bakery's checksum, byte for byte, so that AMIs which it baked are found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from ami_bakery.core.digest import Digest, Scheme


def parse_folders(text: str) -> tuple[tuple[str, ...], int]:
    """`AMI_DEFINITION_DIRS` as its folders, blanks around each dropped, and how many of its entries were empty.

    The original took an empty entry for a folder with nothing in it; so it adds nothing to the checksum.
    """
    entries = [entry.strip() for entry in text.split(",")]
    folders = tuple(entry for entry in entries if entry)
    return folders, len(entries) - len(folders)


def is_covered(name: str) -> bool:
    """Whether the original takes a file of this name: it looks at the first character only."""
    return not name.startswith(".")


def checksum(files: Iterable[tuple[str, str]]) -> Digest:
    """From (joined path, SHA-1 of the content as hex) to the AMI config checksum.

    Paths sort by code point. A path that stands twice (overlapping folders) counts twice, as it did.
    """
    concatenated = "".join(sha1 for _, sha1 in sorted(files))
    return Digest(Scheme.SHA1, hashlib.sha1(concatenated.encode("ascii"), usedforsecurity=False).hexdigest())
