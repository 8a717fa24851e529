"""The `ansible` provisioner: from its playbooks to every file that Ansible reads for them on this machine."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from ami_bakery.adapters.template.ansible.surroundings import reference_if_here, surroundings_of
from ami_bakery.adapters.template.ansible.variables import VariableTable
from ami_bakery.adapters.template.ansible.walk import Walk
from ami_bakery.adapters.template.definition import Reading
from ami_bakery.adapters.template.ledger import Ledger
from ami_bakery.adapters.template.references import command_words, local_path, note_file_if_here
from ami_bakery.ports import FileKind

if TYPE_CHECKING:
    from ami_bakery.adapters.template.component import Component
    from ami_bakery.core.place import Place

_ROUNDS = 6


def find_ansible_files(reading: Reading, component: Component) -> None:
    """Of a component that `is_of_ansible`."""
    surroundings = surroundings_of(reading, component)
    variables = VariableTable()
    variables.add(surroundings.variables)
    playbooks = [(path, place) for path, place in _paths(reading, component, "playbook_file", "playbook_files")]
    for _ in range(_ROUNDS):
        # A variable may be met after the path that it is part of: go round until no round learns more.
        size, scratch = variables.size, Ledger()
        walk = Walk(_with_ledger(reading, scratch), surroundings, variables)
        _inventories(reading, component, walk)
        for path in surroundings.variable_files:
            walk.variables_file(path)
        for path, place in playbooks:
            if reading.tree.entry(path, follow=True) is not None:
                walk.playbook(path, place)
        if variables.size == size:
            break
    reading.ledger.merge(scratch)
    _commands(reading, component)


def _with_ledger(reading: Reading, ledger: Ledger) -> Reading:
    return Reading(tree=reading.tree, request=reading.request, locations=reading.locations, ledger=ledger)


def _paths(reading: Reading, component: Component, *names: str) -> list[tuple[str, Place]]:
    found = []
    for name in names:
        for text, place, _ in component.list_texts(name) if name.endswith("s") else component.texts(name):
            path = local_path(reading, text) if text else None
            if isinstance(path, str):
                found.append((path, place))
    return found


def _inventories(reading: Reading, component: Component, walk: Walk) -> None:
    """Beside an inventory, group_vars and host_vars are read too. Packer writes its own inventory into the directory,
    and removes it after the build."""
    for path, place in _paths(reading, component, "inventory_directory"):
        walk.reading.ledger.output(posixpath.join(path, "packer-provisioner-ansible"), place)
    for path, place in _paths(reading, component, "inventory_file", "inventory_directory"):
        entry = reading.tree.entry(path, follow=True)
        folder = path if entry and entry.kind is FileKind.FOLDER else posixpath.dirname(path) or "."
        for name in ("group_vars", "host_vars"):
            beside = posixpath.normpath(posixpath.join(folder, name))
            if reference_if_here(walk.reading, beside, place):
                walk.variables_folder(beside)


def _commands(reading: Reading, component: Component) -> None:
    """`command` may be a wrapper that lies beside the template."""
    for name in ("command", "galaxy_command", "sftp_command"):
        for text, place, _ in component.texts(name):
            for word in command_words(text) if isinstance(text, str) else ():
                note_file_if_here(reading, word, place)
