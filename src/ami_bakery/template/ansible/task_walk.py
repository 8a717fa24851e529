"""Follows tasks: files of their modules, lookups and loops, and included tasks and roles."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ami_bakery.template.ansible import tasks as task_reader
from ami_bakery.template.ansible.jinja.holes import has_hole
from ami_bakery.template.ansible.jinja.jinja_evaluation import LookupCall
from ami_bakery.template.ansible.jinja.rendering import text_alternatives
from ami_bakery.template.ansible.named_files import is_plain_name
from ami_bakery.template.ansible.scope import Context, search_folders
from ami_bakery.template.ansible.search import find_paths, is_file, is_folder
from ami_bakery.template.ansible.yaml_files import as_list, maps_of, yaml_at
from ami_bakery.template.yaml_parser import YamlMap
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.template.ansible.lookup_files import LookupFiles
    from ami_bakery.template.ansible.named_files import Files
    from ami_bakery.template.location import SourceLocation

_INCLUDES = ("include_tasks", "import_tasks", "include")
_ROLES = ("include_role", "import_role")
_BLOCKS = ("block", "rescue", "always")


class RoleFollower(Protocol):
    def role(self, name: str, context: Context, line: int) -> None:
        """Follows the role, or every role that an unknown name may mean."""

    def collection_of(self, name: str, context: Context, location: SourceLocation) -> None:
        """Records the collection of a module's full name, if it exists."""


class TaskWalk:
    """Follows lists of tasks. It reads a file once for each playbook and role that uses it."""

    def __init__(self, files: Files, lookups: LookupFiles, roles: RoleFollower) -> None:
        self._files = files
        self._lookups = lookups
        self._roles = roles
        self._reading = files.reading
        self._variables = files.variables
        self._importing: list[str] = []

    def file(self, path: str, context: Context) -> None:
        inside = replace(context, file=path, loop_name="item", loop_items=None)
        if self._files.first_visit(path, context.playbook, context.role, str(context.is_local)):
            self.tasks(maps_of(self._reading, path), inside)

    def tasks(self, tasks: Any, context: Context) -> None:
        for task in as_list(tasks):
            if isinstance(task, YamlMap):
                self._task(task, context)

    def _task(self, task: YamlMap, context: Context) -> None:
        self._variables.add(task.get("vars"))
        if isinstance(task.get("register"), str):
            self._variables.add({str(task["register"]): "{{ registered }}"})
        context = replace(
            context,
            is_local=task_reader.task_runs_here(task, context.is_local),
            may_be_local=context.may_be_local or task_reader.may_run_here(task),
        )
        for part in _BLOCKS:
            self.tasks(task.get(part), context)
        items = task_reader.loop_items(task, self._files.scope(context))
        looping = self._looping(task, items, context)
        self._lookups.find_in({key: value for key, value in task.items() if key not in _BLOCKS}, looping)
        self._lookups.find_in(task_reader.conditions(task), looping)
        self._file_loops(task, context)
        call = task_reader.call_of(task)
        if call is not None and items != []:
            self._lookups.find_in(task_reader.conditions(call.arguments), looping)
            self._call(call, task, looping)

    def _looping(self, task: YamlMap, items: list[Any] | None, context: Context) -> Context:
        """Returns the context of a task with a loop. It has the loop's items if they are known."""
        if items is None:
            return context
        control = task.get("loop_control")
        name = str(control.get("loop_var", "item")) if isinstance(control, Mapping) else "item"
        return replace(context, loop_name=name, loop_items=tuple(items))

    def _file_loops(self, task: YamlMap, context: Context) -> None:
        for plugin, value in task_reader.file_loops(task):
            names = task_reader.loop_names(value, self._files.scope(context))
            line = getattr(value, "line", 0) or task.line
            written = str(value) if isinstance(value, str) else f"with_{plugin}"
            self._lookups.lookup(LookupCall(plugin, names, {}), written, context, line)

    # --- calls

    def _call(self, call: task_reader.ModuleCall, task: YamlMap, context: Context) -> None:
        location = self._files.location(context, call.line)
        if call.full.count(".") >= 2:
            self._roles.collection_of(call.full, context, location)
        if call.module in _INCLUDES:
            self._included_tasks(call, context)
        elif call.module in _ROLES:
            name = call.arguments.get("name", call.arguments.get("role"))
            if isinstance(name, str):
                self._pass_on(context)
                self._roles.role(name, context, call.line)
        elif call.module == "set_fact":
            self._variables.add(call.arguments)
        elif call.module == "meta":
            return
        else:
            self._module_files(call, context)
            self._outputs(call, task, context)
            if task_reader.may_read_more(call, is_local=context.is_local or context.may_be_local):
                self._reading.collector.unseen(call.full or call.module, location)
            if context.is_local or context.may_be_local:
                self._local(call, context)

    def _pass_on(self, context: Context) -> None:
        """Passes the loop's item to included tasks."""
        for item in context.loop_items or ():
            self._variables.add({context.loop_name: item})

    def _included_tasks(self, call: task_reader.ModuleCall, context: Context) -> None:
        text = call.arguments.get("file", call.arguments.get("_raw"))
        applied = call.arguments.get("apply")
        if isinstance(applied, Mapping):
            context = replace(context, is_local=task_reader.task_runs_here(applied, context.is_local))
        if isinstance(text, str):
            self._pass_on(context)
            location, static = self._files.location(context, call.line), call.module == "import_tasks"
            folders = search_folders(context, "tasks")
            for path in self._files.paths(text, folders, location, context):
                self._included(path, context, location, static)

    def _included(self, path: str, context: Context, location: SourceLocation, static: bool) -> None:
        self._files.reference(path, location, context)
        for file in yaml_at(self._reading, path):
            if file in self._importing and static:
                why = f"the tasks import themselves: {' -> '.join([*self._importing, file])}"
                self._files.report(location, posixpath.basename(file), why)
                continue
            self._importing.append(file)
            self.file(file, context)
            self._importing.pop()

    def _module_files(self, call: task_reader.ModuleCall, context: Context) -> None:
        for text, kind, required in task_reader.files_of(call):
            line = getattr(text, "line", 0) or call.line
            if required:
                for path in self._files.files(text, kind, context, line):
                    self._read(call.module, path, context)
                self._current_folder(text, kind, context, line)
            else:
                self._if_here(text, search_folders(context, kind), context, line)

    def _current_folder(self, text: str, kind: str, context: Context, line: int) -> None:
        """Records the folder that `.` or `..` names: the first that exists in Ansible's order."""
        for name in text_alternatives(text, self._files.scope(context)):
            if name and not name.strip("./") and not name.startswith("/"):
                for path in find_paths(self._reading, name, search_folders(context, kind))[:1]:
                    self._files.reference(path, self._files.location(context, line), context)

    def _if_here(self, text: str, folders: tuple[str, ...], context: Context, line: int) -> None:
        for name in text_alternatives(text, self._files.scope(context)):
            if is_plain_name(name) and not has_hole(name):
                for path in find_paths(self._reading, name, folders):
                    self._files.reference(path, self._files.location(context, line), context)

    def _read(self, module: str, path: str, context: Context) -> None:
        if module == "include_vars":
            self._files.variables_file(path)
        elif module in ("template", "win_template"):
            self._lookups.template(path, context)

    # --- tasks that run or write on this machine

    def _local(self, call: task_reader.ModuleCall, context: Context) -> None:
        """Follows a local task: its command, and every argument that names an existing file."""
        scope, folders = self._files.scope(context), (context.playbook, self._reading.paths.workdir)
        chdir = call.arguments.get("chdir", call.arguments.get("project_path"))
        started = self._started_in(str(chdir), folders, context, call.line) if chdir else ()
        for text in task_reader.commands_of(call):
            line = getattr(text, "line", 0) or call.line
            self._files.command(text_alternatives(text, scope), text, context, line, started)
        if call.module == "script":
            for text, kind, _ in task_reader.files_of(call):
                for name in text_alternatives(text, scope):
                    for path in find_paths(self._reading, name, search_folders(context, kind)):
                        self._files.run.script(path, "", (), None, folder=context.playbook)
        for _, text in task_reader.texts_of(call):
            self._if_here(text, (*started, *folders), context, call.line)

    def _started_in(self, text: str, folders: tuple[str, ...], context: Context, line: int) -> tuple[str, ...]:
        """Records the working directory of a command as an input: the command may read any file in it."""
        started = []
        for name in text_alternatives(text, self._files.scope(context)):
            for path in find_paths(self._reading, name, folders):
                started.append(path)
                if is_folder(self._reading, path) and path not in (context.playbook, *folders, "."):
                    self._files.reference(path, self._files.location(context, line), context)
        if not started:
            self._files.report(self._files.location(context, line), text, "where the command runs is not known")
        return tuple(started)

    def _outputs(self, call: task_reader.ModuleCall, task: YamlMap, context: Context) -> None:
        """Records files that a task always writes on this machine as outputs."""
        name = "dest" if call.module == "fetch" else task_reader.WRITERS.get(call.module, "")
        text = call.arguments.get(name)
        if not isinstance(text, str) or "when" in task or not (context.is_local or call.module == "fetch"):
            return
        source = call.arguments.get("src", call.arguments.get("url"))
        for given in context.loop_items if context.loop_items is not None else (None,):
            one = context if given is None else replace(context, loop_items=(given,))
            targets = text_alternatives(text, self._files.scope(one))
            sources = text_alternatives(str(source), self._files.scope(one)) if source else ("",)
            if len(targets) == 1 and len(sources) == 1 and not has_hole(targets[0] + sources[0]):
                self._output(call, targets[0], sources[0], one)

    def _output(self, call: task_reader.ModuleCall, target: str, source: str, context: Context) -> None:
        path = self._reading.paths.resolve(target, context.playbook)
        if not isinstance(path, str):
            return
        if call.module == "fetch" and not task_reader.is_true(call.arguments.get("flat")):
            return  # below the folder, by host name and full path: no definition names these files
        if target.endswith("/") or is_folder(self._reading, path):
            path = posixpath.normpath(posixpath.join(path, posixpath.basename(source)))
        if path != "." and (is_file(self._reading, path) or self._reading.tree.entry(path) is None):
            self._reading.collector.output(path, self._files.location(context, call.line))
