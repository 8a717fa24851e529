"""One git repository, asked through the `git` program; and what one of its revisions holds, submodules with it."""

from __future__ import annotations

import contextlib
import os
import posixpath
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence

from ami_bakery.values import Frozen

FOLDER, LINK, SUBMODULE = "040000", "120000", "160000"
"""Modes of tree entries, as git writes them; all others are files."""


class Told(Frozen):
    """How a git command ended: its status (127: there is no git program), its answer and its complaint."""

    status: int
    answer: bytes
    complaint: str


class Repository:
    """Git in one folder. Where there is no git, or no repository, nothing is known: no error."""

    def __init__(self, folder: str, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._environment = environment

    def run(self, *arguments: str, given: bytes = b"") -> Told:
        try:
            done = subprocess.run(
                ["git", "-C", self.folder, *arguments],
                capture_output=True,
                env=self._environment,
                input=given,
                check=False,
            )
        except OSError as error:
            return Told(status=127, answer=b"", complaint=f"git cannot be run: {error.strerror or error}")
        return Told(
            status=done.returncode, answer=done.stdout, complaint=done.stderr.decode("utf-8", "replace").strip()
        )

    def ask(self, *arguments: str) -> bytes | None:
        told = self.run(*arguments)
        return told.answer if told.status == 0 else None

    def text(self, *arguments: str) -> str | None:
        answer = self.ask(*arguments)
        return None if answer is None else answer.decode("utf-8", "surrogateescape").removesuffix("\n")

    def names(self, *arguments: str) -> Iterator[str]:
        """What a command lists with `-z`."""
        for name in (self.ask(*arguments) or b"").decode("utf-8", "surrogateescape").split("\0"):
            if name:
                yield name

    def clean_ids(self, paths: Sequence[str]) -> list[str]:
        """The object id that each file of the work tree has for git: its content through the filters that `git add`
        would apply. Where one cannot be had, those behind it are missing."""
        given = "".join(f"{_quoted(path)}\n" for path in paths).encode("utf-8", "surrogateescape")
        return self.run("hash-object", "--stdin-paths", given=given).answer.decode("ascii", "replace").split()

    @contextlib.contextmanager
    def blobs(self) -> Iterator[Blobs]:
        with subprocess.Popen(
            ["git", "-C", self.folder, "cat-file", "--batch"],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            yield Blobs(process)

    def submodule(self, path: str) -> Repository | None:
        """The submodule that is checked out at `path`, if one is."""
        folder = os.path.join(self.folder, path)
        # Without a `.git` of its own, git would take the folder for one of this repository.
        return Repository(folder, self._environment) if os.path.lexists(os.path.join(folder, ".git")) else None


def _quoted(path: str) -> str:
    """As git reads a line: a name is written like a C string where it could be taken for one, or would end the line."""
    if not path.startswith('"') and "\n" not in path:
        return path
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


class Blobs:
    """Asks one `git cat-file --batch` for the content of objects, one after the other."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._lock = threading.Lock()

    def content(self, name: str) -> bytes | None:
        """None where git does not have the object (a shallow or partial clone)."""
        with self._lock:
            stdin, stdout = self._process.stdin, self._process.stdout
            assert stdin is not None
            assert stdout is not None
            stdin.write(f"{name}\n".encode())
            stdin.flush()
            words = stdout.readline().split()
            if len(words) != 3 or words[1] != b"blob":
                return None
            content = stdout.read(int(words[2]))
            stdout.read(1)
            return content


class Node(Frozen):
    """What a revision holds at a path: its mode, and its object, in which repository that lies mounted at `mount`."""

    mode: str
    name: str = ""
    blobs: Blobs | None = None
    repository: Repository | None = None
    mount: str = ""


class Holding(Frozen):
    """The content of a revision, by path from the top; submodules are entered.

    ignored  paths of now, files and whole folders, that git is told to leave alone: no revision tells of them
    """

    nodes: Mapping[str, Node]
    ignored: frozenset[str]


def hold(repository: Repository, commit: str, stack: contextlib.ExitStack) -> Holding | None:
    """What a commit holds; None where git does not have it. What is needed to read it is closed with `stack`."""
    nodes = {".": Node(mode=FOLDER)}
    ignored: set[str] = set()
    if not _mount(repository, commit, "", stack, nodes, ignored):
        return None
    for path in ignored:
        # A folder that holds nothing but what is ignored, and files that git has never seen, is on the way to it.
        while (path := posixpath.dirname(path)) and path not in nodes:
            nodes[path] = Node(mode=FOLDER)
    return Holding(nodes=nodes, ignored=frozenset(ignored - nodes.keys()))


def _mount(
    repository: Repository,
    commit: str,
    mount: str,
    stack: contextlib.ExitStack,
    nodes: dict[str, Node],
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
        nodes[place] = Node(mode=mode, name=name, blobs=blobs, repository=repository, mount=mount)
    listed = repository.names("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")
    ignored.update(posixpath.join(mount, path.rstrip("/")) for path in listed)
    return True
