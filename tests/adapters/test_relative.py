"""Normalized paths relative to the root."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path

from ami_bakery.adapters.files.source_tree import DiskTree


def test_every_spelling_of_a_path_has_the_same_normalized_form(tmp_path: Path) -> None:
    tree = DiskTree(str(tmp_path))
    for length in (1, 2, 3, 4):
        for parts in product(("a", ".", "..", "", "...", ".b", "c.", "d e"), repeat=length):
            path = "/".join(parts)
            if parts[0]:
                assert tree.relative(path) == os.path.relpath(os.path.normpath(f"{tmp_path}/{path}"), tmp_path), path
