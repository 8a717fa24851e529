"""The original bakery's checksum, byte for byte, so that AMIs which it baked are found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from ami_bakery.core.definition.digest import Digest, Scheme


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
    return checksum_of_sorted(sha1 for _, sha1 in sorted(files))


def checksum_of_sorted(sha1s: Iterable[str]) -> Digest:
    """From the SHA-1s alone, in the order of the paths."""
    concatenated = hashlib.sha1(usedforsecurity=False)
    for sha1 in sha1s:
        concatenated.update(sha1.encode("ascii"))
    return Digest(Scheme.SHA1, concatenated.hexdigest())
