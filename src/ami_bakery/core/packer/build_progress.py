"""Reads created resources and tolerated failures from Packer's output during a build.

Read from: builder/amazon of Packer 1.6.6, packer-plugin-amazon 1.8.2, packer/provisioner.go of Packer 1.16.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ami_bakery.values import Frozen


class CreatedKind(StrEnum):
    """The kind of a resource that Packer creates.

    `KEY_PAIR`, `SECURITY_GROUP` and `AMI_NAME` are names that Packer prints before it creates the resource.
    """

    KEY_PAIR = "key-pair"
    SECURITY_GROUP = "security-group"
    INSTANCE = "instance"
    AMI_NAME = "ami-name"
    AMI = "ami"


class CreatedResource(Frozen):
    """A resource that Packer created, or is about to create. `builder` is the build's name in Packer's output."""

    builder: str
    kind: CreatedKind
    value: str


class Tolerated(Frozen):
    """A failed provisioner with `continue_on_error`. `step`: Packer's line for the provisioner."""

    builder: str
    step: str
    error: str


_SAID = re.compile(r"(?:\S+: )?(?:==>|   ) (?P<builder>.+?): (?P<text>.*)")
"""A line of a build; with -timestamp-ui, it starts with the time."""
_LINES: tuple[tuple[CreatedKind, re.Pattern[str]], ...] = (
    (CreatedKind.KEY_PAIR, re.compile(r"Creating temporary keypair: (packer_\S+)")),
    (CreatedKind.SECURITY_GROUP, re.compile(r"Creating temporary security group for this instance: (packer_\S+)")),
    (CreatedKind.INSTANCE, re.compile(r"Instance ID: (i-[0-9a-f]+)")),
    (CreatedKind.AMI_NAME, re.compile(r"Creating AMI (.+) from instance (i-[0-9a-f]+)")),
    (CreatedKind.AMI, re.compile(r"AMI: (ami-[0-9a-f]+)")),
)
_NAMES_FINALLY = re.compile(
    r"Registering the AMI\.\.\.|Copying/Encrypting AMI \(ami-[0-9a-f]+\) to other regions\.\.\."
)
"""After these lines, the AMI has its final name, which Packer prevalidated. Before, it may have a temporary one."""
_VALIDATED = re.compile(r"Prevalidating AMI Name: (.+)")
_TAKEN = re.compile(r"Error: AMI Name: '.*' is used by an existing AMI: (ami-[0-9a-f]+)")
_STEP = re.compile(r"(?:Provisioning with|Running local shell script|Executing Ansible|Uploading|Downloading)\b.*")
_TOLERATED = re.compile(
    r'Warning: Provisioner failed with (".*"), but continue_on_error is set; continuing the build\.'
)


@dataclass(slots=True)
class _BuilderProgress:
    """The progress of one builder."""

    validated: str = ""
    instance: str = ""
    naming: bool = False
    step: str = ""


@dataclass(slots=True)
class ProgressReader:
    """Reads Packer's human-readable lines. `tell` is called for each resource immediately.

    A provisioner may print lines that look like Packer's own, so a line only counts when Packer can print it: a key
    pair or security group before the instance, one instance, and an AMI only after the line that announces it.
    Names of key pairs from the template are ignored: another run may use the same name.
    """

    tell: Callable[[CreatedResource], None] = field(default=lambda _: None)
    made: list[CreatedResource] = field(default_factory=list)
    tolerated: list[Tolerated] = field(default_factory=list)
    taken_by: str = ""
    """An existing AMI that has the name of the new AMI."""
    _builds: dict[str, _BuilderProgress] = field(default_factory=dict)

    def read(self, line: str) -> None:
        match = _SAID.fullmatch(line.rstrip())
        if match is None:
            return
        build = self._builds.setdefault(match["builder"], _BuilderProgress())
        self._read_step(match["builder"], build, match["text"])
        for kind, pattern in _LINES:
            if (found := pattern.fullmatch(match["text"])) and _is_due(build, kind, found):
                self._add(match["builder"], kind, found[1])

    def _read_step(self, builder: str, build: _BuilderProgress, text: str) -> None:
        if (found := _VALIDATED.fullmatch(text)) and not build.instance:
            build.validated = found[1]
        elif _NAMES_FINALLY.fullmatch(text) and build.validated:
            build.naming = build.naming or text.startswith("Registering")
            self._add(builder, CreatedKind.AMI_NAME, build.validated)
        elif (found := _TAKEN.fullmatch(text)) and not build.instance:
            self.taken_by = found[1]
        elif _STEP.fullmatch(text):
            build.step = text
        elif found := _TOLERATED.fullmatch(text):
            self.tolerated.append(Tolerated(builder=builder, step=build.step, error=found[1]))

    def _add(self, builder: str, kind: CreatedKind, value: str) -> None:
        made = CreatedResource(builder=builder, kind=kind, value=value)
        if made not in self.made:
            self.made.append(made)
            self.tell(made)


def _is_due(build: _BuilderProgress, kind: CreatedKind, found: re.Match[str]) -> bool:
    """Whether Packer can print this line now; updates the progress."""
    match kind:
        case CreatedKind.KEY_PAIR | CreatedKind.SECURITY_GROUP:
            return not build.instance
        case CreatedKind.INSTANCE:
            due, build.instance = not build.instance, build.instance or found[1]
            return due
        case CreatedKind.AMI_NAME:
            build.naming = build.naming or found[2] == build.instance
            return found[2] == build.instance
        case CreatedKind.AMI:
            due, build.naming = build.naming, False
            return due


_MARKS = (
    "Creating temporary keypair: packer_",
    "Creating temporary security group for this instance: packer_",
    "Instance ID: i-",
    "Creating AMI ",
    ": AMI: ami-",
    "Registering the AMI...",
    "Copying/Encrypting AMI (",
    "Prevalidating AMI Name: ",
    "Error: AMI Name: ",
    ": Provisioning with",
    ": Running local shell script",
    ": Executing Ansible",
    ": Uploading",
    ": Downloading",
    ", but continue_on_error is set",
)
"""Every line that `ProgressReader` uses contains one of these."""


def telling(lines: Sequence[str]) -> Iterator[str]:
    """Yields the lines that `ProgressReader` may use, in order. One search over all lines is fast."""
    text = "\n".join(lines)
    starts = set()
    for mark in _MARKS:
        at = text.find(mark)
        while at >= 0:
            starts.add(text.rfind("\n", 0, at) + 1)
            after = text.find("\n", at)
            at = text.find(mark, after) if after >= 0 else -1
    for start in sorted(starts):
        end = text.find("\n", start)
        yield text[start : end if end >= 0 else len(text)]
