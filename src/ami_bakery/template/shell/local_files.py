"""Resolves words of local commands to files of the repository."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from fnmatch import translate
from typing import TYPE_CHECKING

from ami_bakery.errors import SourceError
from ami_bakery.template.expression.known_values import CHECKOUT, HOLE, Unknown
from ami_bakery.template.shell.words import MAGIC
from ami_bakery.template.source_tree import FileKind

if TYPE_CHECKING:
    from ami_bakery.template.definition import Reading
    from ami_bakery.template.facts import Certainty
    from ami_bakery.template.location import SourceLocation

_LARGEST = 512 * 1024
_MOST_MATCHES = 5000
_CLASSES = {
    "[:lower:]": "a-z",
    "[:upper:]": "A-Z",
    "[:alpha:]": "A-Za-z",
    "[:digit:]": "0-9",
    "[:alnum:]": "A-Za-z0-9",
    "[:xdigit:]": "A-Fa-f0-9",
    "[:word:]": "A-Za-z0-9_",
    "[:blank:]": " \t",
    "[:space:]": " \t\n",
    "[:punct:]": "!-/:-@_`{-~",
    "[:print:]": " -~",
    "[:graph:]": "!-~",
}
_PROCESS_FOLDER = re.compile(rf"\A/+proc/+(?:self|thread-self|{HOLE}|\d+)/+cwd(?:/+|\Z)")
_OTHER_PROCESS = re.compile(rf"/+proc/+(?:(?:{HOLE}|\d+)/+(?:cwd|fd)|[^/]+/+root)(?:/|\Z)")
_LIKE_A_PATH = re.compile(r"[^\s]*(?:/|\.[A-Za-z]\w{0,5}\Z)[^\s]*\Z")


class LocalFiles:
    """Records the files that words name.

    unknown  locations of words whose value is unknown
    written  text that messages show in place of the path of a written file; empty if they may show the path
    """

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.unknown: dict[SourceLocation, None] = {}
        self.written = ""
        self.opaque: dict[str, None] = {}

    def content(self, path: str) -> str | None:
        """Returns a script's text; None if it is too large, binary or unreadable."""
        entry = self.reading.tree.entry(path, follow=True)
        if entry is None or entry.kind is not FileKind.FILE:
            return None
        try:
            head = self.reading.tree.head(path, _LARGEST + 1)
        except SourceError:
            return None
        return None if len(head) > _LARGEST or b"\0" in head[:4096] else head.decode("utf-8", "surrogateescape")

    def here(self, text: str, folder: str) -> str | None:
        """Returns the path of an existing file or folder; None if there is none, or it may be on another machine."""
        text = of_own_process(text)
        if not text or len(text) > 1024 or "\n" in text or HOLE in text or text.startswith("~"):
            return None
        if not text.startswith(CHECKOUT) and (text.startswith("/") or folder.startswith("/")):
            return None
        base = self.reading.paths.workdir if HOLE in folder else folder
        path = self.reading.paths.resolve(text, base)
        if isinstance(path, Unknown) or (path.strip("./") == "" and path != "."):
            return None
        return path if self.kind(path) is not None else None

    def kind(self, path: str) -> FileKind | None:
        entry = self.reading.tree.entry(path, follow=True)
        return entry.kind if entry else None

    def read(
        self,
        text: str,
        folder: str,
        location: SourceLocation,
        *,
        folders: bool = True,
        dots: bool = False,
        early: bool = False,
        exact: bool = False,
    ) -> bool:
        """Records the existing files that a word, or part of it, names.

        dots   whether `.` means the whole folder
        early  whether the file is surely read now, so that a later write does not make it an output only
        exact  whether the word is the file's name, not a pattern
        """
        path = self.here(text, folder)
        if path is not None:
            kind = self.kind(path)
            if kind is FileKind.FILE or (kind is FileKind.FOLDER and folders and (dots or path != ".")):
                self.reading.collector.reference(path, location, required=False, guessed=True)
                if early:
                    self.reading.collector.read_now(path, exact=exact)
                return True
            return False
        parts = [part for part in re.split(r"[=;&|<>()@:,]", text) if part and part != text]
        attached = re.match(r"-[A-Za-z](.{2,})", text)
        parts += [attached[1]] if attached else []
        found = [
            self.read(part, folder, location, folders=folders and _may_be_folder(text), early=early) for part in parts
        ]
        return any(found)

    def write(self, text: str, folder: str, location: SourceLocation, certainty: Certainty) -> None:
        path = self.path_of(text, folder)
        if path is not None:
            self.reading.collector.output(path, location, certainty=certainty, written=self.written)
        elif HOLE in text and not text.startswith("/"):
            self.unknown[location] = None

    def path_of(self, text: str, folder: str) -> str | None:
        """Returns the path that a word names, relative to the root; None if it is outside. It may contain `HOLE`."""
        text = of_own_process(text)
        if not text or text.startswith(("~", "&", HOLE)) or len(text) > 1024 or "\n" in text:
            return None
        if not text.startswith(CHECKOUT) and (text.startswith("/") or HOLE in folder or folder.startswith("/")):
            return None
        path = self.reading.paths.resolve(text, folder)
        return None if isinstance(path, Unknown) or path.startswith("/") or path == "." else path


def matching_files(run: LocalFiles, pattern: str, folder: str, *, dots: bool = False) -> list[str]:
    """Returns the paths that match a pattern; `**` matches any number of folders, as in some shells.

    dots  whether names that begin with a dot match, too
    """
    pattern = of_own_process(pattern)
    if folder.startswith("/") or HOLE in folder:
        return []
    found = [CHECKOUT] if pattern.startswith(CHECKOUT) else [""]
    for name in pattern.removeprefix(CHECKOUT).strip("/").split("/"):
        if not MAGIC.search(name):
            found = [posixpath.join(text, name) for text in found]
            continue
        if name == "**":
            found = _few(run, [each for text in found for each in (text, *_folders_below(run, text, folder))])
            if not pattern.endswith("**"):
                continue
        matcher = re.compile(_as_regex(name))
        hidden = dots or name.startswith(".")
        found = _few(
            run,
            [
                posixpath.join(text, child)
                for text in found
                for child in _children(run, text or ".", folder)
                if matcher.match(child) and (hidden or not child.startswith("."))
            ],
        )
    return [text for text in found if run.here(text, folder) is not None]


def _few(run: LocalFiles, found: list[str]) -> list[str]:
    """Returns at most `_MOST_MATCHES`; what follows is unknown."""
    if len(found) > _MOST_MATCHES:
        run.opaque[""] = None
    return found[:_MOST_MATCHES]


def _folders_below(run: LocalFiles, text: str, folder: str, depth: int = 0) -> Iterator[str]:
    if depth > 12:
        run.opaque[""] = None
        return
    for child in _children(run, text or ".", folder):
        path = posixpath.join(text, child)
        if not child.startswith(".") and _is_folder(run, path, folder):
            yield path
            yield from _folders_below(run, path, folder, depth + 1)


def _is_folder(run: LocalFiles, text: str, folder: str) -> bool:
    path = run.here(text, folder)
    entry = run.reading.tree.entry(path) if path is not None else None
    return entry is not None and entry.kind is FileKind.FOLDER


def _as_regex(name: str) -> str:
    """Translates a shell pattern; bash's `!(x)` matches any name here."""
    for known, letters in _CLASSES.items():
        name = name.replace(known, letters)
    name = re.sub(r"!\([^()]*\)", "*", name)
    parts = re.split(r"([@?*+])\(([^()]*)\)", name)
    made = _of_plain(parts[0])
    for sign, inner, rest in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        either = "|".join(_of_plain(each) for each in inner.split("|"))
        made += f"(?:{either})" + {"@": "", "?": "?", "*": "*", "+": "+"}[sign] + _of_plain(rest)
    return made + r"\Z"


def _of_plain(name: str) -> str:
    return translate(re.sub(r"\[\^", "[!", name)).removeprefix("(?s:").removesuffix(r")\Z").removesuffix(r")\z")


def _children(run: LocalFiles, text: str, folder: str) -> list[str]:
    path = run.here(text, folder)
    entry = run.reading.tree.entry(path, follow=True) if path is not None else None
    if path is None or entry is None or entry.kind is not FileKind.FOLDER:
        return []
    return sorted(posixpath.basename(child.path) for child in run.reading.tree.children(path))


def copied_files(run: LocalFiles, sources: Sequence[str], target: str, folder: str) -> Iterator[str]:
    """Yields the paths that `cp` and similar programs write: in an existing folder, or at exactly this path."""
    is_folder = _is_folder(run, target, folder)
    if target.endswith("/") or is_folder or len(sources) > 1:
        for source in sources:
            name = posixpath.basename(source.rstrip("/"))
            if name not in ("", ".", ".."):
                yield posixpath.join(target, name)
                if _children(run, source, folder) or run.here(source, folder) is None:
                    yield posixpath.join(target, name, "**")
    else:
        yield target
    # If the target does not exist, a copied folder becomes the target, with its content directly inside. A target
    # that exists now may be the result of such a copy, if it contains nothing else.
    for source in sources:
        if is_folder and not source.endswith(("/", "/.")) and _holds_more(run, sources, target, folder):
            continue
        for child in _children(run, source, folder):
            yield posixpath.join(target, child)
            yield posixpath.join(target, child, "**")


def _holds_more(run: LocalFiles, sources: Sequence[str], target: str, folder: str) -> bool:
    """Whether a folder contains more than copies of the sources."""
    copies = {posixpath.basename(source.rstrip("/")) for source in sources}
    copies |= {child for source in sources for child in _children(run, source, folder)}
    return not copies.issuperset(_children(run, target, folder))


def _may_be_folder(text: str) -> bool:
    """Whether a part of the word may be a folder: a name without a slash in a list is not."""
    return "/" in text or re.match(r"--?[\w-]+=", text) is not None


def may_be_path(text: str) -> bool:
    return bool(_LIKE_A_PATH.match(text)) and "://" not in text and not text.startswith(("/", "-"))


def of_own_process(text: str) -> str:
    """Returns `/proc/self/cwd/x` as `./x`; another process most likely has the same working directory."""
    return _PROCESS_FOLDER.sub("./", text, count=1)


def is_of_other_process(text: str) -> bool:
    return _OTHER_PROCESS.match(text) is not None
