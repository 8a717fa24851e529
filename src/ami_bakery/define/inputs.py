"""Lists an image's input files, each with the lines that name it.

Inputs come from two sources: `bakery.toml` declares some, and Packer reads others because the template names them. All
files in a folder are inputs. A link is an input; its target's content is an input under the link's own path, because
Packer uploads it there. An input that cannot be hashed (missing, unreadable, a pipe, a circular link) is an error.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.core.definition.bake_outputs import ANSWER_FILE, PACKERS_OUTPUTS
from ami_bakery.define.file_walk import FileWalk, NamedBy, WalkEntry, display_path, error_at
from ami_bakery.define.output_paths import OutputPaths, real_path
from ami_bakery.errors import SourceError
from ami_bakery.template.source_tree import FileKind, SourceTree
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.core.definition.manifest import Entry
    from ami_bakery.template.facts import TemplateFacts
    from ami_bakery.template.location import SourceLocation
    from ami_bakery.template.source_tree import Progress


class Inventory(Frozen):
    """All inputs in the manifest's order. `named_by`: the lines that name each, by path."""

    entries: tuple[Entry, ...]
    named_by: Mapping[str, tuple[SourceLocation, ...]]


def template_folder(tree: SourceTree, template: str) -> str:
    """Returns the template's folder, relative to the root. A folder of HCL2 files is its own folder."""
    path = tree.relative(template)
    entry = tree.entry(path, follow=True)
    if entry is not None and entry.kind is FileKind.FOLDER:
        return path
    return path.rpartition("/")[0] or ("/" if path.startswith("/") else ".")


def collect(tree: SourceTree, image: ImageConfig, config_file: str, facts: TemplateFacts) -> Inventory:
    """Returns all inputs. Raises `SourceError` with the line that names the path."""
    return inventory_of(stream(tree, image, config_file, facts))


def inventory_of(found: Iterable[tuple[Entry, tuple[SourceLocation, ...]]]) -> Inventory:
    named_by: dict[str, tuple[SourceLocation, ...]] = {}
    shared: dict[tuple[SourceLocation, ...], tuple[SourceLocation, ...]] = {}
    entries = []
    for entry, locations in found:
        entries.append(entry)
        named_by[entry.path] = shared.setdefault(locations, locations)
    return Inventory(entries=tuple(entries), named_by=named_by)


def stream(
    tree: SourceTree,
    image: ImageConfig,
    config_file: str,
    facts: TemplateFacts,
    written: Iterable[str] = (),
    *,
    left_out: frozenset[str] = frozenset(),
    home: str = "",
    progress: Progress | None = None,
) -> Iterator[tuple[Entry, tuple[SourceLocation, ...]]]:
    """Yields inputs with the lines that name them, in the manifest's order. Keeps no inputs in memory.

    Raises `SourceError` with the line that names the path.

    written   more files that the bake writes, relative to the root; they are not inputs
    left_out  paths that are not default inputs, relative to the root
    home      the user's home folder: paths in it become `~/...`, so that the digest is the same for all users
    """
    declared, named = walks_of(tree, image, config_file, facts, written, left_out)
    prefix = home.rstrip("/") + "/" if home.strip("/") else ""
    yield from _hashed(tree, _merged([*declared, *named], prefix), prefix, progress)
    # With `inputs = []`, only files that the template reads are inputs.
    if declared and not any(walk.has_files for walk in declared):
        location = image.location(config_file, "inputs")
        raise SourceError(
            f"listing the inputs of image {image.name} ({location})",
            "there are no files",
            "Add the files and folders of the image to `inputs`.",
            marks=(location.mark("there are no files in the inputs"),),
        )


def walks_of(
    tree: SourceTree,
    image: ImageConfig,
    config_file: str,
    facts: TemplateFacts,
    written: Iterable[str] = (),
    left_out: frozenset[str] = frozenset(),
) -> tuple[list[FileWalk], list[FileWalk]]:
    """Returns the walks of bakery.toml's paths, and of the template's paths. `left_out`: see `stream`."""
    outputs = outputs_of(tree, image, facts, written)
    origins = _declared(tree, image, config_file, left_out)
    declared = [FileWalk(tree, image, config_file, outputs, origin) for origin in origins]
    named = [
        FileWalk(tree, image, config_file, outputs, origin) for origin in _read_by_packer(image, config_file, facts)
    ]
    return declared, named


def folders_of_outputs(tree: SourceTree, facts: TemplateFacts) -> frozenset[str]:
    """Returns the real paths of folders that the template declares outputs in."""
    return OutputPaths(tree, facts.outputs, ()).folders


def _merged(walks: Sequence[FileWalk], home: str) -> Iterator[tuple[WalkEntry, tuple[SourceLocation, ...]]]:
    """Merges all walks in order. Each path is yielded once, with the lines that name it."""
    last: WalkEntry | None = None
    locations: tuple[SourceLocation, ...] = ()
    for found in heapq.merge(*(_renamed(walk, home) for walk in walks), key=partial(_sort_key, home)):
        if last is not None and found.path == last.path:
            locations = tuple(sorted({*locations, found.location}))
            continue
        if last is not None:
            yield last, locations
        last, locations = found, (found.location,)
    if last is not None:
        yield last, locations


def _sort_key(home: str, found: WalkEntry) -> tuple[bytes, bool]:
    """Sorts by path components as bytes, like `Entry.sort_key`: NUL, which no name contains, is below all other bytes.

    Paths in the home folder (`~/...`) come before those in a folder named `~`.
    """
    displayed = display_path(found.path, home)
    return displayed.encode("utf-8", "surrogateescape").replace(b"/", b"\0"), displayed is found.path


def _renamed(walk: FileWalk, home: str) -> Iterable[WalkEntry]:
    """Sorts a walk by displayed paths. Only a walk that starts above the home folder is not sorted already."""
    if home and f"{walk.path.rstrip('/')}/" != home and home.startswith(f"{walk.path.rstrip('/')}/"):
        return sorted(walk, key=partial(_sort_key, home))
    return walk


def _hashed(
    tree: SourceTree,
    found: Iterator[tuple[WalkEntry, tuple[SourceLocation, ...]]],
    home: str,
    progress: Progress | None,
) -> Iterator[tuple[Entry, tuple[SourceLocation, ...]]]:
    """Adds the hashes of contents. Errors are raised in the order of the paths."""
    waiting: deque[tuple[WalkEntry, tuple[SourceLocation, ...]]] = deque()
    failures: list[SourceError] = []

    def with_content() -> Iterator[str]:
        try:
            for item in found:
                waiting.append(item)
                if item[0].has_content:
                    yield item[0].path
        except SourceError as failure:
            failures.append(failure)

    try:
        for sha256, executable in tree.hashes(with_content(), progress=progress):
            while not (item := waiting.popleft())[0].has_content:
                yield item[0].entry(home), item[1]
            yield item[0].entry(home, sha256, executable), item[1]
    except SourceError as error:
        location = next(item.location for item, _ in waiting if item.has_content)
        raise error_at(location, error) from error
    for entry, locations in waiting:
        yield entry.entry(home), locations
    if failures:
        raise failures[0]


def would_be_input(
    tree: SourceTree,
    image: ImageConfig,
    config_file: str,
    facts: TemplateFacts,
    path: str,
    left_out: frozenset[str] = frozenset(),
) -> bool:
    """Whether a file at `path` would be an input. `left_out`: see `stream`."""
    return bool(would_be_inputs(tree, image, config_file, facts, [path], left_out))


def would_be_inputs(
    tree: SourceTree,
    image: ImageConfig,
    config_file: str,
    facts: TemplateFacts,
    paths: Iterable[str],
    left_out: frozenset[str] = frozenset(),
) -> frozenset[str]:
    """Returns the paths at which a file would be an input. `left_out`: see `stream`.

    Compares real paths, because an input may be a link to one of them.
    """
    wanted = {path: real for path in paths if (real := real_path(tree, tree.relative(path))) is not None}
    if not wanted:
        return frozenset()
    outputs = outputs_of(tree, image, facts, ())
    origins = (*_declared(tree, image, config_file, left_out), *_read_by_packer(image, config_file, facts))
    walks = [FileWalk(tree, image, config_file, outputs, origin) for origin in origins]
    for walk in walks:
        deque(walk, maxlen=0)
    named = {real_path(tree, walk.path) for walk in walks}
    return frozenset(
        path
        for path, real in wanted.items()
        if real in named or any(walk.would_yield(real) or walk.glob_would_yield(real) for walk in walks)
    )


def outputs_of(tree: SourceTree, image: ImageConfig, facts: TemplateFacts, written: Iterable[str]) -> OutputPaths:
    """Returns the files that the bake itself writes."""
    workdir = image.workdir if image.workdir is not None else template_folder(tree, image.template)
    always = [f"{workdir}/{name}" for name in PACKERS_OUTPUTS]
    always.append(f"{template_folder(tree, image.template)}/{ANSWER_FILE}")
    always.extend(f"{workdir}/{name}" for name in _debug_keys(facts))
    return OutputPaths(tree, facts.outputs, (*always, *written))


def _debug_keys(facts: TemplateFacts) -> Iterator[str]:
    """Yields the private keys that `packer build -debug` writes: `ec2_NAME.pem`. In HCL2, NAME is the source's name."""
    for builder in facts.builders:
        if builder.type.startswith("amazon-"):
            yield from (f"ec2_{name}.pem" for name in {builder.name, builder.name.rpartition(".")[2]})


def _declared(tree: SourceTree, image: ImageConfig, config_file: str, left_out: frozenset[str]) -> Iterator[NamedBy]:
    if image.inputs is None:
        location = image.location(config_file, "template")
        folder = template_folder(tree, image.template)
        yield NamedBy(path=folder, location=location, declared=True, left_out=left_out)
    for index, path in enumerate(image.inputs or ()):
        yield NamedBy(path=path, location=image.location(config_file, "inputs", index), declared=True)


def _read_by_packer(image: ImageConfig, config_file: str, facts: TemplateFacts) -> Iterator[NamedBy]:
    for path in facts.files:
        yield NamedBy(path=path, location=image.location(config_file, "template"))
    for index, path in enumerate(image.var_files):
        yield NamedBy(path=path, location=image.location(config_file, "var_files", index))
    for reference in facts.references:
        yield NamedBy(
            path=reference.path,
            location=reference.location,
            required=reference.required,
            guessed=reference.guessed,
            written=reference.written,
        )
