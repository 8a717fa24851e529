"""Follows playbooks: their imports, roles and variables."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from ami_bakery.template.ansible.ansible_cfg import PLUGIN_FOLDERS, note_if_exists, note_plugins
from ami_bakery.template.ansible.jinja.holes import is_static
from ami_bakery.template.ansible.jinja.rendering import items_of, rendered_values
from ami_bakery.template.ansible.lookup_files import LookupFiles
from ami_bakery.template.ansible.role_walk import RoleWalk
from ami_bakery.template.ansible.roles import RoleFinder
from ami_bakery.template.ansible.scope import Context, PlayScope
from ami_bakery.template.ansible.search import is_file
from ami_bakery.template.ansible.tasks import may_run_here, task_runs_here
from ami_bakery.template.ansible.yaml_files import as_list, maps_of
from ami_bakery.template.yaml_parser import YamlMap, YamlText
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.template.ansible.ansible_settings import AnsibleSettings
    from ami_bakery.template.ansible.named_files import Files
    from ami_bakery.template.location import SourceLocation

_BESIDE = (*("group_vars", "host_vars", "doc_fragments"), *PLUGIN_FOLDERS)
"""Folders next to a playbook that Ansible reads automatically."""
_TASKS = ("pre_tasks", "tasks", "post_tasks", "handlers")


class PlaybookWalk:
    """Follows all playbooks of a provisioner once.

    It uses the variables known so far. It adds variables, so that a second pass finds more.
    """

    def __init__(self, files: Files, settings: AnsibleSettings) -> None:
        self._files = files
        self._settings = settings
        self._lookups = LookupFiles(files)
        self._finder = RoleFinder(files.reading, settings)
        self._roles = RoleWalk(files, self._lookups, self._finder)
        self._importing: list[str] = []

    def playbook(self, path: str, location: SourceLocation) -> None:
        if path in self._importing:
            why = f"the playbook imports itself: {' -> '.join([*self._importing, path])}"
            self._files.report(location, posixpath.basename(path), why)
            return
        if not self._files.first_visit(path):
            return
        self._files.reading.collector.reference(path, location)
        context = self._context(path, posixpath.dirname(path) or ".")
        self._note_adjacent_folders(context, location)
        self._importing.append(path)
        for play in maps_of(self._files.reading, path):
            self._play(play, context)
        self._importing.pop()

    def role_target(self, name: str, location: SourceLocation) -> None:
        """Follows a role that the provisioner names without a playbook."""
        context = self._context(location.file, self._files.reading.paths.workdir)
        self._roles.role(name, context, location.line)

    def _context(self, file: str, playbook: str) -> Context:
        may_be_local = "local" in self._files.variables.lookup("ansible_connection")
        return Context(file=file, playbook=playbook, is_local=self._settings.is_local, may_be_local=may_be_local)

    def _note_adjacent_folders(self, context: Context, location: SourceLocation) -> None:
        for name in _BESIDE:
            folder = posixpath.normpath(posixpath.join(context.playbook, name))
            note = note_plugins if name in PLUGIN_FOLDERS else note_if_exists
            if note(self._files.reading, folder, location) and name in ("group_vars", "host_vars"):
                self._files.variables_folder(folder)
        self._finder.all_collections(context, location)

    def _play(self, play: YamlMap, context: Context) -> None:
        self._files.variables.add(play.get("vars"))
        for prompt in as_list(play.get("vars_prompt")):
            if isinstance(prompt, YamlMap) and "name" in prompt:
                self._files.variables.add({str(prompt["name"]): prompt.get("default", "{{ prompted }}")})
        for name in ("import_playbook", "ansible.builtin.import_playbook", "include"):
            if isinstance(play.get(name), str):
                self._imported_playbook(play, str(play[name]), context)
                return
        may_be_local = context.may_be_local or may_run_here(play)
        context = replace(context, is_local=task_runs_here(play, context.is_local), may_be_local=may_be_local)
        self._settings_of_play(play, context)
        for part in _TASKS:
            self._roles.tasks.tasks(play.get(part), context)
        self._lookups.find_in({key: value for key, value in play.items() if key not in (*_TASKS, "roles")}, context)

    def _settings_of_play(self, play: YamlMap, context: Context) -> None:
        """Follows the variable files, collections and roles."""
        scope = self._files.scope(context)
        for given in as_list(play.get("vars_files")):
            for text in self._elements(given, scope):
                for path in self._files.files(str(text), "vars", context, self._line(play, text)):
                    self._files.variables_file(path)
        for name in as_list(play.get("collections")):
            self._finder.collection(f"{name}.", context, self._files.location(context, play.line), report=False)
        for given in as_list(play.get("roles")):
            for role in self._elements(given, scope):
                self._roles.entry(role, context, play.line)

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
        location = self._files.location(context, self._line(play, text))
        if "/" not in text and text.count(".") >= 2 and not text.endswith((".yml", ".yaml")):
            self._collection_playbook(text, context, location)
            return
        for path in self._files.paths(text, (context.folder,), location, context):
            self.playbook(path, location)

    def _collection_playbook(self, name: str, context: Context, location: SourceLocation) -> None:
        folder = self._finder.collection(name, context, location)
        for extension in ("yml", "yaml") if folder else ():
            path = posixpath.join(folder or "", "playbooks", f"{name.split('.', 2)[2].replace('.', '/')}.{extension}")
            if is_file(self._files.reading, path):
                self.playbook(path, location)

    @staticmethod
    def _line(play: YamlMap, text: Any) -> int:
        return getattr(text, "line", 0) or play.line
