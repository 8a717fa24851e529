"""How Ansible is set up: ansible.cfg, its environment, the provisioner's settings and extra arguments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ami_bakery.adapters.template.ansible.arguments import Arguments, Word, read_arguments, words_of
from ami_bakery.adapters.template.ansible.config import Config, ConfigReader, reference_if_here
from ami_bakery.adapters.template.ansible.navigator import Navigator, navigator_of
from ami_bakery.adapters.template.ansible.requirements import required_names
from ami_bakery.adapters.template.references import local_path

if TYPE_CHECKING:
    from ami_bakery.adapters.template.component import Component
    from ami_bakery.adapters.template.definition import Reading
    from ami_bakery.core.place import Place


@dataclass(kw_only=True)
class Surroundings:
    """
    roles, collections  folders in which roles and collections are looked for, relative to the root
    installed           roles and collections that ansible-galaxy fetches: they are pinned by the file that lists them
    """

    roles: list[str] = field(default_factory=list)
    collections: list[str] = field(default_factory=list)
    installed: set[str] = field(default_factory=set)
    config: Config = field(default_factory=Config)
    arguments: Arguments = field(default_factory=Arguments)
    navigator: Navigator = field(default_factory=Navigator)

    @property
    def is_local(self) -> bool:
        return self.config.is_local or self.arguments.is_local


def surroundings_of(reading: Reading, component: Component) -> Surroundings:
    navigator = navigator_of(reading, component)
    own = {**navigator.environment, **_own_environment(reading, component)}
    config = ConfigReader(reading, own, component.place).read(*navigator.configs)
    made = Surroundings(roles=config.roles, collections=config.collections, config=config, navigator=navigator)
    for name, listed in (("roles_path", made.roles), ("collections_path", made.collections)):
        for text, _, _ in component.texts(name):
            path = local_path(reading, text)
            if isinstance(path, str):
                listed.insert(0, path)
    for name in ("galaxy_file", "requirements_file"):
        for text, place, _ in component.texts(name):
            galaxy = local_path(reading, text) if text else None
            if isinstance(galaxy, str):
                reference_if_here(reading, galaxy, place)
                made.installed |= required_names(reading, galaxy, place)
    for name in ("extra_arguments", "extra_args"):
        read_arguments(reading, words_of(component.fields.get(name)), made.arguments)
    read_arguments(reading, navigator.words, made.arguments)
    for path, place in made.arguments.modules:
        reference_if_here(reading, path, place)
    return made


def _own_environment(reading: Reading, component: Component) -> dict[str, str]:
    """What the provisioner sets; a value that is known in part keeps its holes."""
    own = {}
    for word, place in _assignments(component):
        name, sign, value = word.text.partition("=")
        if sign:
            own[name.strip()] = value.strip("'\"")
        elif word.why:
            reading.ledger.unresolved(place, word.written, word.why)
    return own


def _assignments(component: Component) -> Iterator[tuple[Word, Place]]:
    for word in words_of(component.fields.get("ansible_env_vars")):
        yield word, word.place
