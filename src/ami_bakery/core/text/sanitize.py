"""Escapes control characters and CI commands in untrusted text."""

from __future__ import annotations

import re

COLORS = {"red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36", "bold": "1", "dim": "2"}
"""Terminal codes of colors, by name."""
# Two sets: one of both would be a bitmap of all 65,536 characters, made at each start.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]|[\ud800-\udfff]")
_CI_COMMAND = re.compile(
    r"^(?=[^\S\n]*::|(?:---|\+\+\+|~~~)\s|\^\^\^\s)|(?<=##)(?=(?:vso|teamcity)?\[)", re.MULTILINE | re.IGNORECASE
)
"""Commands are `::name` at the start of a line and `##[name]` anywhere in GitHub Actions; in Azure `##vso[name]`,
TeamCity `##teamcity[name]`. In Buildkite `---`, `+++` and `~~~` at the start of a line open a group. GitLab's markers
need a carriage return."""
_MISLEADING = re.compile(r"[\u2028-\u202e\u2066-\u2069]")
"""Unicode line breaks, and characters that reverse the text direction."""
_BREAKING = re.compile(r"[\t\n]")


def printable(text: str) -> str:
    """Escapes control characters and invalid UTF-8.

    A file name then cannot control the terminal. A backslash is inserted where a CI command would start.
    """
    shown = _UNPRINTABLE.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", text)
    if not shown.isascii():
        shown = _MISLEADING.sub(lambda match: f"\\u{ord(match[0]):04x}", shown)
    return _CI_COMMAND.sub(r"\\", shown)


def one_line(text: str) -> str:
    """Like `printable`, and also escapes line breaks and tabs. A file name then cannot fake a line of output."""
    return _BREAKING.sub(lambda match: {"\t": "\\t", "\n": "\\n"}[match[0]], printable(text))


def safe_json(value: object, *, indent: int | None = None) -> str:
    """Returns JSON that contains no CI command: `##` is written as `#\\u0023`, which is equivalent."""
    import json

    return json.dumps(value, indent=indent).replace("##", "#\\u0023")
