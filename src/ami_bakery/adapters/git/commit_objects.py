"""Reads commits by their ids, all with one git process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ami_bakery.core.report.hosted_repository import CommitInfo, is_commit_id

if TYPE_CHECKING:
    from ami_bakery.adapters.git.repository import Repository


def read_commits(repository: Repository, ids: Iterable[str]) -> Mapping[str, CommitInfo]:
    """Returns the commits that the repository has, by id. Ignores what is no full id.

    `git log` would fail for a missing commit, and its texts could contain any separator.
    """
    wanted = tuple(dict.fromkeys(one for one in ids if is_commit_id(one)))
    if not wanted:
        return {}
    given = "".join(f"{one}\n" for one in wanted).encode("ascii")
    answer = repository.run("cat-file", "--batch", given=given).answer
    return {one: _parse(content) for one, kind, content in _objects(answer) if kind == "commit"}


def _objects(answer: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Yields id, type and content of each object in an answer of `git cat-file --batch`.

    An answer that ends early, because git was killed or an object is corrupt, has the objects before.
    """
    position = 0
    while (end := answer.find(b"\n", position)) >= 0:
        words = answer[position:end].decode("ascii", "replace").split(" ")
        position = end + 1
        if len(words) == 3 and words[2].isdecimal():  # otherwise: `<id> missing`
            content = answer[position : position + int(words[2])]
            if len(content) < int(words[2]):
                return
            yield words[0], words[1], content
            position += len(content) + 1


def _parse(content: bytes) -> CommitInfo:
    header, _, message = content.partition(b"\n\n")
    fields: dict[bytes, bytes] = {}
    for line in header.split(b"\n"):
        name, _, value = line.partition(b" ")
        fields.setdefault(name, value)
    encoding = fields.get(b"encoding", b"").decode("ascii", "replace")
    return CommitInfo(
        subject=_decoded(message.strip(b"\n").partition(b"\n")[0], encoding).strip(),
        committed=_time(fields.get(b"committer", b"")),
    )


def _decoded(text: bytes, encoding: str) -> str:
    try:
        return text.decode(encoding or "utf-8", "replace")
    except (LookupError, ValueError):
        return text.decode("utf-8", "replace")


def _time(committer: bytes) -> datetime | None:
    """Returns the time of `Name <address> 1764460800 +0000`."""
    words = committer.rpartition(b">")[2].split()
    try:
        return datetime.fromtimestamp(int(words[0]), UTC)
    except (IndexError, ValueError, OverflowError, OSError):
        return None
