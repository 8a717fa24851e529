"""Finds calls of Packer in Makefiles, scripts and CI files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator

from ami_bakery.template.location import SourceLocation
from ami_bakery.values import Frozen


class PackerCall(Frozen):
    """One call of `packer build` or `packer validate`. Words are as written and may contain `$`.

    folders    the folders in which it may run, relative to the root; the most likely is the first
    template   the last word
    variables  the names that `-var` sets
    """

    location: SourceLocation
    folders: tuple[str, ...]
    template: str
    var_files: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()

    def resolve(self, word: str, exists: Callable[[str], bool]) -> str | None:
        """Returns the existing path that a word names; None if unknown."""
        path = _KNOWN_PREFIX.sub("", word)
        if not path or path.startswith("/") or not _MAY_BE_A_PATH.fullmatch(path):
            return None
        for folder in self.folders:
            found = posixpath.normpath(posixpath.join(folder, path))
            if not found.startswith("..") and exists(found):
                return found
        return None


_NAME = r"(?:[\w./~-]*/)?packer(?:\.exe)?(?::[^\s\"']+)?|\$[({]?PACKER\w*[)}]?"
_CALL = re.compile(
    rf"(?:^|[\s;&|(`\"'@])(?:{_NAME})[\"']?\s+(?:-\S+\s+)*(?:build|validate)\s+(?P<rest>.*)", re.IGNORECASE
)
_FOLDER = re.compile(
    r"(?:^|[\s;&|(`@])(?:cd|pushd)\s+(?:--\s+)?(?P<cd>[^\s;&|)]+)"
    r"|working[-_]directory:\s*(?P<yaml>[^\s#]+)|\bdir\(\s*(?P<groovy>['\"][^'\"]+['\"])"
)
_KNOWN_PREFIX = re.compile(r"^(?:\$\((?:abspath|realpath)\s+|\./|\$(?:\(\w+\)|\{\w+\}|\w+)/)|\)$")
"""`$(abspath x)`, and a variable before the first `/`, which is a folder of the repository in most scripts."""
_MAY_BE_A_PATH = re.compile(r"[^$\0]*")
_LONGEST_LINE = 10_000
"""Characters, with all lines that continue it."""


def packer_calls(text: str, file: str) -> Iterator[PackerCall]:
    """Yields the calls in a file, in order. `file`: its path, relative to the root."""
    above = posixpath.dirname(file) or "."
    here = [above, "."] if not file.startswith(".") else [".", above]
    inside: list[str] = []
    each_line_alone = posixpath.basename(file).lower().startswith(("makefile", "gnumakefile"))
    for number, line in _logical_lines(text):
        if line.lstrip().startswith(("#", "//")):
            continue
        inside = [] if each_line_alone else inside
        call = _CALL.search(line)
        for found in _FOLDER.finditer(line[: call.start("rest")] if call else line):
            folder = _KNOWN_PREFIX.sub("", next(filter(None, found.groups())).strip("'\""))
            inside = [] if "$" in folder or folder.startswith(("/", "-", "~")) else [folder]
        if call:
            folders = [posixpath.normpath(posixpath.join(start, each)) for each in inside for start in here]
            yield _call(call["rest"], SourceLocation(file=file, line=number), tuple(dict.fromkeys((*folders, *here))))


def _call(rest: str, location: SourceLocation, folders: tuple[str, ...]) -> PackerCall:
    var_files, variables, template = [], [], ""
    words = iter(_words(rest))
    for word in words:
        name, equals, value = word.partition("=")
        option = name.lstrip("-") if name.startswith("-") else ""
        if option in _WITH_VALUE and not equals:
            value = next(words, "")
        if option == "var-file":
            var_files.append(value)
        elif option == "var":
            variables.append(value.partition("=")[0])
        elif not option:
            template = word
    return PackerCall(
        location=location,
        folders=folders,
        template=template.rstrip("/") if len(template) > 1 else template,
        var_files=tuple(var_files),
        variables=tuple(variables),
    )


_WITH_VALUE = frozenset({"var", "var-file", "only", "except", "on-error", "parallel-builds"})


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yields lines with their numbers; joins continued lines."""
    start, joined = 1, ""
    for number, line in enumerate(text.splitlines(), 1):
        start = start if joined else number
        joined = f"{joined} {line.removesuffix(_CONTINUED)}"[:_LONGEST_LINE]
        if not line.endswith(_CONTINUED):
            yield start, joined[1:]
            joined = ""
    if joined:
        yield start, joined[1:]


_CONTINUED = "\\"


def _words(text: str) -> Iterator[str]:
    """Splits the arguments of a command, up to the next command. `$(...)` is a part of its word."""
    word, quote, depth = "", "", 0
    for at, letter in enumerate(text):
        if quote:
            quote, word = ("", word) if letter == quote else (quote, word + letter)
        elif letter in "'\"" and not depth:
            quote = letter
        elif depth or letter in "({":
            depth += (letter in "({") - (letter in ")}")
            word += letter
        elif letter in ";&|<>)}" or (letter == "#" and text[at - 1 : at].isspace()):
            break
        elif letter.isspace():
            yield from (word,) if word else ()
            word = ""
        else:
            word += letter
    yield from (word,) if word else ()
