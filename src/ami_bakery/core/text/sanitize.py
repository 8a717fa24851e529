"""What may be shown of a name or of another program's words: nothing that steers a terminal or CI, or forges a line."""

from __future__ import annotations

import re

COLORS = {"red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36", "bold": "1", "dim": "2"}
"""A terminal's code for each color that we use, by its name."""
# Two sets: one of both would be a bitmap of all 65,536 characters, made at each start.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]|[\ud800-\udfff]")
_CI_COMMAND = re.compile(
    r"^(?=[^\S\n]*::|(?:---|\+\+\+|~~~)\s|\^\^\^\s)|(?<=##)(?=(?:vso|teamcity)?\[)", re.MULTILINE | re.IGNORECASE
)
"""GitHub Actions takes `::name` at the start of a line, and `##[name]` anywhere, for a command; Azure `##vso[name]`,
TeamCity `##teamcity[name]`. In Buildkite `---`, `+++` and `~~~` at the start of a line open a group. GitLab's markers
need a carriage return."""
_MISLEADING = re.compile(r"[\u2028-\u202e\u2066-\u2069]")
"""Line breaks of Unicode, and what reverses the order of the characters behind it."""
_BREAKING = re.compile(r"[\t\n]")


def printable(text: str) -> str:
    """Control characters, and bytes that are no UTF-8, as escapes: a file's name must not steer the terminal.

    Nor the CI: a backslash stands where a command of its log would begin.
    """
    shown = _UNPRINTABLE.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", text)
    if not shown.isascii():
        shown = _MISLEADING.sub(lambda match: f"\\u{ord(match[0]):04x}", shown)
    return _CI_COMMAND.sub(r"\\", shown)


def one_line(text: str) -> str:
    """`printable`, and no line breaks or tabs either: a file's name must not look like a line of ours."""
    return _BREAKING.sub(lambda match: {"\t": "\\t", "\n": "\\n"}[match[0]], printable(text))


def safe_json(value: object, *, indent: int | None = None) -> str:
    """JSON that is no command of a CI, whatever its texts hold: `##` is written as `#\\u0023`, which reads the same."""
    import json

    return json.dumps(value, indent=indent).replace("##", "#\\u0023")
