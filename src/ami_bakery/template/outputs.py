"""Matches paths with the outputs of a bake: exact names, patterns, and folders."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ami_bakery.template.expression.known_values import HOLE
from ami_bakery.template.facts import Certainty, Output
from ami_bakery.values import replace

_ORDER = (Certainty.SURE, Certainty.LIKELY, Certainty.PERHAPS)
_ANY = r"[^/]*"
_GENERATED = r"(?=[^/]*[0-9])[A-Za-z0-9_.:+-]{4,}"
"""The form of a value that only Packer knows: an id, a time."""
_ALL_BELOW = "/**"


def pattern_of(path: str) -> str | None:
    """Returns the regular expression for a path with unknown parts.

    The path contains `HOLE` or ends with `/**`. None if its known part is too short: it would match files that are not
    outputs.
    """
    below = path.endswith(_ALL_BELOW)
    folder, _, name = path.removesuffix(_ALL_BELOW).rpartition("/")
    stem = re.sub(r"\.\w{1,8}\Z", "", name)
    letters = len(re.sub(r"[\W_]", "", stem.replace(HOLE, "")))
    if not name.strip(HOLE) or (HOLE in folder and letters < (2 if HOLE not in name else 4)):
        return None
    hole = _ANY if letters >= 2 else _GENERATED
    name_pattern = hole.join(re.escape(part) for part in name.split(HOLE))
    above = _ANY.join(re.escape(part) for part in folder.split(HOLE))
    return (above + "/" if folder else "") + name_pattern + (r"/.*" if below else "")


def more_certain(one: Output, other: Output) -> Output:
    """Returns the output with the higher certainty; the first if both are equal."""
    return one if _ORDER.index(one.certainty) <= _ORDER.index(other.certainty) else other


def display_form(path: str) -> str:
    return path.replace(HOLE, "*")


class OutputNames:
    """Finds the output that a path matches."""

    def __init__(self, outputs: Iterable[Output]) -> None:
        self._exact: dict[str, Output] = {}
        self._patterns: list[tuple[re.Pattern[str], Output]] = []
        for output in outputs:
            if output.is_folder:
                continue
            if output.pattern:
                self._patterns.append((re.compile(output.pattern, re.DOTALL), output))
            else:
                known = self._exact.get(output.path)
                self._exact[output.path] = output if known is None else more_certain(known, output)

    def match(self, path: str) -> Output | None:
        found = [output for matcher, output in self._patterns if matcher.fullmatch(path)]
        exact = self._exact.get(path)
        # A pattern is never as certain as an exact name.
        weaker = [
            replace(output, certainty=Certainty.LIKELY) if output.certainty is Certainty.SURE else output
            for output in found
        ]
        return min(
            [*([exact] if exact else []), *weaker], key=lambda output: _ORDER.index(output.certainty), default=None
        )
