"""Finds the runs of our program in the command lines of a document."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from ami_bakery.cli.parser import COMMANDS

OURS = ("ami-bakery", "bake")
_INNER = re.compile(r"\$\(([^()]*)\)")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_BEFORE_A_PROGRAM = ("exec", "export", "sudo", "env", "time", "eval", "nohup", "!", "if", "then", "do", "else")


def runs(text: str) -> Iterator[list[str]]:
    """Yields the arguments of each run of `ami-bakery`; those of `bake` start with `bake`."""
    text = text.replace("\\\n", " ")
    while match := _INNER.search(text):
        yield from runs(match[1])
        text = text[: match.start()] + "X" + text[match.end() :]
    for line in text.splitlines():
        yield from _runs_of_line(line)


def _runs_of_line(line: str) -> Iterator[list[str]]:
    try:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:  # a text over several lines, which is no command of ours
        return
    command: list[str] = []
    for word in [*words, ";"]:
        if set(word) <= set("();<>|&"):
            yield from _runs_of_command(command)
            command = []
        else:
            command.append(word)


def _runs_of_command(words: list[str]) -> Iterator[list[str]]:
    while words and (words[0] in _BEFORE_A_PROGRAM or _ASSIGNMENT.fullmatch(words[0])):
        words = words[1:]
    if words[:2] == ["docker", "run"]:
        yield from _runs_in_container(words[2:])
    elif words and words[0] in OURS:
        run = words[1:] if words[0] == "ami-bakery" else ["bake", *words[1:]]
        yield run
        if run[:1] == ["local"] and "--" in run:
            yield from _runs_of_command(run[run.index("--") + 1 :])


def _runs_in_container(words: list[str]) -> Iterator[list[str]]:
    """After the image's name: a command or an option of ours, or any program (docker/entrypoint)."""
    if "ami-bakery" not in words:
        return
    inside = words[words.index("ami-bakery") + 1 :]
    if not inside:
        yield ["bake"]
    elif inside[0] in COMMANDS or inside[0].startswith("-"):
        yield from _runs_of_command(["ami-bakery", *inside])
    else:
        yield from _runs_of_command(inside)
