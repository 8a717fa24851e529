"""Finds the files that a fully or partly known name may mean."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from ami_bakery.template.ansible.jinja.holes import FACT, HOLE, has_hole
from ami_bakery.template.source_tree import FileKind

if TYPE_CHECKING:
    from ami_bakery.template.definition import Reading


def find_paths(reading: Reading, text: str, folders: tuple[str, ...]) -> list[str]:
    """Returns existing paths that a text may name, relative to the root.

    A text without holes counts in every folder. With holes, the whole folder before the first hole counts. Without a
    folder before it, a hole within a name matches one word, and a hole at the beginning matches nothing.
    """
    if not has_hole(text):
        paths = dict.fromkeys(reading.paths.resolve(text, folder) for folder in folders)
        return [path for path in paths if isinstance(path, str) and reading.tree.entry(path, follow=True) is not None]
    before = re.split(f"[{HOLE}{FACT}]", text, maxsplit=1)[0]
    prefix = before.rpartition("/")[0]
    if prefix.strip("./"):
        inside = (reading.paths.resolve(prefix, folder) for folder in folders)
        return [path for path in inside if isinstance(path, str) and _is_inside(path) and is_folder(reading, path)]
    return [] if not before and HOLE in text else _words(reading, text, folders)


def _is_inside(path: str) -> bool:
    """Whether a path is below the root: a whole folder outside is never an input."""
    return path != "." and not path.startswith(("/", ".."))


def is_folder(reading: Reading, path: str) -> bool:
    return _kind(reading, path) is FileKind.FOLDER


def is_file(reading: Reading, path: str) -> bool:
    return _kind(reading, path) is FileKind.FILE


def _kind(reading: Reading, path: str) -> FileKind | None:
    """Returns the kind of a path; None if it does not exist, or is not a valid file name."""
    resolved = reading.paths.resolve(path, ".")
    entry = reading.tree.entry(resolved, follow=True) if isinstance(resolved, str) else None
    return entry.kind if entry else None


def _words(reading: Reading, text: str, folders: tuple[str, ...]) -> list[str]:
    """Returns files in all search folders whose path matches a text. Each hole of the text matches one word."""
    text = text.replace(HOLE, FACT)
    fits = re.compile("".join("[^/]*" if part == FACT else re.escape(part) for part in re.split(f"({FACT})", text)))
    found = []
    for folder in folders:
        inside = posixpath.normpath(posixpath.join(folder, posixpath.dirname(text.split(FACT, 1)[0])))
        children = reading.tree.children(inside) if is_folder(reading, inside) else ()
        paths = (posixpath.normpath(child.path) for child in children)
        found += [path for path in paths if fits.fullmatch(posixpath.relpath(path, folder))]
    return found
