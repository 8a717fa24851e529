"""Reports a run to the CI: log lines, job summary, or the agent's annotate command."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import TextIO, assert_never

from ami_bakery.adapters.program_search import find_program
from ami_bakery.core.check.finding import Level
from ami_bakery.core.ci.annotations import Ci, Note, azure_summary_line, log_line, workspace
from ami_bakery.core.text.sanitize import one_line

_SUMMARY_BYTES = 1 << 20
"""GitHub ignores a larger summary; Buildkite rejects a larger annotation."""
_AGENT_SECONDS = 60
"""A timeout, so that a hanging agent does not block the job."""


class CiLog:
    """Reports a run in the CI's user interface. Failures are only warnings, because the AMIs are the result.

    stream  stderr: GitHub's and Azure's runners read commands from both streams, and stdout has only the answer
    root    the folder of bakery.toml; empty until it is found
    """

    def __init__(self, ci: Ci, environment: Mapping[str, str], stream: TextIO) -> None:
        self._ci = ci
        self._environment = environment
        self._stream = stream
        self.root = ""
        self._workspace = os.path.realpath(found) if (found := workspace(ci, environment)) else ""

    def report(self, command: str, notes: Sequence[Note], markdown: str) -> None:
        """Reports notes and a summary of `command`, a subcommand. `markdown` ends with a line break."""
        try:
            for note in notes:
                self._print(log_line(self._ci, note, root=self.root, workspace=self._workspace))
            self._show(command, notes, markdown)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._print(one_line(f"warning: cannot report to {self._ci}: {error}"))

    def _show(self, command: str, notes: Sequence[Note], markdown: str) -> None:
        match self._ci:
            case Ci.GITHUB:
                self._append_summary(self._environment.get("GITHUB_STEP_SUMMARY", ""), markdown)
            case Ci.AZURE:
                self._upload_summary(self._environment.get("AGENT_TEMPDIRECTORY", ""), markdown)
            case Ci.BUILDKITE:
                failed = any(note.level is Level.ERROR for note in notes)
                self._annotate_build(command, "error" if failed else "info", markdown)
            case _:
                assert_never(self._ci)

    def _append_summary(self, path: str, markdown: str) -> None:
        if not path:
            return
        text = f"{markdown}\n"
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
            if file.tell() + len(text.encode(errors="backslashreplace")) > _SUMMARY_BYTES:
                raise ValueError("the step's summary would be larger than 1 MiB")
            file.write(text)

    def _upload_summary(self, folder: str, markdown: str) -> None:
        """Writes a file that the agent reads after the step. The agent empties the folder after the job."""
        if not folder:
            return
        descriptor, path = tempfile.mkstemp(prefix="ami-bakery-", suffix=".md", dir=folder)
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(markdown)
        self._print(azure_summary_line(path))

    def _annotate_build(self, command: str, style: str, markdown: str) -> None:
        """Does nothing if there is no agent (in a container). https://buildkite.com/docs/agent/v3/cli-annotate"""
        agent = find_program("buildkite-agent", self._environment, self._workspace or self.root or os.curdir)
        if agent is None:
            return
        body = f"{markdown}\n".encode(errors="backslashreplace")
        if len(body) > _SUMMARY_BYTES:
            raise ValueError("the annotation would be larger than 1 MiB")
        subprocess.run(
            [agent, "annotate", "--append", "--style", style, "--context", f"ami-bakery-{command}"],
            input=body,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=dict(self._environment),
            timeout=_AGENT_SECONDS,
            check=True,
        )

    def _print(self, line: str) -> None:
        if line:
            self._stream.write(f"{line}\n")
            self._stream.flush()
