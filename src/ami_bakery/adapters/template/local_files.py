"""The files that lie here, as words of local commands name them: what is read, what is written, what patterns match."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ami_bakery.core.expression.values import CHECKOUT, HOLE, Unknown
from ami_bakery.errors import SourceError
from ami_bakery.ports import FileKind

if TYPE_CHECKING:
    from ami_bakery.adapters.template.definition import Reading
    from ami_bakery.core.place import Place
    from ami_bakery.core.template import Certainty

_LARGEST = 512 * 1024
_MOST_MATCHES = 500
_LIKE_A_PATH = re.compile(r"[^\s]*(?:/|\.[A-Za-z]\w{0,5}\Z)[^\s]*\Z")


class LocalFiles:
    """Notes what words name.

    unknown  the places of words that cannot be worked out
    written  what a message shows instead of a file that is written; empty if it may show the path
    """

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.unknown: dict[Place, None] = {}
        self.written = ""

    def content(self, path: str) -> str | None:
        """A script's text; None where it is too large, no text, or cannot be read."""
        entry = self.reading.tree.entry(path, follow=True)
        if entry is None or entry.kind is not FileKind.FILE:
            return None
        try:
            head = self.reading.tree.head(path, _LARGEST + 1)
        except SourceError:
            return None
        return None if len(head) > _LARGEST or b"\0" in head[:4096] else head.decode("utf-8", "surrogateescape")

    def here(self, text: str, folder: str) -> str | None:
        """The path of something that lies here; None for what does not, or may be of another machine."""
        if not text or len(text) > 1024 or "\n" in text or HOLE in text or text.startswith("~"):
            return None
        if not text.startswith(CHECKOUT) and (text.startswith("/") or folder.startswith("/")):
            return None
        base = self.reading.locations.workdir if HOLE in folder else folder
        path = self.reading.locations.resolve(text, base)
        if isinstance(path, Unknown) or (path.strip("./") == "" and path != "."):
            return None
        return path if self.kind(path) is not None else None

    def kind(self, path: str) -> FileKind | None:
        entry = self.reading.tree.entry(path, follow=True)
        return entry.kind if entry else None

    def read(
        self, text: str, folder: str, place: Place, *, folders: bool = True, dots: bool = False, early: bool = False
    ) -> bool:
        """Notes what a word names, whole or in part, if it is here.

        dots   the folder itself counts, too
        early  it is surely read now: what is written later to the same file does not make it an output alone
        """
        path = self.here(text, folder)
        if path is not None:
            kind = self.kind(path)
            if kind is FileKind.FILE or (kind is FileKind.FOLDER and folders and (dots or path != ".")):
                self.reading.ledger.reference(path, place, required=False, guessed=True)
                if early:
                    self.reading.ledger.read_now(path)
                return True
            return False
        parts = [part for part in re.split(r"[=;&|<>()@:,]", text) if part and part != text]
        attached = re.match(r"-[A-Za-z](.{2,})", text)
        parts += [attached[1]] if attached else []
        found = [
            self.read(part, folder, place, folders=folders and _may_be_folder(text), early=early) for part in parts
        ]
        return any(found)

    def write(self, text: str, folder: str, place: Place, certainty: Certainty) -> None:
        path = self.place_of(text, folder)
        if path is not None:
            self.reading.ledger.output(path, place, certainty=certainty, written=self.written)
        elif HOLE in text and not text.startswith("/"):
            self.unknown[place] = None

    def place_of(self, text: str, folder: str) -> str | None:
        """The path that a word names, relative to the root, perhaps with `HOLE` in it; None where it is elsewhere."""
        if not text or text.startswith(("~", "&", HOLE)) or len(text) > 1024 or "\n" in text:
            return None
        if not text.startswith(CHECKOUT) and (text.startswith("/") or HOLE in folder or folder.startswith("/")):
            return None
        path = self.reading.locations.resolve(text, folder)
        return None if isinstance(path, Unknown) or path.startswith("/") or path == "." else path


def matching(run: LocalFiles, pattern: str, folder: str) -> list[str]:
    """What the shell makes of a pattern, name by name; `**` is as `*`."""
    if folder.startswith("/") or HOLE in folder:
        return []
    found = [CHECKOUT] if pattern.startswith(CHECKOUT) else [""]
    for name in pattern.removeprefix(CHECKOUT).strip("/").split("/"):
        if not re.search(r"[*?\[]", name):
            found = [posixpath.join(text, name) for text in found]
            continue
        found = [
            posixpath.join(text, child)
            for text in found
            for child in _children(run, text or ".", folder)
            if fnmatchcase(child, name) and (name.startswith(".") or not child.startswith("."))
        ][:_MOST_MATCHES]
    return [text for text in found if run.here(text, folder) is not None]


def _children(run: LocalFiles, text: str, folder: str) -> list[str]:
    path = run.here(text, folder)
    entry = run.reading.tree.entry(path, follow=True) if path is not None else None
    if path is None or entry is None or entry.kind is not FileKind.FOLDER:
        return []
    return sorted(posixpath.basename(child.path) for child in run.reading.tree.children(path))


def copied(run: LocalFiles, sources: Sequence[str], target: str, folder: str) -> Iterator[str]:
    """What `cp` and its like write: into a folder that is there, or to that very name."""
    path = run.here(target, folder)
    entry = run.reading.tree.entry(path, follow=True) if path is not None else None
    is_folder = entry is not None and entry.kind is FileKind.FOLDER
    if target.endswith("/") or is_folder or len(sources) > 1:
        for source in sources:
            name = posixpath.basename(source.rstrip("/"))
            if name not in ("", ".", ".."):
                yield posixpath.join(target, name)
                if _children(run, source, folder) or run.here(source, folder) is None:
                    yield posixpath.join(target, name, "**")
    else:
        yield target
    # A folder becomes the target itself where that is not there yet: what it holds lies in it then.
    for source in sources:
        for child in _children(run, source, folder):
            yield posixpath.join(target, child)
            yield posixpath.join(target, child, "**")


def _may_be_folder(text: str) -> bool:
    """Whether a part of the word may be a folder: a bare name in a list is none."""
    return "/" in text or re.match(r"--?[\w-]+=", text) is not None


def may_be_path(text: str) -> bool:
    return bool(_LIKE_A_PATH.match(text)) and "://" not in text and not text.startswith(("/", "-"))
