"""Finds file names in code of awk, sed, jq and other languages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from ami_bakery.template.shell.programs.program_effects import options_of

_RUNS_MORE: Mapping[str, re.Pattern[str]] = {
    "awk": re.compile(
        r"\bsystem\s*\(|\bgetline\b(?:\s+\w+)?\s*<\s*[^\s\"]|(?<!\|)\|\s*[\"(&]|\|&?\s*getline|\|\s*[A-Za-z_]\w*\s*[;}\n]|@include|@load"
    ),
    "sed": re.compile(
        r"(?:\A|[;{\n$/\d])\s*[eF]?e(?:\s|\Z)|(?:\A|[;{\n\s/\d])s(?P<by>[^\w\s]).*?(?P=by).*?(?P=by)[gpiImM\d]*e",
        re.DOTALL,
    ),
    "jq": re.compile(r"\b(?:import|include)\b"),
    "yq": re.compile(r"\b(?:load|import|include)\w*\b"),
}
"""Code that runs programs, or reads files whose names are not in the code."""


def runs_more(name: str, code: str) -> bool:
    """Whether code may open files that it does not name. It is code of awk, sed, jq or yq."""
    known = _RUNS_MORE.get(name.removeprefix("g").removeprefix("m"))
    return known is not None and known.search(code) is not None


def files_of_code(name: str, arguments: Sequence[str]) -> list[str]:
    """Returns the files with code that the arguments name."""
    options, _ = options_of(arguments, "-f --file --from-file -e -v -F -i -E")
    long = [value for option, value in options if option in ("-f", "--file", "--from-file", "-E") and value]
    grouped = [value for option, value in pairwise(arguments) if re.fullmatch(r"-[A-Za-z]+f", option)]
    return [*dict.fromkeys(long + grouped)] if name != "yq" else []


def words_of_code(text: str) -> list[str]:
    """Returns the words of code in any language: quoted texts, and texts without blanks."""
    quoted = re.findall(r"""'([^'\n]{1,300})'|"([^"\n]{1,300})"|`([^`\n]{1,300})`""", text)
    bare = re.findall(r"[^\s'\"`()\[\]{},;|&<>=]{1,300}", text)
    return list(dict.fromkeys([part for parts in quoted for part in parts if part] + bare))
