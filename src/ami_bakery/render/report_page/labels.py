"""The labels of the fixed words in a report's document."""

from __future__ import annotations

from ami_bakery.values import Frozen


class StateLabel(Frozen):
    """How a state is shown.

    word     its name
    meaning  a sentence that says what it means
    advice   a sentence that says what to do, with `{image}` for the image; empty if nothing
    """

    word: str
    meaning: str
    advice: str = ""


STATES = {
    "failing-test": StateLabel(
        word="Failing test",
        meaning="The AMI of its current definition failed its test.",
        advice="Fix the image or its test, then run `ami-bakery bake {image}`.",
    ),
    "revoked": StateLabel(
        word="Revoked",
        meaning="Its AMI is revoked.",
        advice="To build a new one, run `ami-bakery bake {image}`.",
    ),
    "unknown": StateLabel(
        word="Unknown", meaning="Its plan failed.", advice="Fix the error, then run the report again."
    ),
    "behind": StateLabel(
        word="Behind",
        meaning="Its definition changed since its newest AMI was built, or that AMI cannot be used any more.",
        advice="To build it, run `ami-bakery bake {image}`.",
    ),
    "not-built": StateLabel(
        word="Not built", meaning="It has no AMI.", advice="To build it, run `ami-bakery bake {image}`."
    ),
    "pending": StateLabel(
        word="Pending",
        meaning="Its parent image must be built or copied first: its digest depends on that AMI.",
        advice="To build both, run `ami-bakery bake {image}`.",
    ),
    "building": StateLabel(word="Building", meaning="A runner is building it."),
    "untested": StateLabel(
        word="Untested",
        meaning="Its AMI has not passed the current test.",
        advice="To test it, run `ami-bakery test {image}`.",
    ),
    "not-copied": StateLabel(
        word="Not copied",
        meaning="Its AMI is missing in a region, or must be copied again.",
        advice="To copy it, run `ami-bakery bake {image}`.",
    ),
    "disabled": StateLabel(
        word="Disabled",
        meaning="Prune disabled its AMI.",
        advice="To enable it again, run `ami-bakery bake {image}`.",
    ),
    "current": StateLabel(word="Current", meaning="Its newest AMI has the current definition, in every region."),
    "superseded": StateLabel(word="Superseded", meaning="It has an older definition."),
}
"""States of images and builds. Those that need attention first."""

ACTIONS = {
    "reuse": "Reuse its AMI",
    "bake": "Build it",
    "copy": "Copy its AMI",
    "test": "Test its AMI",
    "enable": "Enable its AMI again",
    "wait": "Wait for the runner that builds it",
    "pending": "Build or copy its parent image first",
}
TESTS = {
    "passed": "Passed",
    "changed": "Passed an older test",
    "untested": "Not tested",
    "failing": "Failed",
}
PARTS = {
    "files": "Files",
    "variables": "Variables",
    "base": "Source AMI",
    "tools": "Tools",
    "settings": "Settings",
}
PRUNE_ACTIONS = {
    "deregister": "Deregister",
    "disable": "Disable",
    "enable": "Enable again",
    "wait": "Wait in quarantine",
    "report": "Request a usage report",
    "keep": "Keep",
}
PRUNE_REASONS = {
    "current": "it has the current definition",
    "channel": "a channel has it, or had it before",
    "in-use": "it is in use",
    "unknown": "its use or its age is unknown",
    "no-policy": "the image has no keep setting",
    "last": "it is one of the newest builds",
    "within": "it is younger than keep.within",
    "young": "it was created or enabled less than a day ago",
    "parent": "another AMI was built from it",
    "protected": "it is protected against deregistration",
    "shared": "it is shared, and other accounts may use it",
    "limit": "one run does not change more AMIs",
    "quarantine": "its quarantine ended",
    "expired": "nothing needs it",
}
INPUT_TYPES = {"file": "File", "directory": "Folder", "symlink": "Symbolic link"}
LEVELS = {"error": "Error", "warning": "Warning", "notice": "Notice"}


def state_label(state: str) -> StateLabel:
    return STATES.get(state) or StateLabel(word=state, meaning="")
