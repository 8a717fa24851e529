"""Finds files in the command line of `ansible-playbook`.

The options are those of ansible-core 2.19 (`ansible/cli/arguments/option_helpers.py`). An unknown argument counts as
one argument, or as any number of them if it is a list.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ami_bakery.errors import TemplateError
from ami_bakery.template.ansible.jinja.holes import HOLE
from ami_bakery.template.expression.known_values import HOLE as PACKERS_HOLE
from ami_bakery.template.expression.known_values import Text, Unknown, Value, as_text, is_sequence, is_tainted
from ami_bakery.template.yaml_parser import yaml_documents

if TYPE_CHECKING:
    from ami_bakery.template.component import Field
    from ami_bakery.template.definition import Reading
    from ami_bakery.template.location import SourceLocation

_LITERAL = re.compile(r'"((?:[^"\\$%]|[$%](?!\{))*)"')
"""A string literal in an expression, without interpolation."""
_SHORT_FLAGS = frozenset("vhCDkKbJ")
_LONG = {
    "--extra-vars": "vars",
    "--vault-password-file": "credential",
    "--vault-pass-file": "credential",
    "--vault-id": "vault-id",
    "--private-key": "credential",
    "--key-file": "credential",
    "--become-password-file": "credential",
    "--become-pass-file": "credential",
    "--connection-password-file": "credential",
    "--conn-pass-file": "credential",
    "--inventory": "inventory",
    "--inventory-file": "inventory",
    "--module-path": "modules",
    "--limit": "limit",
    "--connection": "connection",
    "--ssh-common-args": "ssh",
    "--ssh-extra-args": "ssh",
    "--sftp-extra-args": "ssh",
    "--scp-extra-args": "ssh",
    "--execution-environment-volume-mounts": "mount",
    "--eev": "mount",
    **dict.fromkeys(
        """--poll --background --playbook-dir --user --timeout --forks --become-method --become-user --task-timeout
        --tags --skip-tags --start-at-task --mode --log-level --log-file""".split(),  # noqa: SIM905
        "other",
    ),
}
_SHORT = {
    "e": "vars",
    "i": "inventory",
    "M": "modules",
    "l": "limit",
    "c": "connection",
    **dict.fromkeys("PBuTft", "other"),
}


@dataclass(kw_only=True)
class Arguments:
    """Files and variables that the arguments name.

    variables       extra variables, by name
    variable_files  files with extra variables
    inventories     files and folders, without lists of hosts
    modules         folders of modules
    playbooks       playbooks among the arguments
    is_local        whether every task runs on this machine
    """

    variables: dict[str, Any] = field(default_factory=dict)
    variable_files: list[tuple[str, SourceLocation]] = field(default_factory=list)
    inventories: list[tuple[str, SourceLocation]] = field(default_factory=list)
    modules: list[tuple[str, SourceLocation]] = field(default_factory=list)
    playbooks: list[tuple[str, SourceLocation]] = field(default_factory=list)
    is_local: bool = False


@dataclass(frozen=True, kw_only=True)
class ArgumentWord:
    """One argument; unknown parts of it are holes.

    is_list      whether it may be any number of arguments
    tainted      whether a secret may be part of it, so that no message shows it
    is_optional  whether it may be another word; a file that it names may be missing
    """

    text: str
    location: SourceLocation
    written: str
    why: str = ""
    is_list: bool = False
    tainted: bool = False
    is_optional: bool = False


def argument_lists(found: Field | None) -> Iterator[list[ArgumentWord]]:
    """Yields a list field's arguments for each value that it may have; the list may be a text with commas."""
    if found is not None:
        yield _list(found.value, found)
        for value in found.alternatives:
            yield [replace(word, is_optional=True) for word in _list(value, found)]


def words_of(found: Field | None) -> list[ArgumentWord]:
    """Returns the arguments of every value that a list field may have."""
    return [word for words in argument_lists(found) for word in words]


def _list(value: Value, found: Field) -> list[ArgumentWord]:
    if value is None:
        return []
    if is_sequence(value):
        return [word for item in value for word in _words(item, found, is_list=False)]
    return list(_words(value, found, is_list=True))


def _words(value: Value, found: Field, *, is_list: bool) -> Iterator[ArgumentWord]:
    location = value.location if isinstance(value, Text) else found.location
    text = as_text(value)
    if isinstance(text, Unknown):
        yield from _unknown_words(text, location, text.pattern or found.written, is_list=is_list)
        return
    for part in _parts(text, is_list=is_list):
        yield ArgumentWord(text=part, location=location, written=found.written, tainted=is_tainted(value))


def _unknown_words(
    unknown: Unknown, location: SourceLocation, written: str, *, is_list: bool
) -> Iterator[ArgumentWord]:
    known = unknown.known.replace(PACKERS_HOLE, HOLE)
    if known.strip(HOLE):
        for part in _parts(known, is_list=is_list):
            yield ArgumentWord(text=part, location=location, written=written, why=unknown.why, tainted=unknown.tainted)
        return
    yield ArgumentWord(text=HOLE, location=location, written=written, why=unknown.why, is_list=is_list)
    optional = ArgumentWord(text="", location=location, written=written, why=unknown.why, is_optional=True)
    for candidate in unknown.candidates:
        for item in candidate if is_sequence(candidate) else (candidate,):
            text = as_text(item)
            known = text.known.replace(PACKERS_HOLE, HOLE) if isinstance(text, Unknown) else text
            for part in _parts(known, is_list=is_list and not is_sequence(candidate)) if known else ():
                yield replace(optional, text=part, tainted=is_tainted(item))
    for text in _LITERAL.findall(written) if is_list and not unknown.candidates else ():
        yield replace(optional, text=text)


def _parts(text: str, *, is_list: bool) -> list[str]:
    """Splits a list in one text at its commas."""
    return [part for part in text.split(",") if text] if is_list else _split(text)


def _split(text: str) -> list[str]:
    """Splits an argument that contains both an option and its value."""
    if text.startswith("-") and " " in text and "=" not in text.split(" ", 1)[0]:
        return _shell_words(text)
    return [text]


def _shell_words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def read_arguments(reading: Reading, words: Sequence[ArgumentWord], made: Arguments) -> None:
    """Reads the words' files, variables, inputs and credentials.

    It adds files and variables to `made`, and inputs and credentials to the collector.
    """
    waiting = ""
    for word in words:
        lost = word.is_optional and _option(word.text)[0]  # a candidate may omit an unknown value
        if waiting and not lost:
            _argument(reading, waiting, word.text, word, made)
            waiting = ""
            continue
        option, value = _option(word.text)
        if option and value is None:
            waiting = option
        elif option:
            _argument(reading, option, str(value), word, made)
        else:
            _other_word(reading, word, made)


def _option(word: str) -> tuple[str, str | None]:
    """Returns an option's kind, and its value if the word includes it."""
    if word.startswith("--"):
        name, sign, value = word.partition("=")
        kinds = {_LONG[name]} if name in _LONG else {kind for full, kind in _LONG.items() if full.startswith(name)}
        if not sign and word[2:] and HOLE in word:
            return "", None
        return (kinds.pop() if len(kinds) == 1 and name != "--" else "", value if sign else None)
    if not word.startswith("-"):
        return "", None
    for index, sign in enumerate(word[1:], 1):
        if sign in _SHORT:
            return _SHORT[sign], word[index + 1 :].removeprefix("=") or None
        if sign not in _SHORT_FLAGS:
            break
    return "", None


def _other_word(reading: Reading, word: ArgumentWord, made: Arguments) -> None:
    """Reads a word without a known option: after an unknown argument, it may be the value of any option."""
    text = word.text
    if text.startswith("@"):
        _variables(reading, text, word, made)
        return
    if HOLE in text or text.startswith("-"):
        if text.startswith(HOLE) or "@" in text:
            reading.collector.unresolved(word.location, word.written, word.why)
        text = text.partition("=")[2].removeprefix("@")
    for path in _paths_here(reading, text):
        reading.collector.reference(path, word.location, required=False)
        if path.endswith((".yml", ".yaml")):
            made.playbooks.append((path, word.location))


def _paths_here(reading: Reading, text: str) -> Iterator[str]:
    for part in {text, *text.split(":")}:
        path = reading.paths.from_workdir(part) if part.strip("./") and HOLE not in part else None
        if isinstance(path, str) and reading.tree.entry(path, follow=True) is not None:
            yield path


def _argument(reading: Reading, option: str, value: str, word: ArgumentWord, made: Arguments) -> None:
    if value[:1] in ("'", '"') and value[-1:] == value[:1]:
        value = value[1:-1]
    if option == "vars":
        _variables(reading, value, word, made)
    elif option in ("credential", "vault-id"):
        _credential(reading, value.rpartition("@")[2] if option == "vault-id" else value, word)
    elif option == "inventory":
        _inventory(reading, value, word, made)
    elif option == "modules":
        made.modules += [(path, word.location) for part in value.split(":") if (path := _path(reading, part, word))]
    elif option == "limit" and value.startswith("@"):
        _reference(reading, value[1:], word)
    elif option == "connection":
        made.is_local = made.is_local or value == "local"
    elif option == "ssh":
        note_ssh_arguments(reading, value, word.location)
    elif option == "mount":
        for path in _paths_here(reading, value.split(":")[0]):
            reading.collector.reference(path, word.location, required=False)


def _path(reading: Reading, text: str, word: ArgumentWord) -> str | None:
    """Returns the path, relative to the root; None with a finding if it is unknown."""
    if HOLE in text:
        reading.collector.unresolved(word.location, word.written, word.why or "it is only known when Packer runs")
        return None
    path = reading.paths.from_workdir(text) if text else None
    if not isinstance(path, str):
        return None
    if word.tainted and reading.tree.entry(path, follow=True) is None:
        reading.collector.unresolved(word.location, word.written, "there is no such file")
        return None
    return path


def _reference(reading: Reading, text: str, word: ArgumentWord) -> str | None:
    path = _path(reading, text, word)
    if path is not None:
        reading.collector.reference(path, word.location, required=not word.is_optional)
    return path


def _credential(reading: Reading, text: str, word: ArgumentWord) -> None:
    expanded = reading.expand_home(text) if text not in ("prompt", "prompt_ask_vault_pass", "") else None
    path = _path(reading, expanded, word) if expanded and HOLE not in expanded else None
    if path is not None:
        reading.collector.credential(path, word.location)


def _variables(reading: Reading, value: str, word: ArgumentWord, made: Arguments) -> None:
    if value.startswith("@"):
        path = _reference(reading, value[1:], word)
        if path is not None:
            made.variable_files.append((path, word.location))
        return
    if word.is_list and HOLE in value:
        reading.collector.unresolved(word.location, word.written, word.why)
    variables = extra_variables(value)
    if variables is None:
        reading.collector.unresolved(word.location, word.written, "it is neither JSON nor YAML with variables")
    made.variables.update(variables or {})


def _inventory(reading: Reading, value: str, word: ArgumentWord, made: Arguments) -> None:
    """Reads `--inventory`: a file, a folder, or hosts separated by commas."""
    if "," in value:
        return
    path = _reference(reading, value, word)
    if path is not None:
        made.inventories.append((path, word.location))


def note_ssh_arguments(reading: Reading, text: str, location: SourceLocation) -> None:
    """Records files of ssh's options: configurations are inputs, keys are credentials."""
    words = _shell_words(text)
    for before, word in zip(["", *words], words, strict=False):
        name, _, value = word.rpartition("=")
        if before == "-i" or name.lower() in ("identityfile", "certificatefile"):
            for path in _paths_here(reading, value):
                reading.collector.credential(path, location)
        elif not word.startswith("-") or before == "-F" or word.startswith("-F"):
            for path in _paths_here(reading, value.removeprefix("-F")):
                reading.collector.reference(path, location, required=False)


def extra_variables(text: str) -> dict[str, Any] | None:
    """Returns the variables of `a=b c=d`, JSON or YAML; None if it does not parse.

    A partly known value contains holes.
    """
    if text.lstrip().startswith(("{", "[")):
        return _document(text)
    return dict(word.split("=", 1) for word in _shell_words(text) if "=" in word)


def _document(text: str) -> dict[str, Any] | None:
    try:
        given = json.loads(text, strict=False)
    except ValueError:
        try:
            given = next(iter(yaml_documents(text.replace(HOLE, "\ufffc").encode(), "-e")), None)
        except TemplateError:
            return None
        given = json.loads(json.dumps(given, default=str).replace("\\ufffc", "\\u0000"))
    return given if isinstance(given, dict) else None
