"""Records API calls, and uploads and commands over SSH."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiCall:
    """One API call.

    account  empty if the credentials are unknown
    error    the error code; empty if the call succeeded
    agent    the caller's User-Agent
    """

    service: str
    action: str
    region: str
    account: str
    status: int
    error: str = ""
    agent: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """One complete uploaded file. `path` is the path on the instance; `mode` has four octal digits."""

    instance: str
    path: str
    size: int
    sha256: str
    mode: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SshCommand:
    """One command that was sent to an instance, and not run."""

    instance: str
    user: str
    command: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Everything that was recorded, in chronological order."""

    calls: tuple[ApiCall, ...]
    uploads: tuple[Upload, ...]
    commands: tuple[SshCommand, ...]

    def count(self, action: str, *, region: str | None = None, account: str | None = None) -> int:
        """Returns the number of calls of `action`, including failed ones."""
        return sum(
            call.action == action and region in (None, call.region) and account in (None, call.account)
            for call in self.calls
        )


class Recorder:
    """Records events; safe to use from several threads."""

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
    """Returns the JSON document of `GET /report`. `counts` has the number of calls by action."""
    counts: dict[str, int] = {}
    for call in report.calls:
        counts[call.action] = counts.get(call.action, 0) + 1
    return {
        "counts": counts,
        "calls": [asdict(call) for call in report.calls],
        "uploads": [asdict(upload) for upload in report.uploads],
        "commands": [asdict(command) for command in report.commands],
    }
