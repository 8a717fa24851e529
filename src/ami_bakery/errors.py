"""Errors that a user can act on. Each kind of action has one class."""

from __future__ import annotations

from copy import copy
from typing import NamedTuple, Self


class Annotation(NamedTuple):
    """A message at a line (from 1) of a file; the path is absolute, or relative to the folder of bakery.toml."""

    file: str
    line: int
    message: str


class BakeryError(Exception):
    """An expected error with a message of three parts. Its class says who can fix it, and where.

    doing  the operation, as a clause: ``reading bakery.toml``
    wrong  what failed, with the original message of AWS, Packer, git or the system
    todo   what to do, as a sentence
    marks  the lines of files that the error is about, for annotations; the message names them too
    """

    exit_status = 1

    def __init__(self, doing: str, wrong: str, todo: str, *, marks: tuple[Annotation, ...] = ()) -> None:
        super().__init__(doing, wrong, todo)
        self.doing = doing
        self.wrong = wrong
        self.todo = todo
        self.marks = marks

    def __str__(self) -> str:
        return f"{self.doing}: {self.wrong}"

    def revised(
        self,
        *,
        doing: str | None = None,
        wrong: str | None = None,
        todo: str | None = None,
        marks: tuple[Annotation, ...] | None = None,
    ) -> Self:
        """Returns an error of the same class with other parts."""
        changed = copy(self)
        changed.doing = self.doing if doing is None else doing
        changed.wrong = self.wrong if wrong is None else wrong
        changed.todo = self.todo if todo is None else todo
        changed.marks = self.marks if marks is None else marks
        changed.args = (changed.doing, changed.wrong, changed.todo)
        return changed


class UsageError(BakeryError):
    """The command line or the environment is invalid: change the call."""

    exit_status = 2


class ConfigError(BakeryError):
    """`bakery.toml` is invalid: edit it. `wrong` lists all problems, one per line."""


class SourceError(BakeryError):
    """An input of an image is missing, unreadable or not hashable: fix the file."""


class TemplateError(BakeryError):
    """The Packer template is missing or does not parse: edit it."""


class TooLargeError(TemplateError):
    """Reading a template, or its files, needs too much time or memory: make them smaller."""


class TemplateSyntaxError(TemplateError):
    """An HCL2 template does not parse: edit it."""


class PackerError(BakeryError):
    """Packer is missing, too old, or failed: see its log.

    taken_by  the id of the existing AMI whose name Packer wanted to use; or empty
    exited    whether Packer ran and exited with a failure
    """

    def __init__(
        self,
        doing: str,
        wrong: str,
        todo: str,
        *,
        taken_by: str = "",
        exited: bool = False,
        marks: tuple[Annotation, ...] = (),
    ) -> None:
        super().__init__(doing, wrong, todo, marks=marks)
        self.taken_by = taken_by
        self.exited = exited


class AwsError(BakeryError):
    """AWS refused a call or was not reachable: check credentials, permissions, region, or retry later.

    code  AWS's error code, such as ``UnauthorizedOperation``; or empty
    """

    def __init__(
        self, doing: str, wrong: str, todo: str, *, code: str = "", marks: tuple[Annotation, ...] = ()
    ) -> None:
        super().__init__(doing, wrong, todo, marks=marks)
        self.code = code


class DeniedError(AwsError):
    """A permission is missing: allow the action."""


class UnansweredError(AwsError):
    """A call, or one of its tries, got no response: run again later. The call may have succeeded."""


class NotFoundError(AwsError):
    """A resource does not exist, or EC2 does not show it yet."""


class NameTakenError(AwsError):
    """Another AMI has the name: remove it, or choose another name."""


class InUseError(AwsError):
    """Another resource uses this one: remove that one first."""


class VerificationError(BakeryError):
    """The AMI that Packer reported failed verification; it was not tagged with the digest."""


class FailedTestError(VerificationError):
    """The AMI failed its test: fix the image or the test."""


class NotBuiltError(BakeryError):
    """The AMI does not exist, and building is disabled: bake the image."""


class SkippedError(BakeryError):
    """The image was skipped because another one failed: fix that one."""


class BusyError(BakeryError):
    """Another job builds the image, and waiting is disabled or timed out: retry later."""

    exit_status = 75  # EX_TEMPFAIL of sysexits.h


class OutputError(BakeryError):
    """The output could not be written."""


class Stopped(BakeryError):
    """The user ended the program: this is not a failure."""

    exit_status = 130


class Interrupted(KeyboardInterrupt):
    """A signal to end the program; the message is its name."""


class LeaveNow(Interrupted):
    """The user wants to exit now, without waiting for running builds."""
