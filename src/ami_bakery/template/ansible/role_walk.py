"""Follows roles: their variables, tasks, handlers and dependencies."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from ami_bakery.template.ansible.ansible_cfg import PLUGIN_FOLDERS
from ami_bakery.template.ansible.jinja.holes import is_static
from ami_bakery.template.ansible.jinja.rendering import text_alternatives
from ami_bakery.template.ansible.task_walk import TaskWalk
from ami_bakery.template.ansible.tasks import task_runs_here
from ami_bakery.template.ansible.yaml_files import as_list, documents_of, yaml_below
from ami_bakery.template.yaml_parser import YamlMap
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.template.ansible.lookup_files import LookupFiles
    from ami_bakery.template.ansible.named_files import Files
    from ami_bakery.template.ansible.roles import RoleFinder
    from ami_bakery.template.ansible.scope import Context
    from ami_bakery.template.location import SourceLocation

_NOT_VARIABLES = ("role", "name", "vars", "when", "tags")


class RoleWalk:
    """Follows roles, each once for each playbook. `tasks` follows tasks of plays and roles, which include roles."""

    def __init__(self, files: Files, lookups: LookupFiles, finder: RoleFinder) -> None:
        self._files = files
        self._lookups = lookups
        self._finder = finder
        self.tasks = TaskWalk(files, lookups, self)

    def entry(self, entry: Any, context: Context, line: int) -> None:
        if isinstance(entry, YamlMap):
            self._files.variables.add(entry.get("vars"))
            self._files.variables.add({key: value for key, value in entry.items() if key not in _NOT_VARIABLES})
            self._lookups.find_in(entry, context)
            name = entry.get("role") or entry.get("name") or entry.get("src")
            line = entry.line
            context = replace(context, is_local=task_runs_here(entry, context.is_local))
        else:
            name, line = entry, getattr(entry, "line", 0) or line
        if isinstance(name, str) and name:
            self.role(str(name).split(",")[0] if is_static(str(name)) else str(name), context, line)

    def role(self, name: str, context: Context, line: int) -> None:
        location = self._files.location(context, line)
        for text in text_alternatives(name, self._files.scope(context)):
            for folder in self._finder.folders(text, name, context, location):
                self._folder(folder, context)

    def collection_of(self, name: str, context: Context, location: SourceLocation) -> None:
        if not name.startswith(("ansible.builtin.", "ansible.legacy.")) and is_static(name):
            self._finder.collection(name, context, location, report=False)

    def _folder(self, folder: str, context: Context) -> None:
        if not self._files.first_visit(folder, context.playbook, "role", str(context.is_local)):
            return
        self._note_plugins(folder, context)
        above = (context.role, *context.above) if context.role else ()
        inside = replace(context, file=folder, role=folder, above=above[:8], loop_name="item", loop_items=None)
        for part in ("defaults", "vars"):
            self._files.variables_folder(posixpath.join(folder, part))
            for path in yaml_below(self._files.reading, posixpath.join(folder, part)):
                self._lookups.find_in(documents_of(self._files.reading, path), replace(inside, file=path))
        for path in yaml_below(self._files.reading, posixpath.join(folder, "meta"), deep=False):
            self._meta(path, replace(inside, file=path))
        for part in ("tasks", "handlers"):
            for path in yaml_below(self._files.reading, posixpath.join(folder, part)):
                self.tasks.file(path, replace(inside, file=path))

    def _note_plugins(self, folder: str, context: Context) -> None:
        reading = self._files.reading
        for child in reading.tree.children(folder):
            if posixpath.basename(child.path) in PLUGIN_FOLDERS:
                reading.collector.unseen(posixpath.normpath(child.path), self._files.location(context, 1))

    def _meta(self, path: str, context: Context) -> None:
        for document in documents_of(self._files.reading, path):
            if not isinstance(document, YamlMap):
                continue
            location = self._files.location(context, document.line)
            for dependency in as_list(document.get("dependencies")):
                self.entry(dependency, context, document.line)
            for name in as_list(document.get("collections")):
                if isinstance(name, str):
                    self._finder.collection(f"{name}.", context, location, report=False)
