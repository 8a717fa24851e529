"""What one command does to files, and how programs take options."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

_OUTPUT_OPTION = re.compile(
    r"--?(?:o|out|outfile|output|output-file|out-file|output-path|outputfile)(?:=(?P<value>.*))?\Z"
)


class Effects:
    """What one command does, as far as its words say.

    reads     what is read if it is there
    files     of what is read, words that surely are names of files
    writes    what is surely written; `likely` and `perhaps`: what is written by the look of the option; `appends`: what
              is added to
    keeps     whether what is there already is not written
    copies    sources, and what they are copied to: a folder or a file
    made, removed, touched  folders that are made, what is removed with all below, files of which only the times change
    changed   (verb, path): files and folders that stay as they are but for the mode, the times or the name
    scripts   (interpreter, path, arguments): a script that is run; the interpreter is empty where the file says it
    texts     shell texts that are run
    code      of what is read, files with code whose words may name files
    settings  options of the shell that runs them
    nested    commands that are run with words of their own
    opaque    whether it may open what no word names
    dots      whether `.` among what is read is the whole folder
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
"""Notes what a program does with its arguments."""


def options_of(arguments: Sequence[str], with_value: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Options with their values, and the other words. `with_value`: the options that take the next word."""
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
    """`-xzf FILE`, `-oFILE`, and long options with one dash."""
    if text in taking:
        options.append((text, next(given, "")))
        return
    for position, letter in enumerate(text[1:], 1):
        if f"-{letter}" in taking:
            options.append((f"-{letter}", text[position + 1 :] or next(given, "")))
            return
        options.append((f"-{letter}", ""))


def options_of_prefix(arguments: Sequence[str], with_value: str) -> tuple[list[tuple[str, str]], list[str]]:
    """As `options_of`, up to the first word that is no option."""
    taking, position = frozenset(with_value.split()), 0
    while position < len(arguments) and arguments[position].startswith("-") and arguments[position] != "-":
        position += 2 if arguments[position] in taking else 1
    return options_of(arguments[:position], with_value)[0], list(arguments[position:])


def likely_writes(arguments: Sequence[str], effects: Effects) -> None:
    """`-o FILE` and `--output FILE` of a program that nobody knows."""
    for text, following in zip(arguments, [*arguments[1:], ""], strict=False):
        found = _OUTPUT_OPTION.match(text)
        if found:
            target = found["value"] if found["value"] is not None else following
            if target and not target.startswith("-"):
                short = text in ("-o", "-out")  # of many programs an option of another meaning
                (effects.perhaps if short else effects.likely).append(target)
