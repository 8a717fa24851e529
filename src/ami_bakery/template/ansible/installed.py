"""Finds roles and collections that ansible-galaxy installs in a bake: these are outputs."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from ami_bakery.template.expression.known_values import HOLE
from ami_bakery.template.facts import Certainty

if TYPE_CHECKING:
    from ami_bakery.template.ansible.ansible_settings import AnsibleSettings
    from ami_bakery.template.definition import Reading
    from ami_bakery.template.location import SourceLocation

INSTALLED_ROLE = "meta/.galaxy_install_info"
INSTALLED_COLLECTION = "MANIFEST.json"
"""Files that ansible-galaxy writes into each role and collection that it installs."""


def is_installed(reading: Reading, settings: AnsibleSettings, path: str, mark: str) -> bool:
    """Whether ansible-galaxy installed a role or collection: by its folder, and the file `mark` in it.

    It installs into the first configured folder, or below the user's home.
    """
    folders = settings.roles[:1] if mark == INSTALLED_ROLE else settings.collections[:1]
    above = f"{posixpath.normpath(path)}/"
    is_there = any(above.startswith(f"{posixpath.normpath(folder)}/") or folder == "." for folder in folders)
    return is_there and reading.tree.entry(posixpath.join(path, mark), follow=True) is not None


def note_installed(reading: Reading, settings: AnsibleSettings, location: SourceLocation) -> None:
    """Records as outputs the roles and collections that ansible-galaxy installs. Omits existing ones of the project."""
    for folder in settings.roles[:1]:
        for name in sorted(settings.installed):
            _note(reading, posixpath.join(folder, name), INSTALLED_ROLE, location)
    for folder in settings.collections[:1]:
        inside = posixpath.join(folder, "ansible_collections")
        for name in sorted(each for each in settings.installed if each.count(".") == 1):
            _note(reading, posixpath.join(inside, *name.split(".")), INSTALLED_COLLECTION, location)
            info = posixpath.normpath(posixpath.join(inside, f"{name}-{HOLE}.info"))
            reading.collector.output(f"{info}/**", location, certainty=Certainty.LIKELY)


def _note(reading: Reading, path: str, mark: str, location: SourceLocation) -> None:
    if path.startswith(("/", "~")) or "/" in posixpath.basename(path):
        return
    is_there = reading.tree.entry(path, follow=True) is not None
    if not is_there or reading.tree.entry(posixpath.join(path, mark), follow=True) is not None:
        reading.collector.output(f"{posixpath.normpath(path)}/**", location, certainty=Certainty.LIKELY)
