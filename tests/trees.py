"""Writes a source tree for a test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ami_bakery.adapters.files.source_tree import DiskTree


def write_tree(root: Path, files: Mapping[str, str]) -> DiskTree:
    """Writes files by path. The content `-> target` creates a link; a path that ends in `/`, a folder."""
    for name, content in files.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("-> "):
            path.symlink_to(content[3:])
        else:
            path.write_text(content)
    return DiskTree(str(root))
