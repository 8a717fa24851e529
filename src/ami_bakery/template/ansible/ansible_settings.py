"""Reads Ansible's settings: ansible.cfg, environment, and the provisioner's fields and arguments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ami_bakery.template.ansible.ansible_cfg import AnsibleConfig, ConfigReader, note_if_exists, note_plugins
from ami_bakery.template.ansible.installed import note_installed
from ami_bakery.template.ansible.navigator import Navigator, navigator_of
from ami_bakery.template.ansible.playbook_arguments import (
    Arguments,
    argument_lists,
    note_ssh_arguments,
    read_arguments,
    words_of,
)
from ami_bakery.template.ansible.requirements import required_names
from ami_bakery.template.expression.known_values import Unknown
from ami_bakery.template.references import local_path

if TYPE_CHECKING:
    from ami_bakery.template.component import Component
    from ami_bakery.template.definition import Reading
    from ami_bakery.template.location import SourceLocation


@dataclass(kw_only=True)
class AnsibleSettings:
    """Settings of one provisioner.

    roles, collections  search folders, relative to the root
    installed           names of roles and collections that ansible-galaxy installs; their requirements file pins them
    """

    roles: list[str] = field(default_factory=list)
    collections: list[str] = field(default_factory=list)
    installed: set[str] = field(default_factory=set)
    config: AnsibleConfig = field(default_factory=AnsibleConfig)
    arguments: Arguments = field(default_factory=Arguments)
    navigator: Navigator = field(default_factory=Navigator)

    @property
    def is_local(self) -> bool:
        return self.config.is_local or self.arguments.is_local


def read_settings(reading: Reading, component: Component) -> AnsibleSettings:
    navigator = navigator_of(reading, component)
    own = [*navigator.environment, *_own_environment(reading, component)]
    config = ConfigReader(reading, own, component.location).read(*navigator.configs)
    made = AnsibleSettings(roles=config.roles, collections=config.collections, config=config, navigator=navigator)
    for name, listed in (("roles_path", made.roles), ("collections_path", made.collections)):
        listed[:0] = [path for path, _ in paths_of(reading, component, name)]
    for path, location in paths_of(reading, component, "galaxy_file", "requirements_file"):
        note_if_exists(reading, path, location)
        made.installed |= required_names(reading, path, location)
        note_installed(reading, made, location)
    for name in ("extra_arguments", "extra_args"):
        for words in argument_lists(component.fields.get(name)):
            read_arguments(reading, words, made.arguments)
    read_arguments(reading, navigator.words, made.arguments)
    for word in words_of(component.fields.get("ansible_ssh_extra_args")):
        note_ssh_arguments(reading, word.text, word.location)
    for path, location in made.arguments.modules:
        note_plugins(reading, path, location)
    return made


def paths_of(reading: Reading, component: Component, *names: str) -> list[tuple[str, SourceLocation]]:
    """Returns the paths in fields, relative to the root. A field gives a path for every value that it may have."""
    found = []
    for name in names:
        for one in (component, *component.alternatives(name)):
            for text, location, _ in one.list_texts(name) if name.endswith("s") else one.texts(name):
                texts = text.candidates if isinstance(text, Unknown) else (text,)
                resolved = (local_path(reading, each) for each in texts if isinstance(each, str) and each)
                found += [(path, location) for path in resolved if isinstance(path, str)]
    return found


def _own_environment(reading: Reading, component: Component) -> Iterator[tuple[str, str]]:
    """Yields the variables that the provisioner sets; partly known values contain holes."""
    for word in words_of(component.fields.get("ansible_env_vars")):
        name, sign, value = word.text.partition("=")
        if sign:
            yield name.strip(), value.strip("'\"")
        elif word.why:
            reading.collector.unresolved(word.location, word.written, word.why)
