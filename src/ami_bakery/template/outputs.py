"""Which files a bake writes, by name: one file, several by a pattern, or all in a folder."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ami_bakery.template.expression.known_values import HOLE
from ami_bakery.template.facts import Certainty, Output
from ami_bakery.values import replace

_ORDER = (Certainty.SURE, Certainty.LIKELY, Certainty.PERHAPS)
_ANY = r"[^/]*"
_MADE_UP = r"(?=[^/]*[0-9])[A-Za-z0-9_.:+-]{4,}"
"""What a value that only Packer knows looks like: an id, a time."""
_ALL_BELOW = "/**"


def pattern_of(path: str) -> str | None:
    """The regular expression for a path with `HOLE` in it, or with `/**` at its end; None where it would match what is
    no output: nothing in the name says so."""
    below = path.endswith(_ALL_BELOW)
    folder, _, name = path.removesuffix(_ALL_BELOW).rpartition("/")
    stem = re.sub(r"\.\w{1,8}\Z", "", name)
    letters = len(re.sub(r"[\W_]", "", stem.replace(HOLE, "")))
    if not name.strip(HOLE) or (HOLE in folder and letters < (2 if HOLE not in name else 4)):
        return None
    hole = _ANY if letters >= 2 else _MADE_UP
    made = hole.join(re.escape(part) for part in name.split(HOLE))
    above = _ANY.join(re.escape(part) for part in folder.split(HOLE))
    return (above + "/" if folder else "") + made + (r"/.*" if below else "")


def stronger(one: Output, other: Output) -> Output:
    """The surer one; of two alike, the first."""
    return one if _ORDER.index(one.certainty) <= _ORDER.index(other.certainty) else other


def as_shown(path: str) -> str:
    return path.replace(HOLE, "*")


class OutputNames:
    """Finds the output that a path is."""

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
                self._exact[output.path] = output if known is None else stronger(known, output)

    def match(self, path: str) -> Output | None:
        found = [output for matcher, output in self._patterns if matcher.fullmatch(path)]
        exact = self._exact.get(path)
        # A pattern is never as sure as a name.
        weaker = [
            replace(output, certainty=Certainty.LIKELY) if output.certainty is Certainty.SURE else output
            for output in found
        ]
        return min(
            [*([exact] if exact else []), *weaker], key=lambda output: _ORDER.index(output.certainty), default=None
        )
