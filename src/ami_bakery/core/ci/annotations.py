"""Detects the CI service, and formats findings and errors as its annotations."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.core.check.finding import Finding, Level
    from ami_bakery.errors import BakeryError


class Ci(StrEnum):
    """CI services that read findings and results from a job's output. Others read files, which `--output` writes."""

    GITHUB = "GitHub Actions"
    AZURE = "Azure Pipelines"
    BUILDKITE = "Buildkite"


_SHOWN_BY = {
    Ci.GITHUB: ("GITHUB_ACTIONS", "true"),
    Ci.AZURE: ("TF_BUILD", "True"),
    Ci.BUILDKITE: ("BUILDKITE", "true"),
}
_WORKSPACES = {Ci.GITHUB: "GITHUB_WORKSPACE", Ci.AZURE: "BUILD_SOURCESDIRECTORY"}


def detect(environment: Mapping[str, str]) -> Ci | None:
    return next((ci for ci, (name, value) in _SHOWN_BY.items() if environment.get(name) == value), None)


def is_automated(environment: Mapping[str, str]) -> bool:
    """Whether this is a CI job. Jobs of some services have a terminal, but no user.

    All services set CI=true, except Azure and Jenkins, whose jobs have no terminal.
    """
    return environment.get("CI", "").lower() not in ("", "false") or detect(environment) is not None


def workspace(ci: Ci, environment: Mapping[str, str]) -> str:
    """The folder that the CI's paths are relative to; empty if it has none."""
    return environment.get(_WORKSPACES.get(ci, ""), "")


class Note(Frozen):
    """An annotation, with or without a line of a file.

    file  relative to the folder of bakery.toml, or absolute; empty without a line
    """

    level: Level
    title: str
    message: str
    file: str = ""
    line: int = 0


def finding_note(images: Sequence[str], finding: Finding) -> Note:
    from ami_bakery.core.check.finding import images_named

    return Note(
        level=finding.level,
        title=f"{finding.code} ({images_named(images)})",
        message=f"{finding.message}\n{finding.todo}",
        file=finding.location.file,
        line=finding.location.line,
    )


def error_notes(error: BakeryError, image: str = "") -> tuple[Note, ...]:
    """Returns a note for each line that the error marks; one without a line if there are none."""
    from ami_bakery.core.check.finding import Level

    title = f"image {image}" if image else "ami-bakery"
    if not error.marks:
        text = f"{error.doing}\n{error.wrong}\n{error.todo}"
        return (Note(level=Level.ERROR, title=title, message=text),)
    return tuple(
        Note(level=Level.ERROR, title=title, message=f"{mark.message}\n{error.todo}", file=mark.file, line=mark.line)
        for mark in error.marks
    )


def log_line(ci: Ci, note: Note, *, root: str, workspace: str) -> str:
    """Formats a note as a line of the CI's log; empty if the CI does not read its log.

    root, workspace  absolute: the folder of bakery.toml, and the one that the CI's paths are relative to
    """
    file = posixpath.normpath(posixpath.join(root, note.file)) if note.file else ""
    match ci:
        case Ci.GITHUB:
            return _github_line(note, file, workspace)
        case Ci.AZURE:
            return _azure_line(note, file)
        case Ci.BUILDKITE:
            return ""
    assert_never(ci)


def _github_line(note: Note, file: str, workspace: str) -> str:
    """https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands; the runner's ActionCommand.cs
    has the escapes, and reads both stdout and stderr."""
    properties = {"title": note.title}
    if file:
        properties = {"file": _relative(file, workspace), "line": str(note.line), **properties}
    listed = ",".join(f"{name}={_github_property(value)}" for name, value in properties.items())
    return f"::{note.level} {listed}::{_github_data(note.message)}"


def _github_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _github_property(text: str) -> str:
    return _github_data(text).replace(":", "%3A").replace(",", "%2C")


def _azure_line(note: Note, file: str) -> str:
    """https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands; azure-pipelines-task-lib's
    taskcommand.ts has the escapes. Paths are absolute there."""
    properties = {"type": "error" if note.level == "error" else "warning"}
    if file:
        properties |= {"sourcepath": file, "linenumber": str(note.line)}
    listed = "".join(f"{name}={_azure_property(value)};" for name, value in properties.items())
    return f"##vso[task.logissue {listed}]{_azure_data(f'{note.title}: {note.message}')}"


def azure_summary_line(path: str) -> str:
    """The log line that shows a Markdown file on the run's page."""
    return f"##vso[task.uploadsummary]{_azure_data(path)}"


def _azure_data(text: str) -> str:
    return text.replace("%", "%AZP25").replace("\r", "%0D").replace("\n", "%0A")


def _azure_property(text: str) -> str:
    return _azure_data(text).replace("]", "%5D").replace(";", "%3B")


def code_quality(notes: Iterable[Note], *, root: str, workspace: str) -> str:
    """Formats notes as GitLab's code quality report: https://docs.gitlab.com/ci/testing/code_quality.

    The fingerprint does not contain the line, so that GitLab recognizes a finding when lines have moved.
    `workspace`: see `log_line`.
    """
    import hashlib
    import json
    from collections import Counter

    from ami_bakery.core.check.finding import Level

    severities = {Level.ERROR: "critical", Level.WARNING: "minor", Level.NOTICE: "info"}
    seen: Counter[tuple[str, ...]] = Counter()
    report = []
    for note in notes:
        path = _relative(posixpath.normpath(posixpath.join(root, note.file)), workspace)
        identity = (note.title, note.message, path)
        seen[identity] += 1
        fingerprint = hashlib.sha256(repr((*identity, seen[identity])).encode(errors="backslashreplace"))
        report.append(
            {
                "description": note.message.replace("\n", ". "),
                "check_name": note.title,
                "fingerprint": fingerprint.hexdigest(),
                "severity": severities[note.level],
                "location": {"path": path, "lines": {"begin": note.line}},
            }
        )
    return json.dumps(report, indent=2) + "\n"


def _relative(file: str, workspace: str) -> str:
    """Makes a path in the workspace relative to it."""
    within = workspace.rstrip("/") + "/"
    return file.removeprefix(within) if workspace else file
