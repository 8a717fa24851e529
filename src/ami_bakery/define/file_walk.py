"""Walks a path and yields all files under it: through folders, links and globs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from ami_bakery.core.definition.manifest import Entry, EntryKind
from ami_bakery.errors import SourceError
from ami_bakery.template.source_tree import FileKind, SourceTree, TreeEntry
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.define.output_paths import OutputPaths
    from ami_bakery.template.location import SourceLocation

VERSION_CONTROL = (".git", ".hg", ".svn", ".bzr")
"""Excluded everywhere: they belong to the checkout, not to the image."""

_GLOB = re.compile(r"[*?\[]")


class NamedBy(Frozen):
    """An input path, and the line that names it.

    required  whether a missing path is an error
    declared  whether it is in bakery.toml, so that it may be a glob
    guessed   whether it is an argument of a local command, so that `ignore` applies to it
    written   the text that a message shows instead of the path; empty if it may show the path
    left_out  paths below it that are not inputs of this origin, relative to the root
    """

    path: str
    location: SourceLocation
    required: bool = True
    declared: bool = False
    guessed: bool = False
    written: str = ""
    left_out: frozenset[str] = frozenset()


class _Ignore:
    """The paths that the walk of one origin excludes.

    The image's `ignore` applies to folders in bakery.toml and to arguments of local commands. It does not apply to
    uploads, because Packer uploads complete folders. Patterns that match the origin itself do not apply, because it was
    named explicitly. Nor do the names of version-control folders above it.
    """

    def __init__(self, origin: NamedBy, path: str, patterns: Iterable[str], config_file: str) -> None:
        own: list[str] = []
        if origin.declared:
            own = [pattern for pattern in patterns if not _matches([pattern], path, folder=True)]
        elif origin.guessed:
            own = list(patterns)
        self._spec = _spec(own) if own else None
        self._left_out = origin.left_out
        # The digest contains the image's settings anyway, and the rest of bakery.toml is about other images.
        is_chosen = origin.declared or origin.guessed
        self._config_file = config_file if is_chosen and path != config_file else None

    def excludes_all(self, path: str, *, folder: bool) -> bool:
        """Whether a pattern matches a guessed origin, or any parent folder."""
        parts = path.split("/")
        above = ["/".join(parts[:count]) for count in range(1, len(parts))]
        return self._spec is not None and (
            self._spec.match_file(_as_matched(path, folder=folder))
            or any(self._spec.match_file(_as_matched(each, folder=True)) for each in above if each.strip("./"))
        )

    def matches(self, path: str, *, folder: bool) -> bool:
        """Whether an entry below the origin is excluded. Its parent folders must not be excluded."""
        if path.endswith(VERSION_CONTROL) and path.rpartition("/")[2] in VERSION_CONTROL:
            return True
        if path == self._config_file or path in self._left_out:
            return True
        return self._spec is not None and self._spec.match_file(_as_matched(path, folder=folder))


def _matches(patterns: Iterable[str], path: str, *, folder: bool) -> bool:
    return _spec(patterns).match_file(_as_matched(path, folder=folder))


def _spec(patterns: Iterable[str]) -> GitIgnoreSpec:
    """Imports pathspec only if there are patterns: most images have none."""
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(patterns)


def _as_matched(path: str, *, folder: bool) -> str:
    """Converts a path for pathspec, whose patterns start at the root."""
    while path.startswith("../"):
        path = path[3:]
    return path.lstrip("/") + ("/" if folder else "")


class WalkEntry(NamedTuple):
    """An entry of a walk. `target` is the text of a link; folders and links to folders have no content."""

    path: str
    kind: EntryKind
    location: SourceLocation
    has_content: bool
    target: str | None = None

    def entry(self, home: str, sha256: str | None = None, executable: bool = False) -> Entry:
        path = display_path(self.path, home) if home else self.path
        return Entry(path, self.kind, executable, sha256, self.target)


class FileWalk:
    """Yields all entries of one origin, in the manifest's order. Each iteration walks again.

    walked     the paths of each folder, by its real path
    left_out   the names of excluded entries of each folder, by its real path
    has_files  whether it yielded files
    """

    def __init__(
        self, tree: SourceTree, image: ImageConfig, config_file: str, outputs: OutputPaths, origin: NamedBy
    ) -> None:
        self.tree = tree
        self.origin = origin
        self.path = tree.relative(origin.path)
        self.outputs = outputs
        self.ignore = _Ignore(origin, self.path, image.ignore, config_file)
        self.walked: dict[str, list[str]] = {}
        self._start = tree.identity(self.path) if tree.entry(self.path, follow=True) is not None else None
        self.left_out: dict[str, set[str]] = {}
        self.has_files = False

    def __iter__(self) -> Iterator[WalkEntry]:
        try:
            for found in self._found():
                self.has_files = self.has_files or found.kind is not EntryKind.FOLDER
                yield found
        except SourceError as error:
            written = self.origin.written
            if written:
                # Not `from error`: a bug report would show the path, which `written` hides.
                raise error_at(
                    self.origin.location, SourceError(f"looking for {written}", error.wrong, error.todo)
                ) from None
            raise error_at(self.origin.location, error) from error

    def would_yield(self, real: str) -> bool:
        """Whether the last walk would have yielded a file. `real` is its real path."""
        folder, _, name = real.rpartition("/")
        return not self.outputs.holds(real) and any(
            not self.ignore.matches(name if path == "." else f"{path}/{name}", folder=False)
            for path in self.walked.get(folder or "/", ())
        )

    def glob_would_yield(self, real: str) -> bool:
        """Whether a file at this real path would match the origin's pattern."""
        if not self.origin.declared or self.tree.entry(self.path) is not None or not _GLOB.search(self.path):
            return False
        folder, spec = _split_glob(self.path)
        start = self.tree.entry(folder, follow=True)
        if start is None or start.kind is not FileKind.FOLDER:
            return False
        above = self.tree.identity(folder).rstrip("/") + "/"
        return real.startswith(above) and spec.match_file(real[len(above) :])

    def _found(self) -> Iterator[WalkEntry]:
        start = self.tree.entry(self.path)
        if start is not None:
            is_folder = start.kind is FileKind.FOLDER
            if not self.origin.guessed or not self.ignore.excludes_all(self.path, folder=is_folder):
                yield from self._at(start, ())
        elif self.origin.declared and _GLOB.search(self.path):
            yield from self._at_glob()
        elif self.origin.required:
            raise _missing(self.path)

    def _at_glob(self) -> Iterator[WalkEntry]:
        found = False
        for entry in self._matching():
            found = True
            yield from self._at(entry, ())
        if not found:
            raise SourceError(
                f"looking for {self.path}", "nothing matches", "Fix the pattern, or remove it from the inputs."
            )

    def _matching(self) -> Iterator[TreeEntry]:
        """Yields the entries that match a glob: `*` and `?` within a name, `**` across folders, as in gitignore."""
        folder, spec = _split_glob(self.path)
        start = self.tree.entry(folder, follow=True)
        if start is not None and start.kind is FileKind.FOLDER:
            yield from self._matching_below(folder, folder, spec, ())

    def _matching_below(
        self, folder: str, start: str, spec: GitIgnoreSpec, above: tuple[str, ...]
    ) -> Iterator[TreeEntry]:
        """Yields matching entries below a folder. Follows links to folders, except those back to a parent folder."""
        identity = self.tree.identity(folder)
        if identity in above:
            return
        for child in self._kept(self.tree.children(folder), identity):
            within = child.path if start == "." else child.path[len(start) :].lstrip("/")
            if spec.match_file(within):
                yield child
            elif child.kind is FileKind.FOLDER or self._leads_to_folder(child):
                yield from self._matching_below(child.path, start, spec, (*above, identity))

    def _leads_to_folder(self, child: TreeEntry) -> bool:
        target = self.tree.entry(child.path, follow=True) if child.kind is FileKind.LINK else None
        return target is not None and target.kind is FileKind.FOLDER

    def _kept(self, children: Iterable[TreeEntry], identity: str) -> Iterator[TreeEntry]:
        """Yields a folder's entries that are not excluded, sorted by name; paths have no leading `./`."""
        may_hold_outputs = self.outputs.may_lie_in(identity)
        for child in sorted(children, key=_path_as_bytes):
            path = child.path.removeprefix("./")
            name = path.rpartition("/")[2]
            is_folder = child.kind is FileKind.FOLDER
            if (may_hold_outputs and self._is_output(f"{identity.rstrip('/')}/{name}")) or self.ignore.matches(
                path, folder=is_folder
            ):
                self.left_out.setdefault(identity.rstrip("/") or "/", set()).add(name)
                continue
            yield child if path is child.path else TreeEntry(path, child.kind)

    def _is_output(self, real: str) -> bool:
        """Whether a path is an output. Patterns for a whole folder do not apply if bakery.toml names it."""
        return self.outputs.holds(real, declared_at=self._start if self.origin.declared else None)

    def _at(self, found: TreeEntry, above: tuple[str, ...], identity: str | None = None) -> Iterator[WalkEntry]:
        """Yields the entry at a path, and all entries below it.

        above     the identities of the parent folders
        identity  the folder's own identity, if known
        """
        path = found.path
        match found.kind:
            case FileKind.FILE:
                yield WalkEntry(path, EntryKind.FILE, self.origin.location, True)
            case FileKind.FOLDER:
                yield from self._at_folder(path, above, identity or self.tree.identity(path))
            case FileKind.LINK:
                yield from self._at_link(path, above)
            case FileKind.OTHER:
                todo = f"Remove it{self._or_ignore}." if above or self.origin.declared else "Name a file, or a folder."
                raise SourceError(f"reading {path}", "it is a pipe, a socket or a device", todo)

    @property
    def _or_ignore(self) -> str:
        """Advice about `ignore`, which does not apply to uploads."""
        return ", or add it to `ignore`" if self.origin.declared else ": the template uploads the complete folder"

    def _at_folder(self, path: str, above: tuple[str, ...], identity: str) -> Iterator[WalkEntry]:
        if identity in above:
            raise SourceError(f"reading {path}", "the links form a circle", f"Remove the link{self._or_ignore}.")
        self.walked.setdefault(identity.rstrip("/") or "/", []).append(path)
        children = self.tree.children(path)
        # Packer uploads an empty folder, and no entry below would show it. A folder with only excluded entries is not
        # empty: the bake itself may create it.
        if not children and path != "." and not self.outputs.makes_folder(identity):
            yield WalkEntry(path, EntryKind.FOLDER, self.origin.location, False)
        for child in self._kept(children, identity):
            if child.kind is FileKind.FILE:
                yield WalkEntry(child.path, EntryKind.FILE, self.origin.location, True)
            else:
                own = f"{identity.rstrip('/')}/{child.path.rpartition('/')[2]}"
                yield from self._at(child, (*above, identity), own)

    def _at_link(self, path: str, above: tuple[str, ...]) -> Iterator[WalkEntry]:
        target = self.tree.entry(path, follow=True)
        text = self.tree.link_target(path)
        if target is None:
            raise SourceError(
                f"following the link {path}", f"its target {text} does not exist", "Fix or remove the link."
            )
        if target.kind is FileKind.OTHER:
            raise SourceError(
                f"following the link {path}", f"its target {text} is not a file or folder", "Remove the link."
            )
        is_file = target.kind is FileKind.FILE
        yield WalkEntry(path, EntryKind.LINK, self.origin.location, is_file, self._portable(text))
        if not is_file:
            yield from self._at_folder(path, above, self.tree.identity(path))

    def _portable(self, text: str) -> str:
        """Makes an absolute link into the root independent of the checkout's path."""
        if not text.startswith("/"):
            return text
        inside = self.tree.relative(text)
        return text if inside.startswith("/") else f"<root>/{inside}"


def _path_as_bytes(entry: TreeEntry) -> bytes:
    return entry.path.encode("utf-8", "surrogateescape")


def error_at(location: SourceLocation, error: SourceError) -> SourceError:
    """Returns the error with the line that names the path."""
    doing = f"{error.doing} (named at {location})"
    return SourceError(doing, error.wrong, error.todo, marks=(location.mark(str(error)),))


def _split_glob(pattern: str) -> tuple[str, GitIgnoreSpec]:
    """Splits a glob into its fixed folder and the pattern below it."""
    parts = pattern.split("/")
    plain = next(index for index, part in enumerate(parts) if _GLOB.search(part))
    folder = "/".join(parts[:plain]) or ("/" if pattern.startswith("/") else ".")
    return folder, _spec(["/" + "/".join(parts[plain:])])


def _missing(path: str) -> SourceError:
    return SourceError(f"looking for {path}", "no such file or folder", "Create it, or fix the path.")


def display_path(path: str, home: str) -> str:
    return f"~/{path[len(home) :]}" if home and path.startswith(home) else path
