"""The patterns of Packer: `fileset()`'s, which match files, and those of `-only` and `-except`, which match names."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from ami_bakery.ports import FileKind, SourceTree


def fileset(tree: SourceTree, folder: str, pattern: str) -> tuple[str, ...]:
    """The files under `folder` that match, relative to it, in order; links to files count, hidden files too."""
    wanted = posixpath.normpath(posixpath.join(folder, pattern))
    fixed = _fixed_folder(wanted)
    matcher = re.compile(_path_pattern(wanted), re.DOTALL)
    found = [path for path in _files(tree, fixed, "**" in wanted, wanted.count("/")) if matcher.fullmatch(path)]
    return tuple(sorted(posixpath.relpath(path, folder) for path in found))


def _fixed_folder(pattern: str) -> str:
    names = pattern.split("/")
    fixed = []
    for name in names[:-1]:
        if re.search(r"[*?\[{\\]", name):
            break
        fixed.append(name)
    return "/".join(fixed) or ("/" if pattern.startswith("/") else ".")


def _files(tree: SourceTree, folder: str, deep: bool, depth: int, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    entry = tree.entry(folder, follow=True)
    if entry is None or entry.kind is not FileKind.FOLDER:
        return
    for child in tree.children(folder):
        path = posixpath.normpath(child.path)
        kind = child.kind
        if kind is FileKind.LINK:
            target = tree.entry(path, follow=True)
            kind = target.kind if target else FileKind.OTHER
        if kind is FileKind.FILE:
            yield path
        elif kind is FileKind.FOLDER and (deep or path.count("/") < depth) and child.kind is FileKind.FOLDER:
            yield from _files(tree, path, deep, depth, seen)


def _path_pattern(pattern: str) -> str:
    """As a regular expression: `*` and `?` stop at `/`, `**` does not, `{a,b}` and `[a-z]` as everywhere."""
    return _translated(pattern, star="[^/]*", any_one="[^/]")


def name_matches(pattern: str, name: str) -> bool:
    """`-only=amazon-ebs.*`: here `*` matches everything."""
    return re.fullmatch(_translated(pattern, star=".*", any_one="."), name, re.DOTALL) is not None


def _translated(pattern: str, *, star: str, any_one: str) -> str:
    made, position, depth = "", 0, 0
    while position < len(pattern):
        sign = pattern[position]
        position += 1
        if sign == "*":
            if pattern.startswith("*/", position):
                made, position = made + "(?:.*/)?", position + 2
            elif pattern.startswith("*", position):
                made, position = made + ".*", position + 1
            else:
                made += star
        elif sign == "?":
            made += any_one
        elif sign == "[" and "]" in pattern[position + 1 :]:
            end = pattern.index("]", position + 1)
            inside = pattern[position:end]
            inside = "^" + inside[1:] if inside[:1] in ("!", "^") else inside
            made, position = made + f"[{inside}]", end + 1
        elif sign == "\\" and position < len(pattern):
            made, position = made + re.escape(pattern[position]), position + 1
        elif sign == "{":
            made, depth = made + "(?:", depth + 1
        elif sign == "}" and depth:
            made, depth = made + ")", depth - 1
        elif sign == "," and depth:
            made += "|"
        else:
            made += re.escape(sign)
    return made + ")" * depth
