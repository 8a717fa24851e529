"""Packer's string functions."""

from __future__ import annotations

import posixpath

from ami_bakery.template.expression import cty, go_text, graphemes
from ami_bakery.template.expression.budget import spend
from ami_bakery.template.expression.cty import Cty, EvaluationError, Unsure
from ami_bakery.template.expression.cty_types import BOOL, STRING
from ami_bakery.template.expression.known_values import CHECKOUT, names_checkout

_FROM_CHECKOUT = "it depends on the path of the checkout"


def _kept(before: Cty, after: str) -> Cty:
    """Returns `after` with the location of the original string."""
    spend(text=len(after))
    return cty.text(after, before.location)


def int_of(value: Cty) -> int:
    """Returns a 64-bit whole number, as Go's functions need."""
    number = value.raw
    if not number.is_whole or not -(1 << 63) <= number.truncated() < 1 << 63:
        raise EvaluationError("expected a whole number")
    return int(number.truncated())


def lower(value: Cty) -> Cty:
    return _kept(value, go_text.lower_case(value.raw))


def upper(value: Cty) -> Cty:
    return _kept(value, go_text.upper_case(value.raw))


def title(value: Cty) -> Cty:
    return _kept(value, go_text.title_case(value.raw))


def split(separator: Cty, value: Cty) -> Cty:
    parts = value.raw.split(separator.raw) if separator.raw else list(value.raw)
    spend(steps=len(parts), text=len(value.raw))
    return cty.list_value([cty.text(part, value.location) for part in parts], STRING)


def join(separator: Cty, *lists: Cty) -> Cty:
    if not lists:
        raise EvaluationError("expected a list")
    items = [item for each in lists for item in each.raw]
    if any(item.is_null for item in items):
        raise EvaluationError("null cannot be joined")
    spend(text=sum(len(item.raw) for item in items) + len(separator.raw) * len(items))
    location = next((item.location for item in items if item.location), None)
    return cty.text(separator.raw.join(item.raw for item in items), location)


def replace(value: Cty, old: Cty, new: Cty) -> Cty:
    if any(each.has_checkout_path for each in (value, old, new)) and old.raw != "\\":
        raise Unsure(_FROM_CHECKOUT)
    spend(text=len(value.raw) + value.raw.count(old.raw) * len(new.raw))
    return _kept(value, value.raw.replace(old.raw, new.raw))


def substr(value: Cty, offset: Cty, length: Cty) -> Cty:
    start, size = int_of(offset), int_of(length)
    clusters = graphemes.clusters(value.raw)
    if start < 0:
        start += len(clusters)
    elif size == 0:
        return _kept(value, "")
    rest = clusters
    if start > 0:
        rest = clusters[start:]
        if not rest and start > len(clusters):
            return _kept(value, "")
    # With a negative offset, length zero means everything, as in cty.
    return _kept(value, "".join(rest if size <= 0 else rest[:size]))


def strrev(value: Cty) -> Cty:
    return _kept(value, "".join(reversed(graphemes.clusters(value.raw))))


def indent(spaces: Cty, value: Cty) -> Cty:
    count = int_of(spaces)
    if count < 0:
        raise EvaluationError("the number of spaces is negative")
    spend(text=len(value.raw) + value.raw.count("\n") * count)
    if count > 1 << 26:
        raise Unsure("the number of spaces is too large")
    return _kept(value, value.raw.replace("\n", "\n" + " " * count))


def chomp(value: Cty) -> Cty:
    return _kept(value, value.raw.rstrip("\r\n"))


def trim(value: Cty, characters: Cty) -> Cty:
    return _kept(value, value.raw.strip(characters.raw) if characters.raw else value.raw)


def trimspace(value: Cty) -> Cty:
    return _kept(value, value.raw.strip(go_text.SPACES))


def trimprefix(value: Cty, prefix: Cty) -> Cty:
    return _kept(value, value.raw.removeprefix(prefix.raw))


def trimsuffix(value: Cty, suffix: Cty) -> Cty:
    return _kept(value, value.raw.removesuffix(suffix.raw))


def startswith(value: Cty, prefix: Cty) -> Cty:
    return Cty(BOOL, value.raw.startswith(prefix.raw))


def endswith(value: Cty, suffix: Cty) -> Cty:
    return Cty(BOOL, value.raw.endswith(suffix.raw))


def strcontains(value: Cty, part: Cty) -> Cty:
    return Cty(BOOL, part.raw in value.raw)


def basename(value: Cty) -> Cty:
    path = value.raw.rstrip("/")
    if names_checkout(path) and (path == CHECKOUT or posixpath.basename(path) == ".."):
        raise Unsure(_FROM_CHECKOUT)
    return _kept(value, posixpath.basename(path) or ("/" if value.raw else "."))


def dirname(value: Cty) -> Cty:
    path = value.raw
    if path == CHECKOUT:
        return _kept(value, CHECKOUT + "/..")
    if names_checkout(path) and ".." in path.split("/"):
        raise Unsure(_FROM_CHECKOUT)
    return _kept(value, go_clean(path[: path.rfind("/") + 1]))


def go_clean(path: str) -> str:
    """Go's `filepath.Clean`, which folds `..` without following links."""
    cleaned = posixpath.normpath(path) if path else "."
    return "/" + cleaned.lstrip("/") if cleaned.startswith("//") else cleaned
