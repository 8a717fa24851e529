"""Describes what one command does to files, and parses options."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

_OUTPUT_OPTION = re.compile(
    r"--?(?:o|out|outfile|output|output-file|out-file|output-path|outputfile)(?:=(?P<value>.*))?\Z"
)


class Effects:
    """The effects of one command, according to its words.

    reads     paths that it reads if they exist
    files     the words of `reads` that are surely names of files
    writes    files that it surely writes
    likely    files that it likely writes, because of the option's name; `perhaps`: that it may write
    appends   files that it appends to
    keeps     whether it may leave existing files unchanged
    copies    (sources, target): the target is a folder or a file
    made      folders that it creates
    removed   paths that it removes, with everything below
    touched   files whose times alone change
    changed   (verb, path): files and folders whose mode, times or name alone change
    scripts   (interpreter, path, arguments): scripts that it runs; the interpreter is empty if the script names it
    texts     (text, arguments): shell texts that it runs
    code      files of `reads` with code that may name more files
    settings  options of the shell that runs the scripts and texts
    nested    commands that it runs
    opaque    whether it may open files that no word names
    dots      whether `.` in `reads` means the whole folder
    """

    def __init__(self) -> None:
        self.reads: list[str] = []
        self.files: list[str] = []
        self.writes: list[str] = []
        self.appends: list[str] = []
        self.keeps = False
        self.likely: list[str] = []
        self.perhaps: list[str] = []
        self.copies: list[tuple[tuple[str, ...], str]] = []
        self.made: list[str] = []
        self.removed: list[str] = []
        self.touched: list[str] = []
        self.changed: list[tuple[str, str]] = []
        self.scripts: list[tuple[str, str, tuple[str, ...]]] = []
        self.texts: list[tuple[str, tuple[str, ...]]] = []
        self.nested: list[tuple[str, ...]] = []
        self.code: list[str] = []
        self.settings: tuple[str, ...] = ()
        self.opaque = False
        self.dots = False


Program = Callable[[list[str], Effects], None]
"""Adds what a program does with its arguments to the effects."""


def options_of(arguments: Sequence[str], with_value: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Returns options with their values, and the other words. `with_value`: options that require a value."""
    taking, options, rest = frozenset(with_value.split()), list[tuple[str, str]](), list[str]()
    given = iter(arguments)
    for text in given:
        if text == "--":
            rest.extend(given)
        elif text.startswith("--"):
            name, equals, value = text.partition("=")
            options.append((name, value if equals or name not in taking else next(given, "")))
        elif text.startswith("-") and len(text) > 1:
            _short(text, taking, options, given)
        else:
            rest.append(text)
    return options, rest


def _short(text: str, taking: frozenset[str], options: list[tuple[str, str]], given: Iterator[str]) -> None:
    """Parses `-xzf FILE`, `-oFILE`, and long options with one dash."""
    if text in taking:
        options.append((text, next(given, "")))
        return
    for position, letter in enumerate(text[1:], 1):
        if f"-{letter}" in taking:
            options.append((f"-{letter}", text[position + 1 :] or next(given, "")))
            return
        options.append((f"-{letter}", ""))


def options_of_prefix(arguments: Sequence[str], with_value: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Like `options_of`, but stops at the first word that is no option."""
    taking, position = frozenset(with_value.split()), 0
    while position < len(arguments) and arguments[position].startswith("-") and arguments[position] != "-":
        position += 2 if arguments[position] in taking else 1
    return options_of(arguments[:position], with_value)[0], list(arguments[position:])


def likely_writes(arguments: Sequence[str], effects: Effects) -> None:
    """Adds the files of an unknown program's `-o FILE` and `--output FILE`."""
    for text, following in zip(arguments, [*arguments[1:], ""], strict=False):
        found = _OUTPUT_OPTION.match(text)
        if found:
            target = found["value"] if found["value"] is not None else following
            if target and not target.startswith("-"):
                short = text in ("-o", "-out")  # has another meaning in many programs
                (effects.perhaps if short else effects.likely).append(target)
