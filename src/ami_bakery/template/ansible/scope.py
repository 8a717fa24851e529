"""The file that is read, and the variables of its expressions."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ami_bakery.template.ansible.jinja.holes import FACT, HOLE, has_hole
from ami_bakery.template.expression.known_values import CHECKOUT
from ami_bakery.template.globs import fileset
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from ami_bakery.template.ansible.variables import VariableTable
    from ami_bakery.template.definition import Reading

_FACTS = frozenset({"inventory_hostname", "inventory_hostname_short", "packer_build_name", "packer_builder_type"})
_NOT_WORDS = ("ansible_env", "ansible_user_dir", "ansible_search_path", "ansible_config_file", "ansible_inventory")


class Context(Frozen):
    """The file that is read, and its play and role.

    file          the YAML file
    playbook      the folder of the playbook
    role          the folder of the role, or empty
    above         the folders of the roles that include this one
    is_local      whether tasks run on this machine
    may_be_local  whether tasks may run on this machine, because a host of an inventory is this machine
    loop_name     the name of the loop variable
    loop_items    all items of the loop, if known
    """

    file: str
    playbook: str
    role: str = ""
    above: tuple[str, ...] = ()
    is_local: bool = False
    may_be_local: bool = False
    loop_name: str = "item"
    loop_items: tuple[Any, ...] | None = field(default=None, compare=False)

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.file) or "."


def in_checkout(folder: str) -> str:
    return CHECKOUT if folder == "." else f"{CHECKOUT}/{folder}"


def search_folders(context: Context, kind: str) -> tuple[str, ...]:
    """Returns folders in the order of Ansible's `path_dwim_relative_stack`. `kind`: the subfolder that comes first."""
    folders = []
    for role in (context.role, *context.above) if context.role else ():
        folders += [posixpath.join(role, kind), role]
        folders += [posixpath.join(role, "tasks", kind), posixpath.join(role, "tasks")]
    folders += [posixpath.join(context.folder, kind), context.folder]
    folders += [posixpath.join(context.playbook, kind), context.playbook]
    return tuple(dict.fromkeys(posixpath.normpath(folder) for folder in folders))


class PlayScope:
    """The variables of one task: of its loop, Ansible's folders, and those of files."""

    def __init__(self, reading: Reading, variables: VariableTable, context: Context) -> None:
        self._reading = reading
        self._variables = variables
        self._context = context

    def lookup(self, name: str) -> Iterable[Any]:
        if name == self._context.loop_name and self._context.loop_items is not None:
            return self._context.loop_items or (HOLE,)
        folder = self._folder(name)
        if folder:
            return (in_checkout(folder),)
        if name in ("role_name", "ansible_role_name") and self._context.role:
            return (posixpath.basename(self._context.role),)
        known = list(self._variables.lookup(name))
        if name in _FACTS or (name.startswith("ansible_") and not name.startswith(_NOT_WORDS)):
            known.append(FACT)
        return known

    def _folder(self, name: str) -> str:
        if name == "playbook_dir":
            return self._context.playbook
        if name == "role_path":
            return self._context.role or self._context.playbook
        return ""

    def glob(self, pattern: str) -> Iterator[str]:
        """Yields matching files of all search folders. (Ansible uses the first existing folder.)"""
        for path in glob_in(self._reading, pattern, search_folders(self._context, "files")):
            yield in_checkout(path) if not path.startswith("/") else path

    def environment(self, name: str) -> Iterable[str]:
        return (in_checkout(self._reading.paths.workdir),) if name == "PWD" else ()


def glob_in(reading: Reading, pattern: str, folders: Iterable[str]) -> list[str]:
    """Returns the matching files, relative to the root; none for a pattern with a hole, whose whole folder counts."""
    if has_hole(pattern):
        return []
    resolved = (reading.paths.resolve(pattern, folder) for folder in folders)
    paths = dict.fromkeys(path for path in resolved if isinstance(path, str))
    return [found for path in paths for found in fileset(reading.tree, ".", path)]
