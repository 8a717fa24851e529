"""Where Ansible looks for a file that a task names, and what is taken where the name is known in part only."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

from ami_bakery.adapters.template.ansible.jinja import FACT, HOLE
from ami_bakery.ports import FileKind
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from ami_bakery.adapters.template.definition import Reading


class Context(Frozen):
    """
    file      the YAML file that is being read
    playbook  the folder of the playbook
    role      the folder of the role, or empty
    loop_name, loop_items  what a repeated task calls the item, and every item
    """

    file: str
    playbook: str
    role: str = ""
    loop_name: str = "item"
    loop_items: tuple[Any, ...] = field(default=(), compare=False)

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.file) or "."


def search_folders(context: Context, kind: str) -> tuple[str, ...]:
    """In Ansible's order. `kind` is `files`, `templates`, `vars` or `tasks`: the subfolder that goes first."""
    folders = []
    if context.role:
        folders += [posixpath.join(context.role, kind), context.role]
        folders += [posixpath.join(context.role, "tasks", kind), posixpath.join(context.role, "tasks")]
    folders += [posixpath.join(context.folder, kind), context.folder]
    folders += [posixpath.join(context.playbook, kind), context.playbook]
    return tuple(dict.fromkeys(posixpath.normpath(folder) for folder in folders))


def find(reading: Reading, text: str, folders: tuple[str, ...]) -> list[str]:
    """What a text with holes may name, among what is there: paths relative to the root.

    A static text counts wherever it is found. With holes, the folder before the first hole counts whole. Where no
    folder stands before it, a hole within a name is any one word, and one that begins the text cannot be said.
    """
    if HOLE not in text and FACT not in text:
        paths = dict.fromkeys(reading.locations.resolve(text, folder) for folder in folders)
        return [path for path in paths if isinstance(path, str) and reading.tree.entry(path, follow=True) is not None]
    before = re.split(f"[{HOLE}{FACT}]", text, maxsplit=1)[0]
    prefix = before.rpartition("/")[0]
    if prefix.strip("./"):
        inside = (reading.locations.resolve(prefix, folder) for folder in folders)
        return [path for path in inside if isinstance(path, str) and path != "." and _is_folder(reading, path)]
    return [] if not before and HOLE in text else _words(reading, text, folders)


def _is_folder(reading: Reading, path: str) -> bool:
    entry = reading.tree.entry(path, follow=True)
    return entry is not None and entry.kind is FileKind.FOLDER


def _words(reading: Reading, text: str, folders: tuple[str, ...]) -> list[str]:
    """Files whose path fits a text in which each hole is a word, in every folder where Ansible looks."""
    text = text.replace(HOLE, FACT)
    fits = re.compile("".join("[^/]*" if part == FACT else re.escape(part) for part in re.split(f"({FACT})", text)))
    found = []
    for folder in folders:
        inside = posixpath.normpath(posixpath.join(folder, posixpath.dirname(text.split(FACT, 1)[0])))
        children = reading.tree.children(inside) if _is_folder(reading, inside) else ()
        paths = (posixpath.normpath(child.path) for child in children)
        found += [path for path in paths if fits.fullmatch(posixpath.relpath(path, folder))]
    return found
