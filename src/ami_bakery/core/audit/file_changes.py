"""The files that a build itself creates, moves and removes."""

from __future__ import annotations

from collections.abc import Callable, Iterator


class FileChanges:
    """Follows changes of files. All paths are absolute, with links resolved.

    existed  whether a path existed before the build
    """

    def __init__(self, existed: Callable[[str], bool]) -> None:
        self._existed = existed
        self._written: set[str] = set()
        self._folders: set[str] = set()
        self._origins: dict[str, str] = {}
        self._gone: set[str] = set()
        self._parents: set[str] = set()
        self.created: set[str] = set()
        """All paths that the build created, even if it removed them later."""

    def exists(self, path: str) -> bool:
        return self.is_written(path) or path in self._origins or (path not in self._gone and self._existed(path))

    def is_gone(self, path: str) -> bool:
        """Whether the build removed or moved the path, or created its folder."""
        return path in self._gone or any(above in self._folders or above in self._gone for above in _above(path))

    def was_temporary(self, path: str) -> bool:
        """Whether the build created and removed the path. An open descriptor still leads to it."""
        return path in self._gone and path in self.created

    def is_written(self, path: str) -> bool:
        """Whether the build wrote the whole content."""
        if path in self._written:
            return True
        if path in self._origins:
            return False
        for above in _above(path):
            if above in self._origins:
                return False
            if above in self._folders:
                return True
        return path in self._folders

    def origin(self, path: str) -> str:
        """Returns the path that the content had before the build."""
        if not self._origins:
            return path
        for prefix in (path, *_above(path)):
            if prefix in self._origins:
                return self._origins[prefix] + path[len(prefix) :]
        return path

    def write(self, path: str) -> None:
        self._written.add(path)
        self._origins.pop(path, None)
        self._appear(path)

    def make_folder(self, path: str) -> None:
        self._folders.add(path)
        self._origins.pop(path, None)
        self._appear(path)

    def remove(self, path: str) -> None:
        self._written.discard(path)
        self._folders.discard(path)
        self._origins.pop(path, None)
        self._gone.add(path)

    def link(self, old: str, new: str) -> None:
        """A hard link: `new` has the content of `old`."""
        if self.is_written(old):
            self.write(new)
        else:
            self._origins[new] = self.origin(old)
            self._written.discard(new)
            self._appear(new)

    def move(self, old: str, new: str) -> None:
        is_written, origin, is_folder = self.is_written(old), self.origin(old), old in self._folders
        # Most renames are of files: do not search all paths for each.
        has_children = old in self._parents
        inside = [path for path in (*self._written, *self._folders) if has_children and path.startswith(f"{old}/")]
        moved = {path: came for path, came in self._origins.items() if has_children and path.startswith(f"{old}/")}
        folders = {path for path in inside if path in self._folders}
        for path in (*inside, *moved):
            self.remove(path)
        self.remove(old)
        self.remove(new)
        if is_folder:
            self.make_folder(new)
        elif is_written:
            self.write(new)
        else:
            self._origins[new] = origin
            self._appear(new)
        for path in inside:
            (self.make_folder if path in folders else self.write)(new + path[len(old) :])
        for path, came_from in moved.items():
            self._origins[new + path[len(old) :]] = came_from
            self._appear(new + path[len(old) :])

    def exchange(self, one: str, other: str) -> None:
        aside = f"{one}\0"
        self.move(one, aside)
        self.move(other, one)
        self.move(aside, other)
        self.created.discard(aside)

    def _appear(self, path: str) -> None:
        self._gone.discard(path)
        self.created.add(path)
        self._parents.update(_above(path))


def _above(path: str) -> Iterator[str]:
    """Yields the folders above a path, the nearest first."""
    while path := path.rpartition("/")[0]:
        yield path
