"""Selects the lines of Packer's output that explain a failure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LINE = re.compile(r"(?:\S+: )?(?:==>|-->|   ) (?P<builder>[^:]+): (?P<text>.*)", re.DOTALL)
_FAILED = re.compile(r"Build '(?P<builder>.+?)' errored(?: after .*?)?: (?P<error>.*)", re.DOTALL)
_STEP = re.compile(r"(?:Provisioning with|Running local shell script|Executing Ansible|Running post-processor)\b")
_CLEAN_UP = re.compile(
    r"Provisioning step had errors: Running the cleanup provisioner|Step \".*\" errored, aborting"
    r"|Terminating the source AWS instance|Cleaning up any extra volumes|No volumes to clean up|Destroying volume"
    r"|Deleting temporary (?:security group|keypair)|Deleting (?:created )?(?:IAM|temporary)"
)
_SUMMARY = re.compile(
    r"==> (?:Wait completed after|Some builds didn't complete successfully|Builds finished but no artifacts)"
)


def failing_lines(lines: Sequence[str], count: int) -> list[str]:
    """Returns at most `count` lines: the first and last lines of the failed step, then the errors.

    lines  the end of Packer's human-readable output, without empty lines
    """
    errors = {match["builder"]: line for line in lines if (match := _FAILED.search(line))}
    shown = [line for line in lines if _is_informative(line, frozenset(errors))]
    steps = [number for number, line in enumerate(shown) if (match := _LINE.match(line)) and _STEP.match(match["text"])]
    start = steps[-1] if steps else 0
    if not errors or len(shown) - start <= count:
        return shown[max(start if len(shown) - start >= _FEWEST else 0, len(shown) - count) :]
    return [shown[start], *shown[len(shown) - count + 1 :]]


_FEWEST = 4
"""A step with fewer lines, its error included, is shown with some lines before it."""


def _is_informative(line: str, failed: frozenset[str]) -> bool:
    if _SUMMARY.match(line):
        return False
    match = _LINE.match(line)
    if match is None:
        return True
    if _CLEAN_UP.match(match["text"]):
        return False
    if line.startswith("-->"):
        # The summary repeats each error.
        return match["builder"] not in failed
    return not failed or match["builder"] in failed or match["builder"].partition(".")[2] in failed
