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
        """`read_link`: returns the text of the link at a path whose folders are not links; None if it is no link."""
        self._read_link = read_link
        self._targets: dict[str, str | None] = {}
        self._folders: dict[str, Resolved] = {"/": Resolved("/", ())}

    def resolve(self, path: str) -> Resolved:
        """Follows all links."""
        return self._walk(path, ())

    def entry(self, path: str) -> Resolved:
        """Follows the links of the folder, and not the last entry itself."""
        folder, _, name = path.rstrip("/").rpartition("/")
        if name in ("", ".", ".."):
            return self.resolve(path)
        above = self._folder(folder or "/")
        return Resolved(f"{above.path.rstrip('/')}/{name}", above.links)

    def _folder(self, path: str) -> Resolved:
        if path not in self._folders:
            self._folders[path] = self._walk(path, ())
        return self._folders[path]

    def _walk(self, path: str, links: tuple[str, ...]) -> Resolved:
        folder, _, name = path.rstrip("/").rpartition("/")
        if not name:
            return Resolved("/", links)
        above = self._folder(folder or "/")
        links = (*links, *(link for link in above.links if link not in links))
        if name in ("", "."):
            return Resolved(above.path, links)
        if name == "..":
            return Resolved(above.path.rpartition("/")[0] or "/", links)
        own = f"{above.path.rstrip('/')}/{name}"
        target = self._target(own)
        if target is None or own in links or len(links) > _LINKS_AT_MOST:
            return Resolved(own, links)
        return self._walk(target if target.startswith("/") else f"{above.path}/{target}", (*links, own))

    def _target(self, path: str) -> str | None:
        if path.startswith("/proc/"):
            return None  # its links differ by process
        if path not in self._targets:
            self._targets[path] = self._read_link(path)
        return self._targets[path]
