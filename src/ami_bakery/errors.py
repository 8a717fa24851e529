"""The failures that a user can act on: what we were doing, what went wrong, what to do next."""

from __future__ import annotations

from typing import NamedTuple


class Annotation(NamedTuple):
    """What is wrong at a line, from 1, of a file: absolute, or relative to the folder of bakery.toml."""

    file: str
    line: int
    message: str


class BakeryError(Exception):
    """A failure with a message of three parts. Each subclass is one kind of thing that the user can do about it.

    doing  what the program was doing, as a clause: ``reading bakery.toml``
    wrong  what went wrong, in the other side's own words where there is one
    todo   what to do next, as a sentence
    marks  the lines of files that it is about, for whoever shows them there; the three parts name them, too
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


class UsageError(BakeryError):
    """The command line, or the environment that stands in for it, asks for what cannot be: change the call."""

    exit_status = 2


class ConfigError(BakeryError):
    """`bakery.toml` is wrong: edit it. `wrong` lists every problem found, a line each."""


class SourceError(BakeryError):
    """An input of an image is missing, unreadable, or not a thing that can be hashed: mend the file."""


class TemplateError(BakeryError):
    """The Packer template is absent or does not parse: edit it."""


class TooLargeError(TemplateError):
    """A template, or a file that is parsed for it, takes too much time or memory: make it smaller."""


class TemplateSyntaxError(TemplateError):
    """The text of an HCL2 template does not parse: edit it."""


class PackerError(BakeryError):
    """Packer is absent, too old, or failed: look at its log.

    `taken_by` is the AMI that has the name which Packer wanted to give, or empty.
    """

    def __init__(
        self, doing: str, wrong: str, todo: str, *, taken_by: str = "", marks: tuple[Annotation, ...] = ()
    ) -> None:
        super().__init__(doing, wrong, todo, marks=marks)
        self.taken_by = taken_by


DENIED = frozenset({"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "Client.UnauthorizedOperation"})
"""AWS's codes for a right that is missing."""
_UNANSWERED = frozenset(
    {
        *("Unreachable", "NoAnswer", "RequestLimitExceeded", "Throttling"),
        *("Unavailable", "ServiceUnavailable", "InternalError", "InternalFailure", "ServerInternal", "RequestTimeout"),
        *("500", "502", "503", "504"),  # botocore's codes for what was answered before EC2 itself was reached
    }
)


class AwsError(BakeryError):
    """AWS refused or could not be reached: credentials, rights, region, or patience.

    `code` is the error code of the other side, such as ``UnauthorizedOperation``, or empty where it gave none.
    """

    def __init__(
        self, doing: str, wrong: str, todo: str, *, code: str = "", marks: tuple[Annotation, ...] = ()
    ) -> None:
        super().__init__(doing, wrong, todo, marks=marks)
        self.code = code

    @property
    def is_denied(self) -> bool:
        """Whether a right is missing."""
        return self.code in DENIED

    @property
    def is_unanswered(self) -> bool:
        """Whether nobody knows if it was carried out: one of the tries may have been, without an answer."""
        return self.code in _UNANSWERED


class VerificationError(BakeryError):
    """The AMI that Packer reported is not what was promised; it did not get the digest."""


class SkippedError(BakeryError):
    """Left undone because something else failed: mend that."""


class BusyError(BakeryError):
    """Somebody else bakes just that, and we were not to wait (any longer): try again later."""

    exit_status = 75  # EX_TEMPFAIL of sysexits.h


class OutputError(BakeryError):
    """The answer could not be written where it was wanted."""


class Stopped(BakeryError):
    """The user wants the program to end: nothing is wrong."""

    exit_status = 130


class Interrupted(KeyboardInterrupt):
    """One of the signals that end the program, by name."""


class LeaveNow(Interrupted):
    """End at once: what still runs is not waited for."""
