"""From an image's definition to every file that it is made of, and which line of which file names it.

Inputs come from two places: what `bakery.toml` declares, and what the template itself makes Packer read. Folders are
walked, links are recorded and what they lead to is recorded under the link's own path, since that is what Packer
uploads. What cannot be hashed truly (missing, unreadable, a pipe, a link in a circle) stops the program.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pathspec

from ami_bakery.core.config import ImageConfig
from ami_bakery.core.manifest import Entry, EntryKind
from ami_bakery.core.template import Place, TemplateFacts
from ami_bakery.errors import SourceError
from ami_bakery.ports import FileKind, SourceTree, TreeEntry

BUILT_IN_IGNORES = (
    ".git",
    ".hg",
    ".svn",
    ".bzr",
    ".ami_id.json",
    "packer_cache/",
    "crash.log",
    "packer-manifest.json",
)
"""Version control's own folders, our output and Packer's: no part of an image, and most of them change by baking."""

_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """A path that is in, and the line that says so. `declared`: bakery.toml says it, so that a glob may be meant."""

    path: str
    place: Place
    required: bool = True
    declared: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Inventory:
    """Every input, sorted as the manifest has them, and the places that name each, by path."""

    entries: tuple[Entry, ...]
    named_by: Mapping[str, tuple[Place, ...]]


def template_folder(tree: SourceTree, template: str) -> str:
    """The folder of a template; a folder of HCL2 files is its own. Relative to the root."""
    path = tree.relative(template)
    entry = tree.entry(path, follow=True)
    if entry is not None and entry.kind is FileKind.FOLDER:
        return path
    return path.rpartition("/")[0] or ("/" if path.startswith("/") else ".")


def collect(tree: SourceTree, image: ImageConfig, config_file: str, facts: TemplateFacts) -> Inventory:
    """Every input of `image`. Raises `SourceError` with the place that names what cannot be had."""
    outputs = frozenset(tree.relative(output.path) for output in facts.outputs)
    walker = _Walker(tree, _Ignore(image.ignore, outputs))
    for origin in _declared(tree, image, config_file):
        walker.add(origin)
    if all(entry.kind is EntryKind.FOLDER for entry in walker.entries.values()):
        place = Place(file=config_file, line=image.line("inputs"))
        raise SourceError(
            f"listing the inputs of image {image.name} ({place})",
            "there is no file in them",
            "Name the files and folders that the image is made of in `inputs`.",
        )
    for origin in _read_by_packer(image, config_file, facts):
        walker.add(origin)
    entries = sorted(walker.entries.values(), key=lambda entry: entry.sort_key)
    return Inventory(
        entries=tuple(entries),
        named_by={path: tuple(sorted(places)) for path, places in walker.named_by.items()},
    )


def _declared(tree: SourceTree, image: ImageConfig, config_file: str) -> Iterator[Origin]:
    if image.inputs is None:
        place = Place(file=config_file, line=image.line("template"))
        yield Origin(path=template_folder(tree, image.template), place=place)
    for index, path in enumerate(image.inputs or ()):
        yield Origin(path=path, place=Place(file=config_file, line=image.line("inputs", index)), declared=True)


def _read_by_packer(image: ImageConfig, config_file: str, facts: TemplateFacts) -> Iterator[Origin]:
    for path in facts.files:
        yield Origin(path=path, place=Place(file=config_file, line=image.line("template")))
    for index, path in enumerate(image.var_files):
        yield Origin(path=path, place=Place(file=config_file, line=image.line("var_files", index)))
    for reference in facts.references:
        yield Origin(path=reference.path, place=reference.place, required=reference.required)


class _Ignore:
    """The built-in patterns, the image's own, and what the template makes Packer write."""

    def __init__(self, patterns: Iterable[str], outputs: frozenset[str]) -> None:
        self._spec = pathspec.GitIgnoreSpec.from_lines([*BUILT_IN_IGNORES, *patterns])
        self._outputs = outputs

    def matches(self, path: str, *, folder: bool) -> bool:
        within = path.removeprefix("../").lstrip("/")
        return path in self._outputs or self._spec.match_file(f"{within}/" if folder else within)


class _Walker:
    def __init__(self, tree: SourceTree, ignore: _Ignore) -> None:
        self.tree = tree
        self.ignore = ignore
        self.entries: dict[str, Entry] = {}
        self.named_by: dict[str, set[Place]] = {}

    def add(self, origin: Origin) -> None:
        path = self.tree.relative(origin.path)
        try:
            found = self.tree.entry(path)
            if found is not None:
                self._visit(found, origin.place, ())
            elif origin.declared and _GLOB.search(path):
                self._add_glob(path, origin)
            elif origin.required:
                raise _missing(path)
        except SourceError as error:
            raise SourceError(f"{error.doing} (named at {origin.place})", error.wrong, error.todo) from error

    def _add_glob(self, pattern: str, origin: Origin) -> None:
        found = False
        for entry in self._matching(pattern):
            found = True
            self._visit(entry, origin.place, ())
        if not found:
            raise SourceError(
                f"looking for {pattern}", "nothing matches", "Correct the pattern, or take it out of the inputs."
            )

    def _matching(self, pattern: str) -> Iterator[TreeEntry]:
        """What a glob matches: `*` and `?` within a name, `**` across folders, as in gitignore."""
        parts = pattern.split("/")
        plain = next(index for index, part in enumerate(parts) if _GLOB.search(part))
        folder = "/".join(parts[:plain]) or "."
        spec = pathspec.GitIgnoreSpec.from_lines(["/" + "/".join(parts[plain:])])
        start = self.tree.entry(folder, follow=True)
        if start is None or start.kind is not FileKind.FOLDER:
            return
        folders = [folder]
        while folders:
            for child in self._children(folders.pop()):
                within = child.path if folder == "." else child.path[len(folder) :].lstrip("/")
                if spec.match_file(within):
                    yield child
                elif child.kind is FileKind.FOLDER:
                    folders.append(child.path)

    def _children(self, folder: str) -> Iterator[TreeEntry]:
        """A folder's entries that are not ignored, by name; paths without a leading `./`."""
        for child in sorted(self.tree.children(folder), key=lambda child: child.path):
            path = child.path.removeprefix("./")
            is_folder = child.kind is FileKind.FOLDER
            if not self.ignore.matches(path, folder=is_folder):
                yield TreeEntry(path=path, kind=child.kind, executable=child.executable)

    def _visit(self, found: TreeEntry, place: Place, above: tuple[str, ...]) -> None:
        """Record what stands at a path, and all below it. `above` are the folders on the way, by identity."""
        path = found.path
        match found.kind:
            case FileKind.FILE:
                if path not in self.entries:
                    self.entries[path] = self._file(found)
            case FileKind.FOLDER:
                self._visit_folder(path, place, above)
                return
            case FileKind.LINK:
                self._visit_link(path, place, above)
            case FileKind.OTHER:
                raise SourceError(
                    f"reading {path}",
                    "it is a pipe, a socket or a device",
                    "Take it out of the inputs, or name it in `ignore`.",
                )
        self.named_by.setdefault(path, set()).add(place)

    def _file(self, found: TreeEntry) -> Entry:
        return Entry(
            path=found.path,
            kind=EntryKind.FILE,
            executable=found.executable,
            sha256=self.tree.sha256(found.path),
        )

    def _visit_folder(self, path: str, place: Place, above: tuple[str, ...]) -> None:
        identity = self.tree.identity(path)
        if identity in above:
            raise SourceError(f"reading {path}", "links lead in a circle", "Take the link out, or name it in `ignore`.")
        children = list(self._children(path))
        for child in children:
            self._visit(child, place, (*above, identity))
        # An empty folder is uploaded as one; it is the only kind of folder that nothing below it tells of.
        if not children and path != ".":
            self.entries.setdefault(path, Entry(path=path, kind=EntryKind.FOLDER))
            self.named_by.setdefault(path, set()).add(place)

    def _visit_link(self, path: str, place: Place, above: tuple[str, ...]) -> None:
        target = self.tree.entry(path, follow=True)
        text = self.tree.link_target(path)
        if target is None:
            raise SourceError(
                f"following the link {path}", f"it leads to {text}, which is not there", "Mend or remove the link."
            )
        if target.kind is FileKind.OTHER:
            raise SourceError(
                f"following the link {path}", f"it leads to {text}, which is no file or folder", "Remove the link."
            )
        is_file = target.kind is FileKind.FILE
        self.entries[path] = Entry(
            path=path,
            kind=EntryKind.LINK,
            target=self._portable(text),
            executable=target.executable,
            sha256=self.tree.sha256(path) if is_file else None,
        )
        if not is_file:
            self._visit_folder(path, place, above)

    def _portable(self, text: str) -> str:
        """A link's text, the same in every checkout: an absolute one into the root becomes relative to it."""
        if not text.startswith("/"):
            return text
        inside = self.tree.relative(text)
        return text if inside.startswith("/") else f"<root>/{inside}"


def _missing(path: str) -> SourceError:
    return SourceError(f"looking for {path}", "there is no such file or folder", "Create it, or correct the path.")
