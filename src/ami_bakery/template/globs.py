"""Packer's globs: `fileset()` matches files; `-only` and `-except` match builds."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator

from ami_bakery.template.glob_automaton import Automaton
from ami_bakery.template.source_tree import FileKind, SourceTree

_FEW = 2


def fileset(tree: SourceTree, folder: str, pattern: str) -> tuple[str, ...]:
    """Returns the matching files under `folder`, relative to it, sorted. Includes hidden files, follows links."""
    wanted = posixpath.normpath(posixpath.join(folder, pattern))
    fixed = _fixed_folder(wanted)
    matches = _matcher(wanted, star="[^/]", negation="^")
    depth = None if "**" in wanted else wanted.count("/")
    found = [path for path in _files(tree, fixed, depth, (fixed,)) if matches(path)]
    return tuple(sorted(posixpath.relpath(path, folder) for path in found))


def _fixed_folder(pattern: str) -> str:
    names = pattern.split("/")
    fixed = []
    for name in names[:-1]:
        if re.search(r"[*?\[{\\]", name):
            break
        fixed.append(name)
    return "/".join(fixed) or ("/" if pattern.startswith("/") else ".")


def _files(tree: SourceTree, folder: str, depth: int | None, above: tuple[str, ...]) -> Iterator[str]:
    """Yields every file below, down to `depth` slashes. `above`: real paths of the folders down to this one."""
    entry = tree.entry(folder, follow=True)
    if entry is None or entry.kind is not FileKind.FOLDER:
        return
    for child in tree.children(folder):
        path = posixpath.normpath(child.path)
        real = posixpath.normpath(posixpath.join(above[-1], posixpath.basename(path)))
        kind = child.kind
        if kind is FileKind.LINK:
            followed = tree.entry(path, follow=True)
            kind = followed.kind if followed else FileKind.OTHER
            real = posixpath.normpath(posixpath.join(above[-1], tree.link_target(path)))
            if _is_above(real, above):
                continue  # a link to a parent folder: its content is already covered
        if kind is FileKind.FILE:
            yield path
        elif kind is FileKind.FOLDER and (depth is None or path.count("/") < depth):
            yield from _files(tree, path, depth, (*above, real))


def _is_above(real: str, above: tuple[str, ...]) -> bool:
    return any(folder == real or real == "." or folder.startswith(real + "/") for folder in above)


def name_matches(pattern: str, name: str) -> bool:
    """Whether a pattern of `-only` or `-except` matches; `*` matches everything, `.` included."""
    return bool(_matcher(pattern, star=".", negation="!")(name))


def _matcher(pattern: str, *, star: str, negation: str) -> Callable[[str], object]:
    """Uses Python's backtracking matcher only for patterns with few stars; it is exponential for many."""
    if pattern.count("*") <= _FEW and pattern.count("{") <= _FEW:
        translated = _translated(pattern, star=f"{star}*", any_one=star, negation=negation)
        return _compiled(translated).fullmatch
    return Automaton(pattern, any_one=star, negation=negation).matches


def _compiled(translated: str) -> re.Pattern[str]:
    try:
        return re.compile(translated, re.DOTALL)
    except re.error:
        return re.compile("(?!)")  # such as `[b-a]`, which matches nothing


def _translated(pattern: str, *, star: str, any_one: str, negation: str) -> str:
    result, position, depth = "", 0, 0
    while position < len(pattern):
        sign = pattern[position]
        position += 1
        if sign == "*":
            if pattern.startswith("*/", position):
                result, position = result + "(?:.*/)?", position + 2
            elif pattern.startswith("*", position):
                result, position = result + ".*", position + 1
            else:
                result += star
        elif sign == "?":
            result += any_one
        elif sign == "[" and "]" in pattern[position + 1 :]:
            end = pattern.index("]", position + 1)
            inside = pattern[position:end]
            negated = inside.startswith(negation)
            inside = ("^" if negated else "") + re.sub(r"[\\^\[&~|]", r"\\\g<0>", inside[negated:])
            result, position = result + f"[{inside}]", end + 1
        elif sign == "\\" and position < len(pattern):
            result, position = result + re.escape(pattern[position]), position + 1
        elif sign == "{":
            result, depth = result + "(?:", depth + 1
        elif sign == "}" and depth:
            result, depth = result + ")", depth - 1
        elif sign == "," and depth:
            result += "|"
        else:
            result += re.escape(sign)
    return result + ")" * depth
