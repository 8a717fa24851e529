"""Finds every file that an Ansible provisioner reads on this machine."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from ami_bakery.template.ansible.ansible_settings import AnsibleSettings, paths_of, read_settings
from ami_bakery.template.ansible.inventories import read_adjacent_variables, read_inventory
from ami_bakery.template.ansible.named_files import Files
from ami_bakery.template.ansible.playbook_walk import PlaybookWalk
from ami_bakery.template.ansible.variables import VariableTable
from ami_bakery.template.collector import Collector
from ami_bakery.template.definition import Reading
from ami_bakery.template.facts import LocalCommand
from ami_bakery.template.references import command_words, if_tainted, note_file_if_here
from ami_bakery.template.source_tree import FileKind

if TYPE_CHECKING:
    from ami_bakery.template.component import Component
    from ami_bakery.template.location import SourceLocation

_ROUNDS = 6


def find_ansible_files(reading: Reading, component: Component) -> None:
    """Records the inputs and outputs of an Ansible provisioner."""
    settings = read_settings(reading, component)
    variables = VariableTable()
    variables.add(settings.arguments.variables)
    playbooks = paths_of(reading, component, "playbook_file", "playbook_files") + _targets(reading, settings)
    for _ in range(_ROUNDS):
        # A variable may be found after the path that uses it: repeat until no pass finds more variables.
        size, scratch = variables.size, Collector()
        files = Files(_with_collector(reading, scratch), variables)
        walk = PlaybookWalk(files, settings)
        _inventories(component, settings, files)
        for path, _location in settings.arguments.variable_files:
            files.variables_file(path)
        for path, location in playbooks:
            entry = reading.tree.entry(path, follow=True)
            if entry is not None and entry.kind is FileKind.FILE:
                walk.playbook(path, location)
        for name, location in settings.navigator.roles:
            walk.role_target(name, location)
        if variables.size == size:
            break
    _commands(files, component)
    _note_local_commands(files, component)
    reading.collector.merge(scratch)


def _with_collector(reading: Reading, collector: Collector) -> Reading:
    return Reading(tree=reading.tree, request=reading.request, paths=reading.paths, collector=collector)


def _targets(reading: Reading, settings: AnsibleSettings) -> list[tuple[str, SourceLocation]]:
    """Returns playbooks of ansible-navigator's plays, and those among the arguments."""
    found = list(settings.arguments.playbooks)
    for target, location in settings.navigator.playbooks:
        expanded = reading.expand_home(target)
        path = reading.paths.from_workdir(expanded) if expanded else None
        if isinstance(path, str):
            reading.collector.reference(path, location, written=if_tainted(target, "the target of a play"))
            found.append((path, location))
    return found


def _inventories(component: Component, settings: AnsibleSettings, files: Files) -> None:
    """Reads inventories. The provisioner writes one into `inventory_directory` for the duration of the build."""
    named = paths_of(files.reading, component, "inventory_file")
    for path, location in [*named, *settings.arguments.inventories, *settings.config.inventories]:
        if files.reading.tree.entry(path, follow=True) is not None:
            read_inventory(files, path, location)
    for path, location in paths_of(files.reading, component, "inventory_directory"):
        if files.reading.tree.entry(path, follow=True) is not None:
            files.reading.collector.output(posixpath.join(path, "packer-provisioner-ansible"), location)
        read_adjacent_variables(files, path, location)


def _commands(files: Files, component: Component) -> None:
    """Reads the commands, which may be scripts of the repository."""
    reading, folder = files.reading, files.reading.paths.workdir
    for name in ("command", "galaxy_command", "sftp_command"):
        same = (component, *component.alternatives(name))
        for text, location, _ in (found for one in same for found in one.texts(name)):
            for word in command_words(text) if isinstance(text, str) else ():
                note_file_if_here(reading, word, location)
                path = files.run.here(word, folder)
                if path is not None:
                    files.run.script(path, "", (), None, folder=folder)


def _note_local_commands(files: Files, component: Component) -> None:
    if files.run.opaque or files.run.unknown:
        programs = tuple(sorted(name for name in files.run.opaque if name))
        unknown = tuple(sorted(files.run.unknown))
        files.reading.collector.local_command(
            LocalCommand(location=component.location, component=component.type, programs=programs, unknown=unknown)
        )
