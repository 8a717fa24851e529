"""Follows playbooks: their imports, roles and variables."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from ami_bakery.template.ansible.ansible_cfg import note_if_exists
from ami_bakery.template.ansible.jinja.holes import is_static
from ami_bakery.template.ansible.jinja.rendering import items_of, rendered_values, text_alternatives
from ami_bakery.template.ansible.named_files import Files
from ami_bakery.template.ansible.roles import RoleFinder
from ami_bakery.template.ansible.scope import Context, PlayScope
from ami_bakery.template.ansible.search import is_file
from ami_bakery.template.ansible.task_walk import TaskWalk
from ami_bakery.template.ansible.tasks import may_run_here, task_runs_here
from ami_bakery.template.ansible.yaml_files import as_list, documents_of, maps_of, yaml_below
from ami_bakery.template.yaml_parser import YamlMap, YamlText
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.template.ansible.ansible_settings import AnsibleSettings
    from ami_bakery.template.ansible.variables import VariableTable
    from ami_bakery.template.definition import Reading
    from ami_bakery.template.location import SourceLocation

_BESIDE = (
    *("group_vars", "host_vars", "library", "module_utils", "action_plugins", "become_plugins", "cache_plugins"),
    *("callback_plugins", "cliconf_plugins", "connection_plugins", "doc_fragments", "filter_plugins"),
    *("httpapi_plugins", "inventory_plugins", "lookup_plugins", "netconf_plugins", "shell_plugins"),
    *("strategy_plugins", "terminal_plugins", "test_plugins", "vars_plugins"),
)
"""Folders next to a playbook that Ansible reads automatically."""
_TASKS = ("pre_tasks", "tasks", "post_tasks", "handlers")
_NOT_VARIABLES = ("role", "name", "vars", "when", "tags")


class PlaybookWalk(Files):
    """Follows all playbooks of a provisioner once, with the variables known so far.

    It adds variables, so that a second pass finds more.
    """

    def __init__(self, reading: Reading, settings: AnsibleSettings, variables: VariableTable) -> None:
        super().__init__(reading, variables)
        self._settings = settings
        self._roles = RoleFinder(reading, settings)
        self._tasks = TaskWalk(self, self)
        self._importing: list[str] = []

    # --- playbooks

    def playbook(self, path: str, location: SourceLocation) -> None:
        if path in self._importing:
            why = f"the playbook imports itself: {' -> '.join([*self._importing, path])}"
            self.report(location, posixpath.basename(path), why)
            return
        if not self.first_visit(path):
            return
        self.reading.collector.reference(path, location)
        context = self._context(path, posixpath.dirname(path) or ".")
        self._note_adjacent_folders(context, location)
        self._importing.append(path)
        for play in maps_of(self.reading, path):
            self._play(play, context)
        self._importing.pop()

    def role_target(self, name: str, location: SourceLocation) -> None:
        """Follows a role that the provisioner names without a playbook."""
        context = self._context(location.file, self.reading.paths.workdir)
        self.role(name, context, location.line)

    def _context(self, file: str, playbook: str) -> Context:
        may_be_local = "local" in self.variables.lookup("ansible_connection")
        return Context(file=file, playbook=playbook, is_local=self._settings.is_local, may_be_local=may_be_local)

    def _note_adjacent_folders(self, context: Context, location: SourceLocation) -> None:
        for name in _BESIDE:
            folder = posixpath.normpath(posixpath.join(context.playbook, name))
            if note_if_exists(self.reading, folder, location) and name in ("group_vars", "host_vars"):
                self.variables_folder(folder)
        self._roles.all_collections(context, location)

    def _play(self, play: YamlMap, context: Context) -> None:
        self.variables.add(play.get("vars"))
        for prompt in as_list(play.get("vars_prompt")):
            if isinstance(prompt, YamlMap) and "name" in prompt:
                self.variables.add({str(prompt["name"]): prompt.get("default", "{{ prompted }}")})
        for name in ("import_playbook", "ansible.builtin.import_playbook", "include"):
            if isinstance(play.get(name), str):
                self._imported_playbook(play, str(play[name]), context)
                return
        may_be_local = context.may_be_local or may_run_here(play)
        context = replace(context, is_local=task_runs_here(play, context.is_local), may_be_local=may_be_local)
        scope = self.scope(context)
        for given in as_list(play.get("vars_files")):
            for text in self._elements(given, scope):
                self.files(str(text), "vars", context, self._line(play, text), self.variables_file)
        for name in as_list(play.get("collections")):
            self._roles.collection(f"{name}.", context, self.location(context, play.line), report=False)
        for given in as_list(play.get("roles")):
            for role in self._elements(given, scope):
                self._role_entry(role, context, play.line)
        for part in _TASKS:
            self._tasks.tasks(play.get(part), context)
        self.lookups({key: value for key, value in play.items() if key not in (*_TASKS, "roles")}, context)

    @staticmethod
    def _elements(given: Any, scope: PlayScope) -> list[Any]:
        """Returns the elements of a list in a variable; any other value as a list of one."""
        if not isinstance(given, str) or is_static(given):
            return as_list(given)
        if not any(isinstance(value, list) for value in rendered_values(given, scope)):
            return [given]
        line = getattr(given, "line", 0)
        return [YamlText(item, line) if isinstance(item, str) else item for item in items_of(given, scope)]

    def _imported_playbook(self, play: YamlMap, text: str, context: Context) -> None:
        words = text.split()
        text = words[0] if words and is_static(text) else text
        location = self.location(context, self._line(play, text))
        if "/" not in text and text.count(".") >= 2 and not text.endswith((".yml", ".yaml")):
            self._collection_playbook(text, context, location)
            return
        self.follow(text, (context.folder,), location, lambda path: self.playbook(path, location), context)

    def _collection_playbook(self, name: str, context: Context, location: SourceLocation) -> None:
        folder = self._roles.collection(name, context, location)
        for extension in ("yml", "yaml") if folder else ():
            path = posixpath.join(folder or "", "playbooks", f"{name.split('.', 2)[2].replace('.', '/')}.{extension}")
            if is_file(self.reading, path):
                self.playbook(path, location)

    # --- roles

    def _role_entry(self, entry: Any, context: Context, line: int) -> None:
        if isinstance(entry, YamlMap):
            self.variables.add(entry.get("vars"))
            self.variables.add({key: value for key, value in entry.items() if key not in _NOT_VARIABLES})
            self.lookups(entry, context)
            name = entry.get("role") or entry.get("name") or entry.get("src")
            line = entry.line
            context = replace(context, is_local=task_runs_here(entry, context.is_local))
        else:
            name, line = entry, getattr(entry, "line", 0) or line
        if isinstance(name, str) and name:
            self.role(str(name).split(",")[0] if is_static(str(name)) else str(name), context, line)

    def role(self, name: str, context: Context, line: int) -> None:
        location = self.location(context, line)
        for text in text_alternatives(name, self.scope(context)):
            for folder in self._roles.folders(text, name, context, location):
                self._role_folder(folder, context)

    def collection_of(self, name: str, context: Context, location: SourceLocation) -> None:
        if not name.startswith(("ansible.builtin.", "ansible.legacy.")) and is_static(name):
            self._roles.collection(name, context, location, report=False)

    def _role_folder(self, folder: str, context: Context) -> None:
        if not self.first_visit(folder, context.playbook, "role", str(context.is_local)):
            return
        above = (context.role, *context.above) if context.role else ()
        inside = replace(context, file=folder, role=folder, above=above[:8], loop_name="item", loop_items=None)
        for part in ("defaults", "vars"):
            self.variables_folder(posixpath.join(folder, part))
            for path in yaml_below(self.reading, posixpath.join(folder, part)):
                self.lookups(documents_of(self.reading, path), replace(inside, file=path))
        for path in yaml_below(self.reading, posixpath.join(folder, "meta"), deep=False):
            self._meta(path, replace(inside, file=path))
        for part in ("tasks", "handlers"):
            for path in yaml_below(self.reading, posixpath.join(folder, part)):
                self._tasks.file(path, replace(inside, file=path))

    def _meta(self, path: str, context: Context) -> None:
        for document in documents_of(self.reading, path):
            if not isinstance(document, YamlMap):
                continue
            for dependency in as_list(document.get("dependencies")):
                self._role_entry(dependency, context, document.line)
            for name in as_list(document.get("collections")):
                if isinstance(name, str):
                    self._roles.collection(f"{name}.", context, self.location(context, document.line), report=False)

    @staticmethod
    def _line(play: YamlMap, text: Any) -> int:
        return getattr(text, "line", 0) or play.line
