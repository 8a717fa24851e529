"""Programs that run another command, such as `sudo` and `env A=b`."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ami_bakery.template.shell.words import ShellWord

_WRAPPERS: Mapping[str, frozenset[str]] = {
    "sudo": frozenset({"-u", "-g", "-C", "-p", "-h", "-D", "--user", "--group", "--chdir"}),
    "doas": frozenset({"-u", "-C"}),
    "env": frozenset({"-u", "-C", "-S", "--unset", "--chdir", "--split-string"}),
    "nice": frozenset({"-n", "--adjustment"}),
    "ionice": frozenset({"-c", "-n"}),
    "timeout": frozenset({"-k", "-s", "--signal", "--kill-after"}),
    "stdbuf": frozenset({"-i", "-o", "-e"}),
    "nohup": frozenset(),
    "time": frozenset({"-o", "-f"}),
    "command": frozenset(),
    "builtin": frozenset(),
    "exec": frozenset({"-a"}),
    "setsid": frozenset(),
    "unbuffer": frozenset(),
    "fakeroot": frozenset(),
    "flock": frozenset({"-w", "-E"}),
}
"""By program: its options that require a value."""
_UNSURE = {
    "sudo": r"-[A-Za-z]*[blvKk]|--(?:background|list|validate)",
    "setsid": r"-[A-Za-z]*f|--fork",
    "command": r"-[A-Za-z]*[vV]",
    "flock": r"-[A-Za-z]*E|--conflict-exit-code",
    "timeout": r"--(?:help|version)",
}
"""Options with which a command runs in the background, or may not run at all without an error."""
_FOLDER = {"env": "C", "sudo": "D"}
"""The option for the working directory; its long form is `--chdir`."""


class Unwrapped(NamedTuple):
    """A command without the programs that wrap it.

    given        variables that they set for it
    folders      working directories that they change to, in order
    may_not_run  whether they run it in the background, or not at all
    """

    words: tuple[ShellWord, ...]
    given: tuple[tuple[str, ShellWord], ...] = ()
    folders: tuple[ShellWord, ...] = ()
    may_not_run: bool = False


def unwrap(words: Sequence[ShellWord]) -> Unwrapped:
    found = Unwrapped(tuple(words))
    while found.words and (name := _name(found.words[0])) in _WRAPPERS:
        found = _without(name, found._replace(words=found.words[1:]))
    return found


def _name(word: ShellWord) -> str:
    return posixpath.basename(word.texts[0])


def _without(name: str, found: Unwrapped) -> Unwrapped:
    """Removes the options of one wrapper."""
    while found.words:
        text = found.words[0].texts[0]
        if text.startswith("-") and text != "-":
            found = _without_option(name, text, found._replace(words=found.words[1:]))
        elif text == "-" and name == "env":
            found = found._replace(words=found.words[1:])
        elif re.match(r"[A-Za-z_]\w*=", text):
            key = text.partition("=")[0]
            value = found.words[0]._replace(texts=tuple(each.partition("=")[2] for each in found.words[0].texts))
            found = found._replace(words=found.words[1:], given=(*found.given, (key, value)))
        else:
            break
    return found._replace(words=found.words[1:]) if name in ("timeout", "flock") and len(found.words) > 1 else found


def _without_option(name: str, text: str, found: Unwrapped) -> Unwrapped:
    if name in _UNSURE and re.match(_UNSURE[name], text):
        found = found._replace(may_not_run=True)
    value, rest = _value_of(name, text, found.words)
    if value is None:
        return found
    is_folder = text.startswith("--chdir") or (name in _FOLDER and _letter(name, text) == _FOLDER[name])
    if is_folder:
        return found._replace(words=rest, folders=(*found.folders, value))
    if name == "env" and (text.startswith("--split-string") or _letter(name, text) == "S"):
        return found._replace(words=(*_split(value), *rest))
    return found._replace(words=rest)


def _letter(name: str, text: str) -> str:
    """Returns the letter in grouped short options that requires a value: `C` of `-iC`."""
    taking = "".join(option[1] for option in _WRAPPERS[name] if len(option) == 2)
    found = re.match(rf"-[A-Za-z]*?([{taking}])", text) if taking and not text.startswith("--") else None
    return found[1] if found else ""


def _value_of(name: str, text: str, words: tuple[ShellWord, ...]) -> tuple[ShellWord | None, tuple[ShellWord, ...]]:
    """Returns the value of an option, and the words after it."""
    if text.startswith("--"):
        option, equals, value = text.partition("=")
        if equals:
            return ShellWord((value,)), words
        return (words[0], words[1:]) if option in _WRAPPERS[name] and words else (None, words)
    letter = _letter(name, text)
    if not letter:
        return None, words
    attached = text[text.index(letter) + 1 :]
    if attached:
        return ShellWord((attached,)), words
    return (words[0], words[1:]) if words else (None, words)


def _split(value: ShellWord) -> list[ShellWord]:
    """Splits the value of `env -S` into words."""
    try:
        parts = shlex.split(value.texts[0])
    except ValueError:
        parts = value.texts[0].split()
    return [ShellWord((part,)) for part in parts]
