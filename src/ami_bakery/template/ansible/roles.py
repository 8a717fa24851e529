"""Finds roles and collections next to the playbook and in configured folders."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ami_bakery.template.ansible.installed import INSTALLED_COLLECTION as _INSTALLED_COLLECTION
from ami_bakery.template.ansible.installed import INSTALLED_ROLE as _INSTALLED_ROLE
from ami_bakery.template.ansible.installed import is_installed
from ami_bakery.template.ansible.jinja.holes import HOLE, has_hole
from ami_bakery.template.ansible.search import is_folder

if TYPE_CHECKING:
    from ami_bakery.template.ansible.ansible_settings import AnsibleSettings
    from ami_bakery.template.ansible.scope import Context
    from ami_bakery.template.definition import Reading
    from ami_bakery.template.location import SourceLocation

_PARTS = ("tasks", "meta", "handlers", "defaults", "vars", "files", "templates", "library")


class RoleFinder:
    """Finds the folder of a role by its name.

    It records the whole folder as an input. Roles that ansible-galaxy installs in the bake are not inputs; the file
    that pins them is. A role in the same folder without the installer's file belongs to the project, and
    ansible-galaxy does not change it. The same is true for a role with that file in a folder other than the
    installer's.
    """

    def __init__(self, reading: Reading, settings: AnsibleSettings) -> None:
        self._reading = reading
        self._settings = settings

    def folders(self, text: str, written: str, context: Context, location: SourceLocation) -> list[str]:
        """Returns the folders of the roles that a name may mean: several if it is only known when Ansible runs."""
        if has_hole(text):
            return self._any(text, written, context, location)
        if text.count(".") >= 2 and "/" not in text:
            return self._of_collection(text, context, location)
        for folder in self._search(context):
            path = self._reading.paths.resolve(text, folder)
            if isinstance(path, str) and self._is_role(path):
                if self._is_installed(text, path, _INSTALLED_ROLE):
                    return []
                self._reading.collector.reference(path, location)
                return [path]
        inside = (self._reading.paths.resolve(text, f"{folder}/roles") for folder in self._collections(context))
        found = [path for path in inside if isinstance(path, str) and self._is_role(path)]
        if not found and not self._is_required(text):
            why = "there is no such role next to the playbook or in roles_path, and no galaxy_file installs it"
            self._reading.collector.unresolved(location, written, why)
        return found

    def _is_required(self, name: str) -> bool:
        return name in self._settings.installed or name.split(".")[-1] in self._settings.installed

    def _is_installed(self, name: str, path: str, mark: str) -> bool:
        return name in self._settings.installed and is_installed(self._reading, self._settings, path, mark)

    def _search(self, context: Context) -> list[str]:
        folders = [posixpath.join(context.playbook, "roles"), *self._settings.roles]
        for role in (context.role, *context.above) if context.role else ():
            folders += [posixpath.dirname(role) or ".", posixpath.join(role, "roles")]
        folders += [context.playbook, self._reading.paths.workdir]
        return list(dict.fromkeys(posixpath.normpath(folder) for folder in folders))

    def _is_role(self, path: str) -> bool:
        if not is_folder(self._reading, path):
            return False
        names = {posixpath.basename(child.path) for child in self._reading.tree.children(path)}
        return not names.isdisjoint(_PARTS)

    def _any(self, text: str, written: str, context: Context, location: SourceLocation) -> list[str]:
        """Records every role with a matching name; reports a name that may be any path."""
        fits = re.compile(
            "".join("[^/]*" if part in "\0\1" else re.escape(part) for part in re.split("([\0\1])", text))
        )
        found = []
        for folder in [posixpath.join(context.playbook, "roles"), *self._settings.roles]:
            folder = posixpath.normpath(folder)
            for child in self._reading.tree.children(folder) if is_folder(self._reading, folder) else ():
                path = posixpath.normpath(child.path)
                name = posixpath.basename(path)
                is_meant = fits.fullmatch(name) or fits.fullmatch(path)
                if is_meant and self._is_role(path) and not self._is_installed(name, path, _INSTALLED_ROLE):
                    self._reading.collector.reference(path, location, required=False)
                    found.append(path)
        if not found or HOLE in text:
            why = "the role's name is only known when Ansible runs"
            self._reading.collector.unresolved(location, written, why)
        return sorted(set(found))

    # --- collections

    def _folders(self, context: Context) -> Iterator[str]:
        """Yields folders with namespaces, which contain collections."""
        for folder in [posixpath.join(context.playbook, "collections"), *self._settings.collections]:
            for inside in ("ansible_collections", "."):
                yield posixpath.normpath(posixpath.join(folder, inside))

    def _collections(self, context: Context) -> list[str]:
        """Returns the collections in folders of the project."""
        found = []
        for folder in dict.fromkeys(self._folders(context)):
            if folder.startswith("/") or folder == ".":
                continue
            for namespace in self._children(folder):
                found += [path for path in self._children(namespace) if self._is_collection(path)]
        return list(dict.fromkeys(found))

    def _children(self, folder: str) -> list[str]:
        if not is_folder(self._reading, folder):
            return []
        paths = [posixpath.normpath(child.path) for child in self._reading.tree.children(folder)]
        return [path for path in paths if not posixpath.basename(path).startswith(".")]

    def _is_collection(self, path: str) -> bool:
        if not is_folder(self._reading, path):
            return False
        names = {posixpath.basename(child.path) for child in self._reading.tree.children(path)}
        return not names.isdisjoint(("galaxy.yml", "MANIFEST.json", "plugins", "roles", "playbooks", "meta"))

    def all_collections(self, context: Context, location: SourceLocation) -> None:
        """Records all collections of the project: any of them may be used by a short name."""
        for path in self._collections(context):
            name = ".".join(path.split("/")[-2:])
            if not self._is_installed(name, path, _INSTALLED_COLLECTION):
                self._own_collection(path, location)

    def _own_collection(self, path: str, location: SourceLocation) -> None:
        self._reading.collector.reference(path, location, required=False)
        if is_folder(self._reading, f"{path}/plugins"):
            self._reading.collector.unseen(f"{path}/plugins", location)

    def collection(self, name: str, context: Context, location: SourceLocation, *, report: bool = True) -> str | None:
        """Returns the collection's folder for a full name such as `ns.collection.role`; None if there is none."""
        if name.count(".") < 2:
            return None
        namespace, collection = name.split(".")[:2]
        for folder in self._folders(context):
            path = posixpath.normpath(posixpath.join(folder, namespace, collection))
            if is_folder(self._reading, path):
                if not self._is_installed(f"{namespace}.{collection}", path, _INSTALLED_COLLECTION):
                    self._own_collection(path, location)
                return path
        if report and f"{namespace}.{collection}" not in self._settings.installed:
            why = "there is no such collection, and no galaxy_file installs it"
            self._reading.collector.unresolved(location, name, why)
        return None

    def _of_collection(self, name: str, context: Context, location: SourceLocation) -> list[str]:
        if f"{'.'.join(name.split('.')[:2])}" in ("ansible.builtin", "ansible.legacy"):
            return []
        folder = self.collection(name, context, location)
        inside = posixpath.join(folder or ".", "roles")
        role = self._reading.paths.resolve(re.sub(r"\A\w+\.\w+\.", "", name), inside)
        return [role] if folder and isinstance(role, str) and self._is_role(role) else []
