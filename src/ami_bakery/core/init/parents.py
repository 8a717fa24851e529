"""Guesses which image of a repository another one starts from."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice

from ami_bakery.values import Frozen

_PUBLIC_OWNERS = frozenset(
    {
        *("amazon", "aws-marketplace", "aws-backup-vault", "microsoft", "013907871322", "099720109477"),
        *("125523088429", "131827586825", "136693071363", "137112412989", "309956199498", "379101102735"),
        *("418447591227", "591542846629", "602401143452", "647457786197", "679593333241", "764336703387"),
        *("782442783595", "792107900819", "801119661308", "877902723034", "903794441882"),
    }
)
"""Accounts of publishers of public images, such as Canonical, Debian and Red Hat."""
_LEAST_PREFIX = 3
"""How many known characters two names must have in common at their beginning."""
_WITHOUT_MEANING = frozenset(("ami", "amis", "aws", "build", "from", "id", "image", "name", "packer", "source", "var"))


class BuiltImage(Frozen):
    """What is known about one image: enough to find its parent.

    ami_names    names of its AMIs; unknown parts are `${...}`, `{{...}}` or `*`
    filters      the `name` patterns of AMIs of this account that it may start from
    variable     the variable that receives its source AMI; empty if the template selects it
    built_after  the paths of templates that the same script builds
    """

    name: str
    template: str
    ami_names: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    variable: str = ""
    built_after: tuple[str, ...] = ()


class Parent(Frozen):
    """The image that another one starts from, and how that is known."""

    image: str
    why: str


def own_patterns(owners: Iterable[str], filters: Iterable[tuple[str, tuple[str, ...]]]) -> tuple[str, ...]:
    """Returns the `name` patterns that may select AMIs of this account."""
    if all(owner in _PUBLIC_OWNERS for owner in owners):
        return ()
    return tuple(value for name, values in filters if name == "name" for value in values)


def parents_of(images: Sequence[BuiltImage]) -> dict[str, Parent]:
    """Returns the parent of each image that certainly has one. There is no cycle."""
    found: dict[str, Parent] = {}
    for image in images:
        others = [other for other in images if other.name != image.name]
        parent = _by_filter(image, others) or _by_script(image, others) or _by_variable(image, others)
        if parent is not None and not _leads_to(parent.image, image.name, found):
            found[image.name] = parent
    return found


def _leads_to(start: str, wanted: str, parents: dict[str, Parent]) -> bool:
    seen: set[str] = set()
    while start not in seen:
        if start == wanted:
            return True
        seen.add(start)
        start = parents[start].image if start in parents else start
    return False


def _by_filter(image: BuiltImage, others: Sequence[BuiltImage]) -> Parent | None:
    for pattern in image.filters:
        found = (other for other in others if any(names_meet(pattern, name) for name in other.ami_names))
        matching = list(islice(found, 2))
        if len(matching) == 1:
            return Parent(image=matching[0].name, why=f"its source filter, name = {pattern}, matches the ami_name")
    return None


def _by_script(image: BuiltImage, others: Sequence[BuiltImage]) -> Parent | None:
    if not image.variable:
        return None
    built = [other for other in others if other.template in image.built_after and other.template != image.template]
    if len(built) == 1:
        return Parent(image=built[0].name, why=f"the same script builds it and sets {image.variable}")
    return None


def _by_variable(image: BuiltImage, others: Sequence[BuiltImage]) -> Parent | None:
    """Finds the nearest image that a variable such as `base_ami_id` names."""
    words = set(re.split(r"[_-]", image.variable.lower())) - _WITHOUT_MEANING - {""}
    named = [other for other in others if words & _words(other)] if words else []
    if not named:
        return None
    depths = [_common_depth(image.template, other.template) for other in named]
    nearest = [other for other, depth in zip(named, depths, strict=True) if depth == max(depths)]
    if len(nearest) != 1:
        return None
    return Parent(image=nearest[0].name, why=f"the variable {image.variable} has its name")


def _common_depth(one: str, other: str) -> int:
    """Returns how many folders two paths have in common."""
    above = posixpath.commonpath([posixpath.dirname(f"/{one}"), posixpath.dirname(f"/{other}")])
    return len([folder for folder in above.split("/") if folder])


def _words(image: BuiltImage) -> set[str]:
    stem = re.sub(r"(\.pkr)?\.(hcl|json)$", "", posixpath.basename(image.template))
    folder = posixpath.basename(posixpath.dirname(image.template))
    return {word for text in (image.name, stem, folder) for word in re.split(r"[._-]", text.lower())}


_UNKNOWN_PART = re.compile(r"\$\{.*?\}|\{\{.*?\}\}|\*+|\?")
_UNCLOSED = re.compile(r"\$?[{}].*", re.DOTALL)
_LONGEST_NAME = 200


def names_meet(pattern: str, name: str) -> bool:
    """Whether an AMI name with unknown parts can match a filter's pattern. A known beginning must agree."""
    one, other = (_UNKNOWN_PART.sub("*", text)[:_LONGEST_NAME] for text in (pattern, name))
    one, other = (_UNCLOSED.sub("*", text) for text in (one, other))
    prefixes = (one.partition("*")[0], other.partition("*")[0])
    shorter, longer = sorted(prefixes, key=len)
    return len(shorter) >= _LEAST_PREFIX and longer.startswith(shorter) and _meet(one, other)


def _meet(one: str, other: str) -> bool:
    """Whether two patterns with `*` have a text in common."""

    @cache
    def meet(i: int, j: int) -> bool:
        if i == len(one) and j == len(other):
            return True
        if i < len(one) and one[i] == "*":
            return meet(i + 1, j) or (j < len(other) and meet(i, j + 1))
        if j < len(other) and other[j] == "*":
            return meet(i, j + 1) or (i < len(one) and meet(i + 1, j))
        return i < len(one) and j < len(other) and one[i] == other[j] and meet(i + 1, j + 1)

    return meet(0, 0)
