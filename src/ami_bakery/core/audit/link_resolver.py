"""Resolves links in paths, with a cache; the caller reads the links."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

_LINKS_AT_MOST = 40
"""Linux's limit (path_resolution(7))."""


class Resolved(NamedTuple):
    """A path without links, and the links on the way to it."""

    path: str
    links: tuple[str, ...]


class LinkResolver:
    """Resolves absolute paths. Missing entries count as entries that are not links."""

    def __init__(self, read_link: Callable[[str], str | None]) -> None:
        """`read_link`: returns the text of a link; None for other paths. The folders of its path are no links."""
        self._read_link = read_link
        self._targets: dict[str, str | None] = {}
        self._folders: dict[str, Resolved] = {}

    def resolve(self, path: str) -> Resolved:
        """Follows all links."""
        folder, _, name = path.rstrip("/").rpartition("/")
        return self._walk(self._folder(folder), name)

    def entry(self, path: str) -> Resolved:
        """Follows the links of the folder, and not the last entry itself."""
        folder, _, name = path.rstrip("/").rpartition("/")
        if name in ("", ".", ".."):
            return self.resolve(path)
        above = self._folder(folder)
        return Resolved(f"{above.path.rstrip('/')}/{name}", above.links)

    def _folder(self, path: str) -> Resolved:
        if path not in self._folders:
            self._folders[path] = self._walk(Resolved("/", ()), path)
        return self._folders[path]

    def _walk(self, start: Resolved, path: str) -> Resolved:
        """Follows a path from a folder without links."""
        here, links = start.path.rstrip("/"), list(start.links)
        waiting, followed = path.split("/")[::-1], 0
        while waiting:
            part = waiting.pop()
            if part in ("", "."):
                continue
            if part == "..":
                here = here.rpartition("/")[0]
                continue
            own = f"{here}/{part}"
            target = self._target(own) if followed < _LINKS_AT_MOST else None
            if target is None:
                here = own
                continue
            followed += 1
            if own not in links:
                links.append(own)
            waiting.extend(target.split("/")[::-1])
            here = "" if target.startswith("/") else here
        return Resolved(here or "/", tuple(links))

    def _target(self, path: str) -> str | None:
        if path.startswith("/proc/"):
            return None  # Links in /proc differ by process.
        if path not in self._targets:
            self._targets[path] = self._read_link(path)
        return self._targets[path]
