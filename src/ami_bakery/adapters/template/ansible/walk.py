"""Follows playbooks: what they import, the roles they use, and the files that their tasks name."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ami_bakery.adapters.template.ansible import tasks as task_reader
from ami_bakery.adapters.template.ansible.jinja import (
    FACT,
    HOLE,
    alternatives,
    included_templates,
    is_static,
    lookups,
    texts_in,
)
from ami_bakery.adapters.template.ansible.roles import RoleFinder
from ami_bakery.adapters.template.ansible.search import Context, find, search_folders
from ami_bakery.adapters.template.ansible.surroundings import Surroundings, reference_if_here
from ami_bakery.adapters.template.ansible.variables import VariableTable
from ami_bakery.adapters.template.globs import fileset
from ami_bakery.adapters.template.references import command_words
from ami_bakery.adapters.template.yaml_syntax import YamlMap, YamlText, yaml_documents
from ami_bakery.core.expression.values import CHECKOUT
from ami_bakery.core.place import Place
from ami_bakery.errors import TemplateError
from ami_bakery.ports import FileKind
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.adapters.template.definition import Reading

_BESIDE = (
    *("group_vars", "host_vars", "collections", "library", "module_utils", "action_plugins", "cache_plugins"),
    *("callback_plugins", "connection_plugins", "filter_plugins", "inventory_plugins", "lookup_plugins"),
    *("strategy_plugins", "test_plugins", "vars_plugins"),
)
"""Folders beside a playbook that Ansible takes up unasked."""


class Walk:
    """One round through everything that a provisioner's playbooks reach, with the variables known so far.

    It says what it finds to the ledger of its reading, and adds to the variables, so that a second round sees more.
    """

    def __init__(self, reading: Reading, surroundings: Surroundings, variables: VariableTable) -> None:
        self.reading = reading
        self.variables = variables
        self._roles = RoleFinder(reading, surroundings)
        self._visited: set[tuple[str, str, str]] = set()
        self._importing: list[str] = []

    # --- playbooks

    def playbook(self, path: str, place: Place) -> None:
        if path in self._importing:
            why = f"the playbook imports itself: {' -> '.join([*self._importing, path])}"
            self.reading.ledger.unresolved(place, posixpath.basename(path), why)
            return
        if not self._first_visit(path, "", ""):
            return
        self.reading.ledger.reference(path, place)
        context = Context(file=path, playbook=posixpath.dirname(path) or ".")
        for name in _BESIDE:
            folder = posixpath.normpath(posixpath.join(context.playbook, name))
            if reference_if_here(self.reading, folder, place) and name in ("group_vars", "host_vars"):
                self.variables_folder(folder)
        self._importing.append(path)
        for play in self._items(path):
            self._play(play, context)
        self._importing.pop()

    def _play(self, play: YamlMap, context: Context) -> None:
        self.variables.add(play.get("vars"))
        for name in ("import_playbook", "ansible.builtin.import_playbook", "include"):
            if isinstance(play.get(name), str):
                self._imported_playbook(play, str(play[name]), context)
                return
        for given in _listed(play.get("vars_files")):
            for text in _listed(given):
                self._files(str(text), "vars", context, self._line(play, text), self.variables_file)
        for role in _listed(play.get("roles")):
            self._role_entry(role, context, play.line)
        for part in ("pre_tasks", "tasks", "post_tasks", "handlers"):
            self._tasks(play.get(part), context)
        self._lookups({key: play[key] for key in ("vars", "environment") if key in play}, context)

    def _imported_playbook(self, play: YamlMap, text: str, context: Context) -> None:
        words = text.split()
        text = words[0] if words and is_static(text) else text
        place = self._place(context, self._line(play, text))
        if "/" not in text and text.count(".") >= 2 and not text.endswith((".yml", ".yaml")):
            self._roles.collection(text, context, place)  # a playbook of a collection
            return
        self._follow(text, (context.folder,), place, lambda path: self.playbook(path, place))

    # --- roles

    def _role_entry(self, entry: Any, context: Context, line: int) -> None:
        if isinstance(entry, YamlMap):
            self.variables.add(entry.get("vars"))
            self.variables.add({key: value for key, value in entry.items() if key not in ("role", "name", "vars")})
            name = entry.get("role") or entry.get("name")
            line = entry.line
        else:
            name, line = entry, getattr(entry, "line", line)
        if isinstance(name, str) and name:
            self.role(str(name).split(",")[0] if is_static(str(name)) else str(name), context, line)

    def role(self, name: str, context: Context, line: int) -> None:
        place = self._place(context, line)
        for text in alternatives(name, self._lookup(context)):
            for folder in self._roles.folders(text, name, context, place):
                self._role_folder(folder, context)

    def _role_folder(self, folder: str, context: Context) -> None:
        if not self._first_visit(folder, context.playbook, "role"):
            return
        for part in ("defaults", "vars"):
            self.variables_folder(posixpath.join(folder, part))
        for path in self._yaml_below(posixpath.join(folder, "meta"), deep=False):
            inside = Context(file=path, playbook=context.playbook, role=folder)
            for document in self._documents(path):
                for dependency in _listed(document.get("dependencies")) if isinstance(document, YamlMap) else ():
                    self._role_entry(dependency, inside, document.line)
        for part in ("tasks", "handlers"):
            for path in self._yaml_below(posixpath.join(folder, part)):
                self._task_file(path, Context(file=path, playbook=context.playbook, role=folder))

    # --- tasks

    def _task_file(self, path: str, context: Context) -> None:
        if self._first_visit(path, context.playbook, context.role):
            self._tasks(self._items(path), Context(file=path, playbook=context.playbook, role=context.role))

    def _tasks(self, tasks: Any, context: Context) -> None:
        for task in _listed(tasks):
            if isinstance(task, YamlMap):
                self._task(task, context)

    def _task(self, task: YamlMap, context: Context) -> None:
        self.variables.add(task.get("vars"))
        for part in ("block", "rescue", "always"):
            self._tasks(task.get(part), context)
        self._lookups({key: value for key, value in task.items() if key not in ("block", "rescue", "always")}, context)
        for plugin, kind, value in task_reader.file_loops(task):
            self._file_loop(plugin, kind, value, context, task.line)
        call = task_reader.call_of(task)
        if call is None:
            return
        looping = self._looping(task, context)
        for word in command_words(task_reader.local_command(task, call)):
            for path in find(self.reading, word, (context.playbook, self.reading.locations.workdir)):
                self._reference(path, self._place(context, call.line), context)
        if call.module in ("include_tasks", "import_tasks", "include"):
            self._included_tasks(call, looping)
        elif call.module in ("include_role", "import_role"):
            name = call.arguments.get("name", call.arguments.get("role"))
            if isinstance(name, str):
                self.role(name, looping, call.line)
        elif call.module == "set_fact":
            self.variables.add(call.arguments)
        else:
            self._module_files(call, looping, item_is_found=task_reader.goes_through_files(task))

    def _included_tasks(self, call: task_reader.Call, context: Context) -> None:
        text = call.arguments.get("file", call.arguments.get("_raw"))
        if isinstance(text, str):
            place, static = self._place(context, call.line), call.module == "import_tasks"
            folders = search_folders(context, "tasks")
            self._follow(text, folders, place, lambda path: self._included(path, context, place, static), context)

    def _included(self, path: str, context: Context, place: Place, static: bool) -> None:
        self._reference(path, place, context)
        for file in self._yaml_at(path):
            if file in self._importing and static:
                why = f"the tasks import themselves: {' -> '.join([*self._importing, file])}"
                self.reading.ledger.unresolved(place, posixpath.basename(file), why)
                continue
            self._importing.append(file)
            self._task_file(file, context)
            self._importing.pop()

    def _module_files(self, call: task_reader.Call, context: Context, *, item_is_found: bool) -> None:
        for text, kind in task_reader.files_of(call):
            if item_is_found and context.loop_name in text:
                continue  # what the loop goes through was found where it says so
            each = self._what_to_do_with(call.module, context)
            self._files(text, kind, context, getattr(text, "line", 0) or call.line, each)

    def _what_to_do_with(self, module: str, context: Context) -> Callable[[str], None] | None:
        if module == "include_vars":
            return self.variables_file
        if module in ("template", "win_template"):
            return lambda path: self._template(path, context)
        return None

    def _template(self, path: str, context: Context) -> None:
        """A template may take in others, and look files up."""
        entry = self.reading.tree.entry(path, follow=True)
        if (
            entry is None
            or entry.kind is not FileKind.FILE
            or not self._first_visit(path, context.playbook, "template")
        ):
            return
        text = self.reading.content(path).decode("utf-8", "replace")
        inside = replace(context, file=path)
        self._lookups([YamlText(text, 1)], inside)
        for name in included_templates(text):
            folders = search_folders(inside, "templates")
            self._follow(name, folders, self._place(inside, 1), lambda found: self._included_template(found, inside))

    def _included_template(self, path: str, context: Context) -> None:
        self._reference(path, self._place(context, 1), context)
        self._template(path, context)

    def _file_loop(self, plugin: str, kind: str, value: Any, context: Context, line: int) -> None:
        for given in _listed(value):
            if isinstance(given, Mapping):  # first_found with files and paths
                for path in _listed(given.get("paths")) or [""]:
                    for file in _listed(given.get("files")):
                        self._lookup_file(plugin, kind, posixpath.join(str(path), str(file)), context, line)
            else:
                self._lookup_file(plugin, kind, str(given), context, line)

    # --- files

    def _lookups(self, part: Any, context: Context) -> None:
        for text in texts_in(part):
            for plugin, argument in lookups(text):
                place = self._place(context, text.line)
                if plugin == "env":
                    if is_static(argument):
                        self.reading.ledger.environment(argument, place)
                elif plugin in task_reader.LOOKUPS:
                    argument = argument.split(" ")[0] if plugin in ("csvfile", "ini") else argument
                    self._lookup_file(plugin, task_reader.LOOKUPS[plugin], argument, context, text.line)

    def _lookup_file(self, plugin: str, kind: str, text: str, context: Context, line: int) -> None:
        if plugin == "fileglob" and is_static(text):
            for folder in search_folders(context, kind):
                path = self.reading.locations.resolve(text, folder)
                for found in fileset(self.reading.tree, ".", path) if isinstance(path, str) else ():
                    self._reference(found, self._place(context, line), context)
            return
        each = self._what_to_do_with(plugin, context)
        self._files(text, kind, context, line, each, optional=plugin == "first_found")

    def _files(
        self, text: str, kind: str, context: Context, line: int, each: Any = None, *, optional: bool = False
    ) -> None:
        place = self._place(context, line)

        def take(path: str) -> None:
            self._reference(path, place, context)
            if each:
                each(path)

        self._follow(text, search_folders(context, kind), place, take, context, optional=optional or kind == "vars")

    def _follow(
        self,
        text: str,
        folders: tuple[str, ...],
        place: Place,
        take: Any,
        context: Context | None = None,
        *,
        optional: bool = False,
    ) -> None:
        """Takes whatever a text may name; says so where it cannot be said what that is."""
        for name in alternatives(text, self._lookup(context)):
            if "://" in name or not name.strip("./ "):
                continue
            found = find(self.reading, name, folders)
            if context is not None and context.role and any(path.startswith(context.role + "/") for path in found):
                # A name known in part, that a role has: beside the role, only files of the same kind may be meant.
                found = [path for path in found if posixpath.dirname(path) != context.playbook]
            for path in found:
                take(path)
            if not found and HOLE in name:
                self.reading.ledger.unresolved(place, text, "it is known only when Ansible runs")
            elif not found and FACT not in name and is_static(text) and not optional:
                self.reading.ledger.unresolved(place, text, f"there is no such file in {' or '.join(folders[:2])}")

    def _reference(self, path: str, place: Place, context: Context | None = None) -> None:
        covered = context is not None and context.role and path.startswith(context.role + "/")
        if not covered:  # all of a role's folder is in
            self.reading.ledger.reference(path, place, required=False)

    # --- variables

    def variables_folder(self, folder: str) -> None:
        for path in self._yaml_below(folder):
            self.variables_file(path)

    def variables_file(self, path: str) -> None:
        for file in self._yaml_at(path):
            for document in self._documents(file):
                self.variables.add(document)

    def _lookup(self, context: Context | None) -> Any:
        def values(name: str) -> Iterable[Any]:
            if context is not None and name in ("playbook_dir", "role_path"):
                folder = context.playbook if name == "playbook_dir" else context.role or context.playbook
                return [CHECKOUT if folder == "." else f"{CHECKOUT}/{folder}"]
            if context is not None and name.split(".")[0] == context.loop_name:
                table = VariableTable()
                for item in context.loop_items:
                    table.add({context.loop_name: item})
                return table.lookup(name)
            return self.variables.lookup(name)

        return values

    def _looping(self, task: YamlMap, context: Context) -> Context:
        """The context of a task that is repeated: what `item` may be, where the loop is written out or known."""
        items = task_reader.loop_items(task)
        if isinstance(items, str):
            name = items.strip().removeprefix("{{").removesuffix("}}").split("|")[0].strip()
            items = [value for known in self.variables.lookup(name) for value in _listed(known)]
        control = task.get("loop_control")
        name = str(control.get("loop_var", "item")) if isinstance(control, Mapping) else "item"
        return replace(context, loop_name=name, loop_items=tuple(_listed(items)))

    # --- reading

    def _first_visit(self, *key: str) -> bool:
        visit = (key[0], key[1], key[2])
        if visit in self._visited:
            return False
        self._visited.add(visit)
        return True

    def _documents(self, path: str) -> list[Any]:
        source = self.reading.content(path)
        if source.startswith(b"$ANSIBLE_VAULT"):
            return []  # the file itself is in; what it holds is a secret
        try:
            return yaml_documents(source, path)
        except TemplateError as error:
            place = Place(file=path, line=int(error.doing.rpartition(":")[2] or 1))
            self.reading.ledger.unresolved(place, posixpath.basename(path), f"it does not parse: {error.wrong}")
            return []

    def _items(self, path: str) -> list[YamlMap]:
        found = (item for document in self._documents(path) for item in _listed(document))
        return [item for item in found if isinstance(item, YamlMap)]

    def _yaml_at(self, path: str) -> list[str]:
        """A file, or the YAML files of a folder."""
        entry = self.reading.tree.entry(path, follow=True)
        if entry is None:
            return []
        return [path] if entry.kind is FileKind.FILE else self._yaml_below(path)

    def _yaml_below(self, folder: str, *, deep: bool = True) -> list[str]:
        entry = self.reading.tree.entry(folder, follow=True)
        if entry is None or entry.kind is not FileKind.FOLDER:
            return []
        pattern = "**/*" if deep else "*"
        names = fileset(self.reading.tree, folder, pattern)
        paths = [posixpath.normpath(posixpath.join(folder, name)) for name in names]
        return [path for path in paths if path.endswith((".yml", ".yaml", ".json")) or "." not in path.rsplit("/")[-1]]

    def _place(self, context: Context, line: int) -> Place:
        return Place(file=context.file, line=max(line, 1))

    @staticmethod
    def _line(play: YamlMap, text: Any) -> int:
        return getattr(text, "line", 0) or play.line


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
