"""Finds and reads `bakery.toml`, and reports every problem with its line."""

from __future__ import annotations

import codecs
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ami_bakery.core.config.reader import Document, parse_config
from ami_bakery.errors import Annotation, ConfigError, UsageError
from ami_bakery.template.expression.budget import LARGEST_PARSED

if TYPE_CHECKING:
    from pathlib import Path

    from tree_sitter import Node

    from ami_bakery.core.config.model import Config, KeyPath

FILE_NAME = "bakery.toml"
_NAME_A_FILE = "Use -C with the path of a bakery.toml, or of its folder."


def find_config(folder: Path) -> Path | None:
    """Returns `bakery.toml` in this folder or the nearest parent folder; None if there is none."""
    return next((path for parent in (folder, *folder.parents) if (path := parent / FILE_NAME).is_file()), None)


def read_config_file(path: Path) -> Config:
    """Reads a configuration. Raises `UsageError` if the file does not exist, `ConfigError` if it is invalid."""
    doing = f"reading {path}"
    try:
        data = _content(path)
    except FileNotFoundError:
        raise UsageError(doing, "no such file", _NAME_A_FILE) from None
    except OSError as error:
        raise ConfigError(doing, error.strerror or str(error), "Make the file readable for this user.") from error
    if data is None:
        raise UsageError(doing, "not a regular file", _NAME_A_FILE)
    return parse_config_file(data, path)


def _content(path: Path) -> bytes | None:
    """Returns the content, cut one byte after the size limit. None if it is not a regular file, which could block."""
    if not path.is_file():
        path.stat()  # raises FileNotFoundError
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb", buffering=0) as file:
        return file.read(LARGEST_PARSED + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def parse_config_file(data: bytes, path: Path) -> Config:
    """Parses a configuration. `path` need not exist: it gives the file's name and the root folder."""
    try:
        return _parse(data, path)
    except RecursionError:
        raise ConfigError(f"reading {path}", "it is nested too deeply", "Nest tables and arrays less deeply.") from None


def _parse(data: bytes, path: Path) -> Config:
    doing = f"reading {path}"
    if len(data) > LARGEST_PARSED:
        wrong = f"larger than {LARGEST_PARSED >> 20} MiB"
        raise ConfigError(doing, wrong, "Make it smaller, or split it.")
    if data.startswith(codecs.BOM_UTF8):
        wrong = "it starts with a byte order mark"
        marks = (Annotation(os.path.abspath(path), 1, wrong),)
        raise ConfigError(doing, wrong, "Save the file as UTF-8 without a byte order mark.", marks=marks)
    try:
        text = data.decode("utf-8")
        table = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        marks = (Annotation(os.path.abspath(path), line, "not UTF-8"),)
        raise ConfigError(doing, f"line {line}: not UTF-8", "Save the file as UTF-8.", marks=marks) from None
    except tomllib.TOMLDecodeError as error:
        todo = "Fix the line. See https://toml.io for the syntax."
        marks = (Annotation(os.path.abspath(path), _line_of(str(error)), str(error)),)
        raise ConfigError(doing, f"not valid TOML: {error}", todo, marks=marks) from None
    except ValueError:
        raise ConfigError(doing, "a number has more than 4,300 digits", "Use a smaller number.") from None
    document = Document(file=path.name, data=table, lines=dict(_lines(data)))
    config, problems = parse_config(document, root=os.path.realpath(path.parent))
    if problems:
        listed = "\n".join(f"{path}:{problem.line}: {problem.key}: {problem.message}" for problem in problems)
        count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
        file = os.path.abspath(path)
        raise ConfigError(
            f"{doing} ({count})",
            listed,
            "Fix the file. Nothing was changed.",
            marks=tuple(Annotation(file, problem.line, f"{problem.key}: {problem.message}") for problem in problems),
        )
    return config


def _line_of(message: str) -> int:
    """Returns the line in tomllib's message: `(at line 3, column 5)`. 1 for `(at end of document)`."""
    found = re.search(r"\(at line (\d+),", message)
    return int(found[1]) if found else 1


def _lines(data: bytes) -> Iterator[tuple[KeyPath, int]]:
    """Yields the line of every key, table and array element. tomllib does not report lines."""
    import tree_sitter
    import tree_sitter_toml

    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_toml.language()))
    array_tables: dict[KeyPath, int] = {}
    path: KeyPath
    for node in parser.parse(data).root_node.named_children:
        if node.type == "pair":
            yield from _pair(node, ())
        elif node.type in ("table", "table_array_element"):
            path = _key(node.named_children[0])
            if node.type == "table_array_element":
                array_tables[path] = array_tables.get(path, -1) + 1
                yield path, _line(node)
                path = (*path, array_tables[path])
            yield path, _line(node)
            for child in node.named_children[1:]:
                if child.type == "pair":
                    yield from _pair(child, path)


def _pair(node: Node, prefix: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    key, *values = [child for child in node.named_children if child.type != "comment"]
    path = (*prefix, *_key(key))
    for length in range(len(prefix) + 1, len(path) + 1):
        yield path[:length], _line(node)
    for value in values:
        yield from _value(value, path)


def _value(node: Node, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    children = [child for child in node.named_children if child.type != "comment"]
    if node.type == "array":
        for index, child in enumerate(children):
            yield (*path, index), _line(child)
            yield from _value(child, (*path, index))
    elif node.type == "inline_table":
        for child in children:
            yield from _pair(child, path)


def _key(node: Node) -> tuple[str, ...]:
    """Returns the parts of a bare, quoted or dotted key. tomllib unquotes them."""
    if node.type == "dotted_key":
        return tuple(part for child in node.named_children for part in _key(child))
    text = (node.text or b"").decode("utf-8")
    if node.type == "quoted_key":
        return tuple(tomllib.loads(f"{text} = 0"))
    return (text,)


def _line(node: Node) -> int:
    return node.start_point[0] + 1
