"""Finds the known parts of the string that a function returns.

The function's arguments are partly unknown. The known parts are used for words: a command from `join()` or `format()`
names files in its known words. The result may differ from Packer's if the function changes the string.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ami_bakery.template.expression.cty import Missing
from ami_bakery.template.expression.known_values import HOLE

if TYPE_CHECKING:
    from ami_bakery.template.expression.cty import Cty

_OF_FIRST = frozenset(
    {
        *("replace", "regex_replace", "trim", "trimprefix", "trimsuffix", "trimspace", "chomp", "title", "substr"),
        *("tostring", "abspath", "pathexpand"),
    }
)
_OF_SECOND = frozenset({"indent", "split", "formatlist"})
_LONGEST = 1 << 20


def known_of(name: str, arguments: Sequence[Cty]) -> str:
    """Returns the string with `HOLE` for unknown parts; empty if no part is known."""
    texts = [list(_texts(argument)) for argument in arguments]
    if name == "join":
        separator = "".join(texts[0]) if texts else ""
        result = separator.join(text for each in texts[1:] for text in each)
    elif name in ("format", "formatlist") and texts:
        result = _formatted("".join(texts[0]), [" ".join(each) for each in texts[1:]])
    elif name in _OF_FIRST or name in _OF_SECOND:
        result = "".join(texts[name in _OF_SECOND]) if len(texts) > (name in _OF_SECOND) else ""
    else:
        return ""
    return result[:_LONGEST] if result.strip(HOLE) else ""


def _texts(value: Cty) -> Iterator[str]:
    raw = value.raw
    if isinstance(raw, Missing):
        yield raw.known or HOLE
    elif isinstance(raw, tuple):
        for child in raw:
            yield from _texts(child)
    elif isinstance(raw, dict):
        for child in raw.values():
            yield from _texts(child)
    elif raw is not None:
        yield str(raw)


def _formatted(text: str, arguments: Sequence[str]) -> str:
    given = iter(arguments)
    return re.sub(
        r"%(?:%|[-+ 0#]*\d*(?:\.\d+)?(?:\[\d+\])?[a-zA-Z])",
        lambda found: "%" if found[0] == "%%" else next(given, HOLE),
        text,
    )
