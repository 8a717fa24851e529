"""One git repository, asked through the `git` program; and what one of its revisions holds, submodules with it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import IO

from ami_bakery.adapters.git.safety import (
    SETTINGS,
    is_own_submodule,
    safe_environment,
    top_of,
    without_filters,
)
from ami_bakery.adapters.program_search import find_program
from ami_bakery.values import Frozen

FOLDER, LINK, SUBMODULE = "040000", "120000", "160000"
"""Modes of tree entries, as git writes them; all others are files."""
PIECE = 1 << 18
"""Bytes of an object that are read at once."""


class CommandResult(Frozen):
    """How a git command ended: its status (127: there is no git program), its answer and its complaint."""

    status: int
    answer: bytes
    complaint: str


class Repository:
    """Git in the repository that `folder` is in. Where there is no git, or no repository, nothing is known: no error.

    No call starts a program that the repository's files or its configuration name: see `safety`.

    top  the folder of the work tree, links resolved; None where there is none
    """

    def __init__(self, folder: str, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.top = top_of(folder)
        self._given = environment
        self._environment = safe_environment(environment, folder)

    def run(self, *arguments: str, given: bytes = b"", settings: Sequence[str] = ()) -> CommandResult:
        if self._program is None:
            return CommandResult(
                status=127, answer=b"", complaint="git cannot be run: there is no such program on PATH"
            )
        if self.top is None:
            return CommandResult(
                status=128, answer=b"", complaint="not a git repository (or any of the parent directories)"
            )
        try:
            done = subprocess.run(
                self._words(arguments, settings),
                capture_output=True,
                env=self._environment,
                input=given,
                check=False,
            )
        except OSError as error:
            return CommandResult(status=127, answer=b"", complaint=f"git cannot be run: {error.strerror or error}")
        return CommandResult(
            status=done.returncode, answer=done.stdout, complaint=done.stderr.decode("utf-8", "replace").strip()
        )

    def run_unfiltered(self, *arguments: str, given: bytes = b"") -> CommandResult:
        """Run a command that compares files with objects: without the filters that are configured."""
        settings = without_filters(self.names("config", "--list", "--name-only", "-z"))
        if settings is None:
            return CommandResult(status=128, answer=b"", complaint="a filter has a name that cannot be switched off")
        return self.run(*arguments, given=given, settings=settings)

    def ask(self, *arguments: str) -> bytes | None:
        told = self.run(*arguments)
        return told.answer if told.status == 0 else None

    def text(self, *arguments: str) -> str | None:
        answer = self.ask(*arguments)
        return None if answer is None else answer.decode("utf-8", "surrogateescape").removesuffix("\n")

    def names(self, *arguments: str) -> Iterator[str]:
        """What a command lists with `-z`."""
        yield from _split(self.ask(*arguments) or b"")

    def clean_ids(self, paths: Sequence[str]) -> list[str]:
        """The object id that each file of the work tree has for git after the conversion of line ends and encodings,
        but without filters. Where one cannot be had, those behind it are missing."""
        given = "".join(f"{_quoted(path)}\n" for path in paths).encode("utf-8", "surrogateescape")
        return (
            self.run_unfiltered("hash-object", "--stdin-paths", given=given).answer.decode("ascii", "replace").split()
        )

    def unmodified(self) -> dict[str, str]:
        """The files that git's index knows to be as they were checked out or added, by their times and sizes, without
        a look at content that only a filter could compare; with the object of each."""
        told = self.run_unfiltered("diff-files", "--name-only", "--ignore-submodules=all", "-z")
        if told.status != 0:
            return {}
        modified = frozenset(_split(told.answer))
        staged = (line.partition("\t") for line in self.names("ls-files", "--stage", "-z"))
        return {path: fields.split(" ")[1] for fields, _, path in staged if path not in modified}

    def filtered(self, paths: Sequence[str]) -> frozenset[str]:
        """Those paths that a filter applies to, configured or not."""
        given = "".join(f"{path}\0" for path in paths).encode("utf-8", "surrogateescape")
        told = list(_split(self.run("check-attr", "-z", "--stdin", "filter", given=given).answer))
        return frozenset(
            path
            for path, value in zip(told[::3], told[2::3], strict=False)
            if value not in ("unspecified", "unset", "set")
        )

    def gitlinks(self, *listing: str) -> dict[str, str]:
        """The submodules that `ls-tree` or `ls-files --stage` lists: the commit of each, by path."""
        found = {}
        for line in self.names(*listing, "-z"):
            fields, _, path = line.partition("\t")
            words = fields.split(" ")
            if words[0] == SUBMODULE:
                found[path] = words[2] if words[1] == "commit" else words[1]
        return found

    @contextlib.contextmanager
    def blobs(self) -> Iterator[Blobs]:
        with subprocess.Popen(
            self._words(("cat-file", "--batch"), ()),
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            yield Blobs(process.stdin, process.stdout)

    def submodule(self, path: str) -> Repository | None:
        """The submodule that is checked out at `path`, if one is."""
        folder = os.path.join(self.top or self.folder, path)
        return Repository(folder, self._given) if is_own_submodule(folder, self._common_folder) else None

    @cached_property
    def _common_folder(self) -> str:
        """Of several work trees of a repository, the folder that they share."""
        told = self.text("rev-parse", "--git-common-dir")
        return os.path.realpath(os.path.join(self.top, told)) if told and self.top else ""

    @cached_property
    def _program(self) -> str | None:
        return find_program("git", self._given, self.folder)

    def _words(self, arguments: Sequence[str], settings: Sequence[str]) -> list[str]:
        assert self._program is not None
        assert self.top is not None
        options = (word for setting in (*SETTINGS, *settings) for word in ("-c", setting))
        return [self._program, *options, "-C", self.top, *arguments]


def _split(answer: bytes) -> Iterator[str]:
    for name in answer.decode("utf-8", "surrogateescape").split("\0"):
        if name:
            yield name


def _quoted(path: str) -> str:
    """As git reads a line: a name is written like a C string where it could be taken for one, or would end the line."""
    if not path.startswith('"') and "\n" not in path:
        return path
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


class Blobs:
    """Asks one `git cat-file --batch` for the content of objects, one after the other, in pieces."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._requests = requests
        self._answers = answers
        self._lock = threading.Lock()

    def feed(self, name: str, take: Callable[[bytes], object]) -> bool:
        """Hand over the content, piece by piece. False where git does not have the object (a shallow or partial
        clone)."""
        with self._lock:
            size = self._ask(name)
            if size is None:
                return False
            while size:
                piece = self._answers.read(min(size, PIECE))
                if not piece:
                    return False  # git was ended in the middle of it
                take(piece)
                size -= len(piece)
            self._answers.read(1)
            return True

    def head(self, name: str, size: int) -> bytes | None:
        """The first bytes of the content, `size` at most; None where git does not have the object."""
        kept = bytearray()
        return bytes(kept) if self.feed(name, lambda piece: kept.extend(piece[: size - len(kept)])) else None

    def _ask(self, name: str) -> int | None:
        try:
            self._requests.write(f"{name}\n".encode("utf-8", "surrogateescape"))
            self._requests.flush()
        except BrokenPipeError:
            return None
        words = self._answers.readline().split()
        return int(words[2]) if len(words) == 3 and words[1] == b"blob" else None


_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-.*\n)*oid sha256:([0-9a-f]{64})\nsize (\d+)\n"
)


def is_pointer_to(blobs: Blobs, name: str, path: str) -> bool:
    """Whether an object is a Git LFS pointer to what is in a file: known without LFS's filter."""
    content = blobs.head(name, _LONGEST_POINTER)
    match = _POINTER.fullmatch(content) if content and len(content) < _LONGEST_POINTER else None
    if match is None:
        return False
    try:
        with open(path.encode("utf-8", "surrogateescape"), "rb") as file:
            return os.fstat(file.fileno()).st_size == int(match[2]) and (
                hashlib.file_digest(file, "sha256").hexdigest() == match[1].decode()
            )
    except OSError:
        return False


_LONGEST_POINTER = 1024


class RevisionEntry(Frozen):
    """What a revision holds at a path: its mode, and its object, in which repository that lies mounted at `mount`."""

    mode: str
    name: str = ""
    blobs: Blobs | None = None
    repository: Repository | None = None
    mount: str = ""


class RevisionContents(Frozen):
    """The content of a revision, by path from the top; submodules are entered.

    ignored  paths of now, files and whole folders, that git is told to leave alone: no revision tells of them
    """

    nodes: Mapping[str, RevisionEntry]
    ignored: frozenset[str]


def load_revision(repository: Repository, commit: str, stack: contextlib.ExitStack) -> RevisionContents | None:
    """What a commit holds; None where git does not have it. What is needed to read it is closed with `stack`."""
    nodes = {".": RevisionEntry(mode=FOLDER)}
    ignored: set[str] = set()
    if not _mount(repository, commit, "", stack, nodes, ignored):
        return None
    for path in ignored:
        # A folder that holds nothing but what is ignored, and files that git has never seen, is on the way to it.
        while (path := posixpath.dirname(path)) and path not in nodes:
            nodes[path] = RevisionEntry(mode=FOLDER)
    return RevisionContents(nodes=nodes, ignored=frozenset(ignored - nodes.keys()))


def _mount(
    repository: Repository,
    commit: str,
    mount: str,
    stack: contextlib.ExitStack,
    nodes: dict[str, RevisionEntry],
    ignored: set[str],
) -> bool:
    listing = repository.ask("ls-tree", "-r", "-t", "-z", "--full-tree", commit)
    if listing is None:
        return False
    blobs = stack.enter_context(repository.blobs())
    for line in listing.decode("utf-8", "surrogateescape").split("\0"):
        if not line:
            continue
        fields, _, path = line.partition("\t")
        mode, _, name = fields.split(" ")
        place = posixpath.join(mount, path)
        if mode == SUBMODULE:
            submodule = repository.submodule(path)
            # Where it is not checked out, it is an empty folder, now as then.
            mode = FOLDER if submodule is None or _mount(submodule, name, place, stack, nodes, ignored) else SUBMODULE
        nodes[place] = RevisionEntry(mode=mode, name=name, blobs=blobs, repository=repository, mount=mount)
    listed = repository.names("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")
    ignored.update(posixpath.join(mount, path.rstrip("/")) for path in listed)
    return True
