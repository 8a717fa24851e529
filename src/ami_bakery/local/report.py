"""What happened: every API call, and what came over SSH to each instance, for a test or a person to read."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiCall:
    """One API call. `error` is empty where it succeeded; `account` where its credentials are not known. `agent` is the
    caller's User-Agent."""

    service: str
    action: str
    region: str
    account: str
    status: int
    error: str = ""
    agent: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """One file that arrived whole. `path` is as the instance sees it, `mode` four octal digits."""

    instance: str
    path: str
    size: int
    sha256: str
    mode: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SshCommand:
    """One command that an instance was asked to run, and did not."""

    instance: str
    user: str
    command: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """In the order in which things happened."""

    calls: tuple[ApiCall, ...]
    uploads: tuple[Upload, ...]
    commands: tuple[SshCommand, ...]

    def count(self, action: str, *, region: str | None = None, account: str | None = None) -> int:
        """How many calls of `action` came in, failed ones too."""
        return sum(
            call.action == action and region in (None, call.region) and account in (None, call.account)
            for call in self.calls
        )


class Recorder:
    """Collects from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[ApiCall] = []
        self._uploads: list[Upload] = []
        self._commands: list[SshCommand] = []

    def call(self, call: ApiCall) -> None:
        with self._lock:
            self._calls.append(call)

    def upload(self, upload: Upload) -> None:
        with self._lock:
            self._uploads.append(upload)

    def command(self, command: SshCommand) -> None:
        with self._lock:
            self._commands.append(command)

    def clear(self) -> None:
        with self._lock:
            self._calls.clear()
            self._uploads.clear()
            self._commands.clear()

    def report(self) -> Report:
        with self._lock:
            return Report(calls=tuple(self._calls), uploads=tuple(self._uploads), commands=tuple(self._commands))


def as_document(report: Report) -> dict[str, object]:
    """The JSON document that `GET /report` answers with. `counts` is by action; `calls` has each with its region,
    account and outcome."""
    counts: dict[str, int] = {}
    for call in report.calls:
        counts[call.action] = counts.get(call.action, 0) + 1
    return {
        "counts": counts,
        "calls": [asdict(call) for call in report.calls],
        "uploads": [asdict(upload) for upload in report.uploads],
        "commands": [asdict(command) for command in report.commands],
    }
