"""From an image's definition to every file that it is made of, and which line of which file names it.

Inputs come from two places: what `bakery.toml` declares, and what the template itself makes Packer read. Folders are
walked, links are recorded and what they lead to is recorded under the link's own path, since that is what Packer
uploads. What cannot be hashed truly (missing, unreadable, a pipe, a link in a circle) stops the program.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ami_bakery.core.manifest import Entry, EntryKind
from ami_bakery.core.template import Place, TemplateFacts
from ami_bakery.errors import SourceError
from ami_bakery.ports import FileKind, SourceTree, TreeEntry

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

    from ami_bakery.core.config import ImageConfig

VERSION_CONTROL = (".git", ".hg", ".svn", ".bzr")
"""Left out everywhere: a checkout has them, an image does not."""
PACKERS_OUTPUTS = ("packer_cache", "crash.log", "packer-manifest.json")
"""What Packer and its manifest post-processor write into the folder that Packer is started in."""
OUR_OUTPUT = ".ami_id.json"
"""What the drop-in writes beside the template."""

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


def collect(
    tree: SourceTree, image: ImageConfig, config_file: str, facts: TemplateFacts, written: Iterable[str] = ()
) -> Inventory:
    """Every input of `image`. Raises `SourceError` with the place that names what cannot be had.

    written  more files that the bake writes, relative to the root: they are no inputs
    """
    walker = _Walker(tree, image, config_file, _outputs(tree, image, facts, written))
    for origin in _declared(tree, image, config_file):
        walker.add(origin)
    if all(entry.kind is EntryKind.FOLDER for entry in walker.entries.values()):
        place = Place(file=config_file, line=image.line("inputs"))
        raise SourceError(
            f"listing the inputs of image {image.name} ({place})",
            "there is no file in them",
            "Name the files and folders that the image is made of in `inputs`.",
            marks=(place.mark("there is no file in the inputs"),),
        )
    for origin in _read_by_packer(image, config_file, facts):
        walker.add(origin)
    entries = sorted(walker.entries.values(), key=lambda entry: entry.sort_key)
    return Inventory(
        entries=tuple(entries),
        named_by={path: tuple(sorted(places)) for path, places in walker.named_by.items()},
    )


def without_home(inventory: Inventory, home: str) -> Inventory:
    """The same, with what lies in the user's home called `~/...`: it is the same definition for another user."""
    prefix = home.rstrip("/") + "/"
    if len(prefix) < 2 or not any(entry.path.startswith(prefix) for entry in inventory.entries):
        return inventory

    def told(path: str) -> str:
        return f"~/{path[len(prefix) :]}" if path.startswith(prefix) else path

    entries = sorted(
        (replace(entry, path=told(entry.path)) for entry in inventory.entries), key=lambda entry: entry.sort_key
    )
    return Inventory(
        entries=tuple(entries), named_by={told(path): places for path, places in inventory.named_by.items()}
    )


def would_be_input(tree: SourceTree, image: ImageConfig, config_file: str, facts: TemplateFacts, path: str) -> bool:
    """Whether a file that is to be written at `path` would be an input, and so change the digest by being written.

    By where it truly lies: a link may lead there, too.
    """
    walker = _Walker(tree, image, config_file, _outputs(tree, image, facts, ()), hashing=False)
    wanted = _true_place(tree, tree.relative(path))
    if wanted is None:
        return False
    origins = (*_declared(tree, image, config_file), *_read_by_packer(image, config_file, facts))
    for origin in origins:
        walker.add(origin)
    named = {_true_place(tree, tree.relative(origin.path)) for origin in origins}
    return wanted in named or walker.takes(wanted) or any(walker.glob_takes(origin, wanted) for origin in origins)


def _true_place(tree: SourceTree, path: str) -> str | None:
    """Where a path lies with all links on the way followed; None where its folder is not there."""
    folder, _, name = path.rpartition("/")
    folder = folder or ("/" if path.startswith("/") else ".")
    entry = tree.entry(folder, follow=True)
    if entry is None or entry.kind is not FileKind.FOLDER:
        return None
    return f"{tree.identity(folder).rstrip('/')}/{name}"


def _outputs(tree: SourceTree, image: ImageConfig, facts: TemplateFacts, written: Iterable[str]) -> frozenset[str]:
    """What the bake itself writes, by its true place. A folder is none: beside what is written it may hold inputs."""
    workdir = image.workdir if image.workdir is not None else template_folder(tree, image.template)
    paths = {tree.relative(path) for path in (*(output.path for output in facts.outputs), *written)}
    files = {path for path in paths if (entry := tree.entry(path)) is None or entry.kind is not FileKind.FOLDER}
    files |= {tree.relative(f"{workdir}/{name}") for name in PACKERS_OUTPUTS}
    files |= {tree.relative(f"{template_folder(tree, image.template)}/{OUR_OUTPUT}")}
    return frozenset(place for path in files if (place := _true_place(tree, path)) is not None)


def _declared(tree: SourceTree, image: ImageConfig, config_file: str) -> Iterator[Origin]:
    if image.inputs is None:
        place = Place(file=config_file, line=image.line("template"))
        yield Origin(path=template_folder(tree, image.template), place=place, declared=True)
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
    """What a walk from one origin leaves out.

    The image's own patterns hold for folders that bakery.toml declares; what the template uploads is uploaded whole.
    A pattern that matches the origin itself does not hold there, nor does a name of version control's above it: the
    origin is named, so it is meant.
    """

    def __init__(self, origin: Origin, path: str, patterns: Iterable[str], config_file: str) -> None:
        own = [pattern for pattern in patterns if not _matches([pattern], path, folder=True)] if origin.declared else []
        self._spec = _spec(own) if own else None
        # What bakery.toml says of an image is in the digest by itself; the rest of the file is of other images.
        self._config_file = config_file if origin.declared and path != config_file else None

    def matches(self, path: str, *, folder: bool) -> bool:
        """`path` is that of an entry below the origin, asked on the way down: what is above it was not left out."""
        if path.rpartition("/")[2] in VERSION_CONTROL or path == self._config_file:
            return True
        return self._spec is not None and self._spec.match_file(_as_matched(path, folder=folder))


def _matches(patterns: Iterable[str], path: str, *, folder: bool) -> bool:
    return _spec(patterns).match_file(_as_matched(path, folder=folder))


def _spec(patterns: Iterable[str]) -> GitIgnoreSpec:
    """Imported where there are patterns: most images have none."""
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(patterns)


def _as_matched(path: str, *, folder: bool) -> str:
    """As pathspec takes it: patterns know nothing of what lies above the root."""
    while path.startswith("../"):
        path = path[3:]
    return path.lstrip("/") + ("/" if folder else "")


class _Walker:
    """Gathers entries. Without `hashing` they have no content, for who only asks what is in.

    walked  by the true place of a folder: the paths that it was come to by, and what was left out on that way
    """

    def __init__(
        self,
        tree: SourceTree,
        image: ImageConfig,
        config_file: str,
        outputs: frozenset[str],
        *,
        hashing: bool = True,
    ) -> None:
        self.tree = tree
        self.patterns = image.ignore
        self.config_file = config_file
        self.outputs = outputs
        self.hashing = hashing
        self.entries: dict[str, Entry] = {}
        self.named_by: dict[str, set[Place]] = {}
        self.walked: dict[str, list[tuple[str, _Ignore]]] = {}
        self.ignore = _Ignore(Origin(path=".", place=Place(file=config_file, line=1)), ".", (), config_file)

    def add(self, origin: Origin) -> None:
        path = self.tree.relative(origin.path)
        self.ignore = _Ignore(origin, path, self.patterns, self.config_file)
        try:
            found = self.tree.entry(path)
            if found is not None:
                self._visit(found, origin.place, ())
            elif origin.declared and _GLOB.search(path):
                self._add_glob(path, origin)
            elif origin.required:
                raise _missing(path)
        except SourceError as error:
            marks = (origin.place.mark(str(error)),)
            doing = f"{error.doing} (named at {origin.place})"
            raise SourceError(doing, error.wrong, error.todo, marks=marks) from error

    def takes(self, place: str) -> bool:
        """Whether a file at this true place would have been come to on the walks so far."""
        folder, _, name = place.rpartition("/")
        return place not in self.outputs and any(
            not ignore.matches(name if path == "." else f"{path}/{name}", folder=False)
            for path, ignore in self.walked.get(folder or "/", ())
        )

    def glob_takes(self, origin: Origin, place: str) -> bool:
        """Whether a file at this true place would match the origin's pattern."""
        pattern = self.tree.relative(origin.path)
        if not origin.declared or self.tree.entry(pattern) is not None or not _GLOB.search(pattern):
            return False
        folder, spec = _split_glob(pattern)
        start = self.tree.entry(folder, follow=True)
        if start is None or start.kind is not FileKind.FOLDER:
            return False
        above = self.tree.identity(folder).rstrip("/") + "/"
        return place.startswith(above) and spec.match_file(place[len(above) :])

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
        folder, spec = _split_glob(pattern)
        start = self.tree.entry(folder, follow=True)
        if start is not None and start.kind is FileKind.FOLDER:
            yield from self._matching_below(folder, folder, spec, ())

    def _matching_below(
        self, folder: str, start: str, spec: GitIgnoreSpec, above: tuple[str, ...]
    ) -> Iterator[TreeEntry]:
        """Links to folders are entered, as everywhere; one that leads back up is left to whoever names it."""
        identity = self.tree.identity(folder)
        if identity in above:
            return
        for child in self._children(folder, identity):
            within = child.path if start == "." else child.path[len(start) :].lstrip("/")
            if spec.match_file(within):
                yield child
            elif child.kind is FileKind.FOLDER or self._leads_to_folder(child):
                yield from self._matching_below(child.path, start, spec, (*above, identity))

    def _leads_to_folder(self, child: TreeEntry) -> bool:
        target = self.tree.entry(child.path, follow=True) if child.kind is FileKind.LINK else None
        return target is not None and target.kind is FileKind.FOLDER

    def _children(self, folder: str, identity: str) -> Iterator[TreeEntry]:
        """A folder's entries that are not left out, by name; paths without a leading `./`."""
        for child in sorted(self.tree.children(folder), key=lambda child: child.path):
            path = child.path.removeprefix("./")
            place = f"{identity.rstrip('/')}/{path.rpartition('/')[2]}"
            if place not in self.outputs and not self.ignore.matches(path, folder=child.kind is FileKind.FOLDER):
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
            sha256=self.tree.sha256(found.path) if self.hashing else None,
        )

    def _visit_folder(self, path: str, place: Place, above: tuple[str, ...]) -> None:
        identity = self.tree.identity(path)
        if identity in above:
            raise SourceError(f"reading {path}", "links lead in a circle", "Take the link out, or name it in `ignore`.")
        self.walked.setdefault(identity.rstrip("/") or "/", []).append((path, self.ignore))
        for child in self._children(path, identity):
            self._visit(child, place, (*above, identity))
        # An empty folder is uploaded as one; nothing below it tells of it. One that holds but what is left out is not
        # empty: the bake itself may make such a folder.
        if not self.tree.children(path) and path != ".":
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
            sha256=self.tree.sha256(path) if is_file and self.hashing else None,
        )
        if not is_file:
            self._visit_folder(path, place, above)

    def _portable(self, text: str) -> str:
        """A link's text, the same in every checkout: an absolute one into the root becomes relative to it."""
        if not text.startswith("/"):
            return text
        inside = self.tree.relative(text)
        return text if inside.startswith("/") else f"<root>/{inside}"


def _split_glob(pattern: str) -> tuple[str, GitIgnoreSpec]:
    """The folder that a glob starts in, and what is to match below it."""
    parts = pattern.split("/")
    plain = next(index for index, part in enumerate(parts) if _GLOB.search(part))
    folder = "/".join(parts[:plain]) or ("/" if pattern.startswith("/") else ".")
    return folder, _spec(["/" + "/".join(parts[plain:])])


def _missing(path: str) -> SourceError:
    return SourceError(f"looking for {path}", "there is no such file or folder", "Create it, or correct the path.")
