"""The tree of a git revision equals its checkout on disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import pytest

from ami_bakery.adapters.files.source_tree import LARGEST_READ, DiskTree
from ami_bakery.adapters.git import GitProgram
from ami_bakery.adapters.git.repository import PIECE, Blobs, Repository
from ami_bakery.errors import SourceError
from ami_bakery.ports import RevisionTree
from ami_bakery.template.source_tree import FileKind, SourceTree

NASTY = ("plain", "a b", 'quo"te', "back\\slash", "new\nline", "tab\t", "ünï", "-dash", "byte\udcff")
LINKS = {
    "to-file": "folder/plain",
    "to-folder": "folder",
    "to-itself": "to-itself",
    "to-nothing": "absent",
    "up-and-back": "../root/folder",
    "to-link": "to-folder/../to-file",
    "outside": "../outside",
    "far-outside": "../../beyond",
    "through-ignored": "built/out",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of the paths, a folder of a repository."""
    root = tmp_path / "repository/root"
    (root / "folder/deep").mkdir(parents=True)
    for name in NASTY:
        for folder in ("folder", "folder/deep"):
            (root / folder).joinpath(os.fsdecode(name.encode("utf-8", "surrogateescape"))).write_text(name[:4])
    (root / "folder/program").write_text("x")
    (root / "folder/program").chmod(0o755)
    for name, target in LINKS.items():
        (root / name).symlink_to(target)
    (root / "absolute").symlink_to(root / "folder")
    (root.parent / "outside").write_text("in the repository, outside of the root")
    (tmp_path / "beyond").write_text("beyond the repository")
    (root / "built").mkdir()
    (root / "built/out").write_text("ignored")
    (root / "folder/deep/ignored.o").write_text("ignored")
    (root.parent / ".gitignore").write_text("*.o\nbuilt/\n")
    run(root, "init", "--quiet", "..")
    run(root, "add", "--all", "..")
    run(root, "commit", "--quiet", "--message", "x")
    return root


def run(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


def described(tree: SourceTree, path: str) -> Iterator[tuple[object, ...]]:
    """Yields everything that a tree returns for `path` and, for a folder, for its children."""
    found = tree.entry(path)
    assert found is not None
    try:
        behind = tree.entry(path, follow=True)
    except SourceError:
        yield path, "a circle"
        return
    target = tree.link_target(path) if found.kind is FileKind.LINK else None
    is_file = behind is not None and behind.kind is FileKind.FILE
    hashes = [next(tree.hashes([path], algorithm)) for algorithm in ("sha256", "sha1")] if is_file else []
    content = (tree.read(path), tree.head(path, 2), *hashes) if is_file else None
    yield path, found, behind, target, content
    if found.kind is FileKind.FOLDER or path.rpartition("/")[2] in ("to-folder", "absolute", "up-and-back"):
        for child in sorted(tree.children(path), key=lambda child: child.path):
            yield from described(tree, child.path)


def compared(root: Path, tree: RevisionTree | None) -> None:
    assert tree is not None
    disk = DiskTree(str(root))
    ours, theirs = list(described(tree, ".")), list(described(disk, "."))
    assert [item[0] for item in ours] == [item[0] for item in theirs]
    assert ours == theirs
    assert len(ours) > 50


def test_a_revision_equals_its_checkout(root: Path) -> None:
    with GitProgram(os.environ).tree(str(root), "HEAD") as tree:
        compared(root, tree)
        assert tree is not None
        for path in (
            "../outside",
            "./folder/../folder/plain",
            "/etc/passwd",
            str(root / "folder"),
            "..",
            "folder//deep",
        ):
            assert tree.relative(path) == DiskTree(str(root)).relative(path)
            assert tree.absolute(path) == DiskTree(str(root)).absolute(path)
            assert tree.entry(path) == DiskTree(str(root)).entry(path)


def test_changes_in_the_work_tree_do_not_change_a_revision(root: Path) -> None:
    with GitProgram(os.environ).tree(str(root), "HEAD") as tree:
        assert tree is not None
        before = {item[0]: item for item in described(tree, ".")}
    (root / "folder/plain").write_text("other")
    (root / "folder/program").chmod(0o644)
    (root / "to-file").unlink()
    (root / "added").write_text("x")
    (root / "built/out").write_text("ignored still")
    with GitProgram(os.environ).tree(str(root), "HEAD") as tree:
        assert tree is not None
        after = {item[0]: item for item in described(tree, ".")}
        assert {path for path in before if before[path] != after.get(path)} == {"./built/out", "./through-ignored"}
        assert after.keys() == before.keys()
        assert tree.same_content(["folder/plain", "folder/tab\t", "folder/new\nline", "built/out", "/etc/passwd"]) == {
            "folder/tab\t",
            "folder/new\nline",
        }
        assert [tree.holds(path) for path in ("folder/plain", "to-file", "built/out", "added", "/etc/passwd")] == [
            True,
            True,
            False,
            False,
            False,
        ]
        for path in ("added", "to-nothing"):
            with pytest.raises(SourceError, match="has no such file"):
                tree.read(path)


def test_an_unknown_revision_has_no_tree(root: Path, tmp_path: Path) -> None:
    for folder, revision in ((root, "nowhere"), (root, "HEAD:root"), (tmp_path, "HEAD")):
        with GitProgram(os.environ).tree(str(folder), revision) as tree:
            assert tree is None


def pointer(content: bytes) -> str:
    oid = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"


@pytest.fixture
def lfs(tmp_path: Path) -> Path:
    """A checkout of a repository with Git LFS: commits have pointers, the work tree has the content."""
    run(tmp_path, "init", "--quiet")
    (tmp_path / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n*.enc filter=crypt\n")
    for name in ("same.bin", "changed.bin"):
        (tmp_path / name).write_text(pointer(b"content"))
    (tmp_path / "secret.enc").write_text("encrypted")
    run(tmp_path, "add", "--all")
    run(tmp_path, "commit", "--quiet", "--message", "x")
    for name in ("same.bin", "changed.bin"):
        (tmp_path / name).write_bytes(b"content")
    for setting in ("clean", "smudge"):
        run(tmp_path, "config", f"filter.lfs.{setting}", "false")
        run(tmp_path, "config", f"filter.crypt.{setting}", "false")
    return tmp_path


def test_git_lfs_content_is_compared_without_running_its_filter(lfs: Path) -> None:
    git, files = GitProgram(os.environ), ["same.bin", "changed.bin"]
    assert "+" not in git.commit(str(lfs))
    with git.tree(str(lfs), "HEAD") as tree:
        assert tree is not None
        assert tree.same_content(files) == frozenset(files)
        (lfs / "changed.bin").write_bytes(b"CONTENT")
        assert tree.same_content(files) == {"same.bin"}
    assert git.commit(str(lfs)).endswith("+dirty")


def test_a_change_of_a_filtered_file_is_undecided(lfs: Path) -> None:
    (lfs / "secret.enc").write_text("decrypted")
    git = GitProgram(os.environ)
    assert git.commit(str(lfs)).endswith("+dirty")
    with git.tree(str(lfs), "HEAD") as tree:
        assert tree is not None
        assert tree.same_content(["secret.enc", ".gitattributes"]) == {".gitattributes"}
        assert tree.undecided(["secret.enc", ".gitattributes"]) == {"secret.enc"}


@pytest.mark.parametrize("change", ["edit", "commit", "other commit", "stage", "remove"])
def test_a_change_in_a_submodule_makes_the_commit_dirty(tmp_path: Path, change: str) -> None:
    inner, top = tmp_path / "inner", tmp_path / "top"
    for folder in (inner, top):
        folder.mkdir()
        run(folder, "init", "--quiet")
        (folder / "file").write_text("x")
        run(folder, "add", "--all")
        run(folder, "commit", "--quiet", "--message", "x")
    run(top, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    run(top, "commit", "--quiet", "--message", "y")
    git, sub = GitProgram(os.environ), top / "sub"
    assert "+" not in git.commit(str(top))
    if change in ("edit", "commit"):
        (sub / "file").write_text("y")
    if change == "commit":
        run(sub, "commit", "--quiet", "--all", "--message", "z")
    if change in ("other commit", "stage"):
        run(sub, "commit", "--quiet", "--allow-empty", "--message", "z")
    if change == "stage":
        run(top, "add", "sub")
    if change == "remove":
        run(top, "rm", "--quiet", "--cached", "sub")
    assert git.commit(str(top)).endswith("+dirty")


class CountingReads:
    """Records the size of each read of git's output."""

    def __init__(self, responses: IO[bytes]) -> None:
        self._responses = responses
        self.sizes: list[int] = []

    def readline(self) -> bytes:
        return self._responses.readline()

    def read(self, size: int = -1) -> bytes:
        self.sizes.append(size)
        return self._responses.read(size)


LARGE = os.urandom(1 << 20) * 5 + b"end"


@pytest.fixture
def large(root: Path) -> str:
    """The object id of a committed file of 5 MiB."""
    (root / "large").write_bytes(LARGE)
    run(root, "add", "large")
    run(root, "commit", "--quiet", "--message", "large")
    return subprocess.check_output(["git", "rev-parse", "HEAD:root/large"], cwd=root, text=True).strip()


def test_a_large_file_of_a_revision_is_never_read_at_once(root: Path, large: str) -> None:
    with Repository(str(root), dict(os.environ)).blobs() as blobs:
        responses = CountingReads(blobs._responses)
        counted = Blobs(blobs._requests, cast("IO[bytes]", responses))
        hasher = hashlib.sha256()
        assert counted.feed(large, hasher.update)
        assert hasher.hexdigest() == hashlib.sha256(LARGE).hexdigest()
        assert counted.head(large, 5) == LARGE[:5]
        assert counted.head(large, 1 << 30) == LARGE, "the rest after a head does not affect the next response"
        assert not counted.feed("0" * 40, hasher.update)
        assert all(0 < size <= PIECE for size in responses.sizes)
        assert len(responses.sizes) > 3 * len(LARGE) // PIECE


def test_a_large_file_of_a_revision_has_the_hash_of_its_checkout(root: Path, large: str) -> None:
    assert large
    with GitProgram(dict(os.environ)).tree(str(root), "HEAD") as tree:
        assert tree is not None
        assert list(tree.hashes(["large"])) == list(DiskTree(str(root)).hashes(["large"]))
        assert tree.head("large", 7) == LARGE[:7]


def test_a_too_large_text_file_is_an_error_in_a_revision_and_its_checkout(root: Path) -> None:
    with (root / "huge").open("wb") as file:
        file.truncate(LARGEST_READ + 1)
    run(root, "add", "huge")
    run(root, "commit", "--quiet", "--message", "huge")
    with GitProgram(dict(os.environ)).tree(str(root), "HEAD") as tree:
        assert tree is not None
        for each in (tree, DiskTree(str(root))):
            with pytest.raises(SourceError, match="larger than 32 MiB"):
                each.read("huge")
        assert list(tree.hashes(["huge"])) == list(DiskTree(str(root)).hashes(["huge"]))


def test_a_git_process_that_has_ended_returns_no_content(root: Path, large: str) -> None:
    with Repository(str(root), dict(os.environ)).blobs() as blobs:
        blobs._requests.close()
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb", buffering=0) as requests:
            assert Blobs(requests, blobs._responses).head(large, 5) is None


def test_trees_of_many_revisions_start_two_processes_each(root: Path, tmp_path: Path) -> None:
    programs, log = tmp_path / "programs", tmp_path / "log"
    programs.mkdir()
    (programs / "git").write_text(f'#!/bin/sh\necho run >> {log}\nexec {shutil.which("git")} "$@"\n')
    (programs / "git").chmod(0o755)
    git = GitProgram({**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"})
    for number in range(4):
        (root / "folder/plain").write_text(f"{number}")
        run(root, "commit", "--quiet", "--all", "--message", "x")

    def processes(count: int) -> int:
        log.write_text("")
        with git.trees(str(root)) as tree_of:
            trees = [tree_of(f"HEAD~{number}") for number in range(count)]
            contents = [tree.read("folder/plain") for tree in trees if tree is not None]
        assert contents == [b"3", b"2", b"1", b"0"][:count]
        return len(log.read_text().splitlines())

    assert processes(4) - processes(2) == 2 * 2


def test_trees_of_unknown_revisions_are_none(root: Path) -> None:
    with GitProgram(os.environ).trees(str(root)) as tree_of:
        assert tree_of("0" * 40) is None
        assert tree_of("--all") is None
        assert tree_of("HEAD") is not None
