"""Parses Packer's machine-readable and human-readable output.

Source: https://developer.hashicorp.com/packer/docs/commands, "Machine-Readable Output", and packer/ui.go of 1.6.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.core.packer.build_progress import Tolerated


class Artifact(NamedTuple):
    """An AMI in Packer's artifacts. `builder` is the build's name in Packer's output."""

    builder: str
    region: str
    ami: str


class Built(Frozen):
    """The result of a successful run. `tolerated`: provisioners that failed with `continue_on_error`."""

    artifacts: tuple[Artifact, ...]
    tolerated: tuple[Tolerated, ...] = ()


class Message(Frozen):
    """One line of `-machine-readable`: ``timestamp,target,type,data...``. `target` is empty for Packer itself."""

    target: str
    type: str
    data: tuple[str, ...]


_MACHINE = re.compile(r"(\d+),([^,]*),([a-z0-9-]+),(.*)", re.DOTALL)
_ARTIFACT_ID = re.compile(r"([a-z]{2,}(?:-[a-z0-9]+)+):(ami-[0-9a-f]+)")
COLOR = re.compile(r"\x1b\[[0-9;]*m")
_PLAIN_TITLE = re.compile(r"--> (\S+): AMIs were created:")


def parse_message(line: str) -> Message | None:
    """Parses a line; None if it has another format, because plugins may print anything."""
    match = _MACHINE.fullmatch(line)
    if not match:
        return None
    return Message(
        target=match[2], type=match[3], data=tuple(unescape_machine_text(part) for part in match[4].split(","))
    )


def unescape_machine_text(text: str) -> str:
    return text.replace("%!(PACKER_COMMA)", ",").replace("\\n", "\n").replace("\\r", "\r")


def human_lines(message: Message) -> tuple[str, ...]:
    """Returns the human-readable lines of a message; none if it is only for programs."""
    if message.type != "ui" or len(message.data) < 2:
        return ()
    return tuple(line.rstrip("\r") for line in COLOR.sub("", message.data[1]).split("\n"))


class ArtifactReader:
    """Collects the AMIs of a run from machine-readable messages or human-readable lines.

    Each post-processor prints its artifact again, so duplicates are removed.
    """

    def __init__(self) -> None:
        self._artifacts: dict[Artifact, None] = {}
        self._title = ""

    def read_message(self, message: Message) -> None:
        if message.type == "artifact" and len(message.data) >= 3 and message.data[1] == "id":
            self._add(message.target, message.data[2])

    def read_plain(self, line: str) -> None:
        text = COLOR.sub("", line).strip()
        if match := _PLAIN_TITLE.fullmatch(text):
            self._title = match[1]
        elif self._title and (match := re.fullmatch(r"(\S+): (ami-[0-9a-f]+)", text)):
            self._add(self._title, f"{match[1]}:{match[2]}")
        elif text:
            self._title = ""

    def _add(self, builder: str, identifier: str) -> None:
        for part in identifier.split(","):
            if match := _ARTIFACT_ID.fullmatch(part.strip()):
                self._artifacts[Artifact(builder=builder, region=match[1], ami=match[2])] = None

    def found(self) -> tuple[Artifact, ...]:
        return tuple(self._artifacts)


class ValidationIssue(Frozen):
    """An error of `packer validate`. `file` is Packer's path; empty if there is none."""

    message: str
    file: str = ""
    line: int = 0


_PLACE = re.compile(r"^\s+on (\S.*) line (\d+).*$", re.MULTILINE)
_SNIPPET = re.compile(r"^ +\d+: .*$|^ *\(source code not available\)$", re.MULTILINE)
"""Source lines in Packer's message: they may contain secrets."""
_BULLET = re.compile(r"^\s*\* (.+(?:\n {2,}(?!on ).+)*)", re.MULTILINE)
_LEAD = re.compile(r"^(?!\s*\*)(\S.*:)\s*\n\s*\* ", re.MULTILINE)
"""A line that the bullets below it complete, for example a list of plugins."""
_COUNT = re.compile(r"\d+ errors?(?:\(s\))? occurred:")


def parse_complaints(text: str) -> tuple[ValidationIssue, ...]:
    """Parses the human-readable output of `packer validate`. An `Error:` may list several issues for one line.

    Never empty: if nothing is recognized, the whole text is one issue.
    """
    blocks = [block for block in re.split(r"^Error: ?", COLOR.sub("", text), flags=re.MULTILINE) if block.strip()]
    complaints = tuple(complaint for block in blocks for complaint in _complaints_of(block))
    return complaints or (ValidationIssue(message="it is not valid, and Packer does not say why"),)


def _complaints_of(block: str) -> Iterator[ValidationIssue]:
    place = _PLACE.search(block)
    file, line = (place[1], int(place[2])) if place else ("", 0)
    block = _SNIPPET.sub("", _PLACE.sub("", block))
    messages = [re.sub(r"\s+", " ", bullet) for bullet in _BULLET.findall(block)]
    if messages and (lead := _LEAD.search(block)) and not _COUNT.match(lead[1]):
        messages = [f"{lead[1]} {', '.join(messages)}"]
    if not messages:
        words = block.split("\n", 1)
        title, detail = words[0].strip(), " ".join(words[1].split()) if len(words) > 1 else ""
        messages = [": ".join(part for part in (title, detail) if part.strip(": "))]
    for message in messages:
        yield ValidationIssue(message=message, file=file, line=line)
