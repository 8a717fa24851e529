"""Commits are read by id, by one git process, whatever their messages contain."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from ami_bakery.adapters.git import GitProgram
from ami_bakery.adapters.git.commit_objects import read_commits
from ami_bakery.adapters.git.repository import CommandResult, Repository
from ami_bakery.core.report.hosted_repository import CommitInfo

IDENTITY = ("-c", "user.name=A <b> c", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str, given: bytes = b"", environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        ["git", *IDENTITY, *arguments],
        cwd=folder,
        input=given,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    return tmp_path


def commit(folder: Path, message: str | bytes, *options: str, date: str = "1767225600 +0500") -> str:
    given = message.encode() if isinstance(message, str) else message
    words = ("commit", "--quiet", "--allow-empty", "--allow-empty-message", "--cleanup=verbatim", "--file=-")
    git(folder, *options, *words, given=given, environment={"GIT_COMMITTER_DATE": date})
    return git(folder, "rev-parse", "HEAD")


def raw_commit(folder: Path, made: str) -> bytes:
    return subprocess.run(["git", "cat-file", "commit", made], cwd=folder, capture_output=True, check=True).stdout


def written(folder: Path, raw: bytes) -> str:
    return git(folder, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", given=raw)


def read(folder: Path, *ids: str) -> Mapping[str, CommitInfo]:
    return GitProgram(os.environ).commits(str(folder), ids)


def test_subject_and_time_of_commits(folder: Path) -> None:
    first = commit(folder, "app: first\n\nbody\n")
    second = commit(folder, "app: second", date="1767225601 -0800")
    assert read(folder, second, first) == {
        first: CommitInfo(subject="app: first", committed=datetime(2026, 1, 1, tzinfo=UTC)),
        second: CommitInfo(subject="app: second", committed=datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)),
    }


@pytest.mark.parametrize(
    "message",
    ["", "\n", "\n\nafter empty lines\n", "x\x01y\x1b[31m", "</script>", "tree 123\nparent 456", "a\0b", "é\u202e😀"],
)
def test_any_message_is_one_subject(folder: Path, message: str) -> None:
    ids = [commit(folder, "before"), commit(folder, message.replace("\0", "\1")), commit(folder, "after")]
    found = read(folder, *ids)
    assert [found[one].subject for one in (ids[0], ids[2])] == ["before", "after"]
    assert found[ids[1]].subject == message.replace("\0", "\1").strip("\n").partition("\n")[0]


def test_message_in_another_encoding_is_decoded(folder: Path) -> None:
    latin = commit(folder, "größer".encode("latin-1"), "-c", "i18n.commitEncoding=ISO-8859-1")
    unknown = commit(folder, "größer".encode(), "-c", "i18n.commitEncoding=no-such-encoding")
    broken = written(folder, raw_commit(folder, unknown).partition(b"encoding")[0] + b"\nx\xff")
    found = read(folder, latin, unknown, broken)
    assert [found[one].subject for one in (latin, unknown, broken)] == ["größer", "größer", "x\ufffd"]


def test_signature_in_the_header_is_not_the_message(folder: Path) -> None:
    made = commit(folder, "x")
    head, _, message = raw_commit(folder, made).partition(b"\n\n")
    signed = head + b"\ngpgsig -----BEGIN-----\n \n encoding x\n -----END-----\n\nsigned " + message
    assert [found.subject for found in read(folder, written(folder, signed)).values()] == ["signed x"]


def test_objects_that_are_missing_or_no_commits_are_absent(folder: Path) -> None:
    made = commit(folder, "x")
    git(folder, "tag", "--annotate", "v1", "--message", "x")
    tag, tree = git(folder, "rev-parse", "v1"), git(folder, "rev-parse", "HEAD^{tree}")
    assert list(read(folder, "0" * 40, tag, made, tree, "f" * 40)) == [made]


@pytest.mark.parametrize("given", ["HEAD", "main", "", "--help", "-x", "x\ny", "\0", "0123", ":/x", "@{u}"])
def test_text_that_is_no_commit_id_is_ignored(folder: Path, given: str) -> None:
    made = commit(folder, "x")
    assert list(read(folder, given, made)) == [made]


def test_all_commits_are_read_by_one_process_and_none_by_none(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ids = [commit(folder, str(number)) for number in range(5)]
    programs = tmp_path_factory.mktemp("bin")
    log = programs / "log"
    real = shutil.which("git")
    (programs / "git").write_text(f'#!/bin/sh\necho run >> {log}\nexec {real} "$@"\n')
    (programs / "git").chmod(0o755)
    program = GitProgram({**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"})
    assert program.commits(str(folder), ["HEAD"]) == {}
    assert not log.exists()
    assert len(program.commits(str(folder), ids * 100)) == 5
    assert log.read_text() == "run\n"


def test_folder_without_a_repository_has_no_commits_and_no_remote(tmp_path: Path) -> None:
    assert GitProgram(os.environ).commits(str(tmp_path), ["0" * 40]) == {}
    assert GitProgram(os.environ).remote_url(str(tmp_path)) == ""


def test_invalid_date_is_unknown(folder: Path) -> None:
    made = commit(folder, "x")
    stamps = (b"99999999999999999999 +0000", b"x +0000", b"")
    ids = [written(folder, raw_commit(folder, made).replace(b"1767225600 +0500", stamp)) for stamp in stamps]
    assert read(folder, *ids) == dict.fromkeys(ids, CommitInfo(subject="x", committed=None))


def test_url_of_the_remote_origin(folder: Path) -> None:
    program = GitProgram(os.environ)
    assert program.remote_url(str(folder)) == ""
    git(folder, "remote", "add", "other", "https://example.com/x.git")
    assert program.remote_url(str(folder)) == ""
    git(folder, "remote", "add", "origin", "git@github.com:owner/name.git")
    assert program.remote_url(str(folder)) == "git@github.com:owner/name.git"


def test_ignored_file_is_no_change_of_the_work_tree_unless_it_may_be_an_input(folder: Path) -> None:
    """Otherwise each report but the first would say that there are uncommitted changes.

    A bake does not ignore the file: it may be an input.
    """
    made = commit(folder, "x")
    (folder / "images").mkdir()
    (folder / "images/ami-bakery-report.html").write_text("<!doctype html>")
    assert GitProgram(os.environ).commit(str(folder), ignored=("ami-bakery-report.html",)) == made
    assert GitProgram(os.environ).commit(str(folder)) == f"{made}+dirty"
    (folder / "other-report.html").write_text("<!doctype html>")
    assert GitProgram(os.environ).commit(str(folder), ignored=("ami-bakery-report.html",)) == f"{made}+dirty"


FIRST, SECOND = "a" * 40, "b" * 40
CONTENT = b"tree 0\ncommitter T <t@example.org> 1764460800 +0000\n\nAdd it\n"


class InterruptedRepository:
    """A repository whose git was killed while it answered."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def run(self, *_arguments: str, given: bytes = b"") -> CommandResult:
        assert given
        return CommandResult(status=128, answer=self._answer, complaint="")


def test_objects_before_the_end_of_an_incomplete_answer_are_read() -> None:
    complete = f"{FIRST} commit {len(CONTENT)}\n".encode() + CONTENT + b"\n"
    for rest in (f"{SECOND} comm".encode(), f"{SECOND} commit 9999\ntree".encode()):
        found = read_commits(cast("Repository", InterruptedRepository(complete + rest)), [FIRST, SECOND])
        assert {commit: known.subject for commit, known in found.items()} == {FIRST: "Add it"}
