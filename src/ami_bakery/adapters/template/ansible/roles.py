"""Where roles and collections are: beside the playbook, in the configured folders, or installed by ansible-galaxy."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from ami_bakery.adapters.template.ansible.jinja import FACT, HOLE
from ami_bakery.ports import FileKind

if TYPE_CHECKING:
    from ami_bakery.adapters.template.ansible.search import Context
    from ami_bakery.adapters.template.ansible.surroundings import Surroundings
    from ami_bakery.adapters.template.definition import Reading
    from ami_bakery.core.place import Place

_PARTS = ("tasks", "meta", "handlers", "defaults", "vars", "files", "templates", "library")


class RoleFinder:
    """Finds the folder of a role by its name, and makes all of it an input."""

    def __init__(self, reading: Reading, surroundings: Surroundings) -> None:
        self._reading = reading
        self._surroundings = surroundings

    def folders(self, text: str, written: str, context: Context, place: Place) -> list[str]:
        """The folders of the roles that a name may mean; several where it is known only when Ansible runs."""
        if HOLE in text or FACT in text:
            return self._any(written, context, place)
        if text.count(".") >= 2 and "/" not in text:
            return self._of_collection(text, context, place)
        for folder in self._search(context):
            path = self._reading.locations.resolve(text, folder)
            if isinstance(path, str) and self._is_role(path):
                if text in self._surroundings.installed and folder in self._surroundings.roles:
                    return []  # ansible-galaxy put it there; the file that pins it is the input
                self._reading.ledger.reference(path, place)
                return [path]
        if text not in self._surroundings.installed and text.split(".")[-1] not in self._surroundings.installed:
            why = "there is no such role beside the playbook or in roles_path, and no galaxy_file fetches it"
            self._reading.ledger.unresolved(place, written, why)
        return []

    def _search(self, context: Context) -> list[str]:
        folders = [posixpath.join(context.playbook, "roles"), *self._surroundings.roles]
        if context.role:
            folders += [posixpath.dirname(context.role) or ".", posixpath.join(context.role, "roles")]
        folders += [context.playbook, self._reading.locations.workdir]
        return list(dict.fromkeys(posixpath.normpath(folder) for folder in folders))

    def _is_role(self, path: str) -> bool:
        entry = self._reading.tree.entry(path, follow=True)
        if entry is None or entry.kind is not FileKind.FOLDER:
            return False
        names = {posixpath.basename(child.path) for child in self._reading.tree.children(path)}
        return not names.isdisjoint(_PARTS)

    def _any(self, written: str, context: Context, place: Place) -> list[str]:
        """Any role may be meant: every one that is here counts."""
        found = []
        for folder in [posixpath.join(context.playbook, "roles"), *self._surroundings.roles]:
            folder = posixpath.normpath(folder)
            entry = self._reading.tree.entry(folder, follow=True)
            if entry and entry.kind is FileKind.FOLDER:
                self._reading.ledger.reference(folder, place, required=False)
                children = sorted(posixpath.normpath(child.path) for child in self._reading.tree.children(folder))
                found += [child for child in children if self._is_role(child)]
        if not found:
            self._reading.ledger.unresolved(place, written, "which role it is, is known only when Ansible runs")
        return found

    # --- collections

    def collection(self, name: str, context: Context, place: Place) -> str | None:
        """The folder of the collection that a full name such as `ns.collection.thing` lies in, if it is here."""
        namespace, collection = name.split(".")[:2]
        for folder in [posixpath.join(context.playbook, "collections"), *self._surroundings.collections]:
            for inside in ("ansible_collections", "."):
                path = posixpath.normpath(posixpath.join(folder, inside, namespace, collection))
                if self._reading.tree.entry(path, follow=True) is not None:
                    if f"{namespace}.{collection}" not in self._surroundings.installed:
                        self._reading.ledger.reference(path, place)
                    return path
        if f"{namespace}.{collection}" not in self._surroundings.installed:
            why = "the collection is not here, and no galaxy_file fetches it"
            self._reading.ledger.unresolved(place, name, why)
        return None

    def _of_collection(self, name: str, context: Context, place: Place) -> list[str]:
        if f"{'.'.join(name.split('.')[:2])}" in ("ansible.builtin", "ansible.legacy"):
            return []
        folder = self.collection(name, context, place)
        role = posixpath.join(folder, "roles", re.sub(r"\A\w+\.\w+\.", "", name)) if folder else ""
        return [role] if role and self._is_role(role) else []
