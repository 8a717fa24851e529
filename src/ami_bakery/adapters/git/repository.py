"""Runs git commands in one repository, and reads its objects."""

from __future__ import annotations

import contextlib
import hashlib
import os
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
"""Modes of tree entries in git's notation; all other modes are files."""
PIECE = 1 << 18
"""Maximum number of bytes of an object that are read at once."""


class CommandResult(Frozen):
    """Exit status of a git command (127: git is not installed), its stdout and its stderr."""

    status: int
    answer: bytes
    complaint: str


class Repository:
    """Runs git in the repository of `folder`. Without git or a repository, results are empty: no error.

    No call starts a program that the repository's files or configuration name: see `safety`.

    top  the top folder of the work tree, links resolved; None if there is none
    """

    def __init__(self, folder: str, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.top = top_of(folder)
        self._given = environment
        self._environment = safe_environment(environment, folder)
        self._clean_ids: dict[str, str] = {}

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
        """Runs a command that compares files with objects. Disables all configured filters."""
        settings = self._without_filters
        if settings is None:
            return CommandResult(status=128, answer=b"", complaint="a filter has a name that cannot be disabled")
        return self.run(*arguments, given=given, settings=settings)

    def output(self, *arguments: str) -> bytes | None:
        """Returns the command's stdout; None if it fails."""
        result = self.run(*arguments)
        return result.answer if result.status == 0 else None

    def text(self, *arguments: str) -> str | None:
        answer = self.output(*arguments)
        return None if answer is None else answer.decode("utf-8", "surrogateescape").removesuffix("\n")

    def names(self, *arguments: str) -> Iterator[str]:
        """Yields the names that a command lists with `-z`."""
        yield from _split(self.output(*arguments) or b"")

    def clean_ids(self, paths: Sequence[str]) -> dict[str, str]:
        """Returns the object id of each file in the work tree. Reads each file once.

        Converts line endings and encodings, but does not run filters. If git cannot read a file, its id and those after
        it are missing.
        """
        unread = [path for path in paths if path not in self._clean_ids]
        if unread:
            given = "".join(f"{_quoted(path)}\n" for path in unread).encode("utf-8", "surrogateescape")
            result = self.run_unfiltered("hash-object", "--stdin-paths", given=given)
            self._clean_ids |= zip(unread, result.answer.decode("ascii", "replace").split(), strict=False)
        return {path: self._clean_ids[path] for path in paths if path in self._clean_ids}

    @cached_property
    def unmodified(self) -> dict[str, str]:
        """Returns the unmodified files and the object id of each, by path.

        Git's index decides by times and sizes, so that content need not be compared through a filter.
        """
        result = self.run_unfiltered("diff-files", "--name-only", "--ignore-submodules=all", "-z")
        if result.status != 0:
            return {}
        modified = frozenset(_split(result.answer))
        staged = (line.partition("\t") for line in self.names("ls-files", "--stage", "-z"))
        return {path: fields.split(" ")[1] for fields, _, path in staged if path not in modified}

    def filtered(self, paths: Sequence[str]) -> frozenset[str]:
        """Returns the paths with a `filter` attribute. That filter need not be configured."""
        given = "".join(f"{path}\0" for path in paths).encode("utf-8", "surrogateescape")
        fields = list(_split(self.run("check-attr", "-z", "--stdin", "filter", given=given).answer))
        return frozenset(
            path
            for path, value in zip(fields[::3], fields[2::3], strict=False)
            if value not in ("unspecified", "unset", "set")
        )

    def gitlinks(self, *listing: str) -> dict[str, str]:
        """Returns the submodules that `ls-tree` or `ls-files --stage` lists: commits by path."""
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
        """Returns the submodule that is checked out at `path`; None if there is none."""
        folder = os.path.join(self.top or self.folder, path)
        return Repository(folder, self._given) if is_own_submodule(folder, self._common_folder) else None

    @cached_property
    def _without_filters(self) -> Sequence[str] | None:
        return without_filters(self.names("config", "--list", "--name-only", "-z"))

    @cached_property
    def _common_folder(self) -> str:
        """The git folder that all work trees of the repository share."""
        path = self.text("rev-parse", "--git-common-dir")
        return os.path.realpath(os.path.join(self.top, path)) if path and self.top else ""

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
    """Quotes a path for git's line input. Uses a C string if necessary."""
    if not path.startswith('"') and "\n" not in path:
        return path
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


class Blobs:
    """Reads objects' content in pieces from one `git cat-file --batch` process. Thread-safe."""

    def __init__(self, requests: IO[bytes], responses: IO[bytes]) -> None:
        self._requests = requests
        self._responses = responses
        self._lock = threading.Lock()

    def feed(self, name: str, consume: Callable[[bytes], object]) -> bool:
        """Passes the content to `consume`, piece by piece.

        Returns False if git does not have the object (shallow or partial clone).
        """
        with self._lock:
            size = self._request(name)
            if size is None:
                return False
            while size:
                piece = self._responses.read(min(size, PIECE))
                if not piece:
                    return False  # git was killed
                consume(piece)
                size -= len(piece)
            self._responses.read(1)
            return True

    def head(self, name: str, size: int) -> bytes | None:
        """Returns the first `size` bytes of the content; None if git does not have the object."""
        start = bytearray()
        return bytes(start) if self.feed(name, lambda piece: start.extend(piece[: size - len(start)])) else None

    def _request(self, name: str) -> int | None:
        """Requests an object; returns its size in bytes, or None if git does not have it."""
        try:
            self._requests.write(f"{name}\n".encode("utf-8", "surrogateescape"))
            self._requests.flush()
        except BrokenPipeError:
            return None
        words = self._responses.readline().split()
        return int(words[2]) if len(words) == 3 and words[1] == b"blob" else None


_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-.*\n)*oid sha256:([0-9a-f]{64})\nsize (\d+)\n"
)


def is_pointer_to(blobs: Blobs, name: str, path: str) -> bool:
    """Returns whether an object is a Git LFS pointer to a file.

    It must point to the file's content. Does not run LFS's filter.
    """
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
