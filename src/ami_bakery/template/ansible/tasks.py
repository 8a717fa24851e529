"""Parses a task: the module that it calls, and arguments that name files on this machine."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ami_bakery.template.ansible.jinja.holes import FACT, HOLE, MOST, has_hole, is_static
from ami_bakery.template.ansible.jinja.rendering import items_of
from ami_bakery.template.ansible.yaml_files import as_list
from ami_bakery.template.yaml_parser import YamlMap, YamlText
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.template.ansible.jinja.jinja_evaluation import JinjaScope

_BUILTIN = re.compile(r"(?:ansible\.(?:builtin|legacy|windows|posix)|community\.\w+|kubernetes\.core|amazon\.aws)\.")

FILE_ARGUMENTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "copy": (("src", "files"),),
    "win_copy": (("src", "files"),),
    "template": (("src", "templates"),),
    "win_template": (("src", "templates"),),
    "script": (("cmd", "files"), ("_raw", "files")),
    "unarchive": (("src", "files"),),
    "assemble": (("src", "files"),),
    "patch": (("src", "files"),),
    "synchronize": (("src", "files"),),
    "uri": (("src", "files"),),
    "win_uri": (("src", "files"),),
    "include_vars": (("file", "vars"), ("dir", "vars"), ("_raw", "vars")),
    "cloudformation": (("template", "files"),),
    "k8s": (("src", "files"), ("template", "templates")),
    "load_balancer": (),
}
"""By module: arguments that name files on this machine, each with the subfolder that Ansible searches first."""

REMOTE = frozenset(
    """file mount fetch slurp archive lineinfile blockinfile replace stat find get_url git subversion apt yum dnf
    package service systemd user group cron debug fail assert set_fact meta pause wait_for command shell raw expect
    win_shell win_command include_role import_role include_tasks import_tasks include add_host group_by setup
    iso_extract decompress reboot pip npm gem hostname sysctl win_shortcut win_unzip win_file""".split()  # noqa: SIM905
)
"""Modules whose arguments name no files on this machine, unless the task runs on it."""

WRITERS: Mapping[str, str] = {"copy": "dest", "template": "dest", "get_url": "dest", "archive": "dest"}
"""By module that writes a file: the argument that names it."""

_COMMANDS = frozenset({"command", "shell", "raw", "expect"})
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_FROM_LOOPS = ("with_items", "with_list", "with_flattened", "with_random_choice")
_PLAIN_LOOPS = frozenset(
    {
        *("with_dict", "with_nested", "with_cartesian", "with_together", "with_indexed_items", "with_subelements"),
        *("with_sequence", "with_inventory_hostnames", *_FROM_LOOPS),
    }
)
_CONDITIONS = ("when", "failed_when", "changed_when", "until", "that", "var")
_NOT_MODULES = frozenset(
    """action any_errors_fatal args async become become_exe become_flags become_method become_user changed_when
    check_mode collections connection debugger delay delegate_facts delegate_to diff environment failed_when
    ignore_errors ignore_unreachable listen local_action loop loop_control module_defaults name no_log notify poll
    port register remote_user retries run_once tags throttle timeout until vars when block rescue always""".split()  # noqa: SIM905
)


class ModuleCall(Frozen):
    """A module with its arguments; free-form arguments are `_raw`. `full`: the name as written."""

    module: str
    arguments: Mapping[str, Any]
    line: int
    full: str = ""


def call_of(task: YamlMap) -> ModuleCall | None:
    for name, value in task.items():
        if name in ("action", "local_action"):
            return _action(value, task)
        if name not in _NOT_MODULES and not name.startswith("with_"):
            return _call(name, value, task)
    return None


def _action(value: Any, task: YamlMap) -> ModuleCall | None:
    if isinstance(value, YamlMap):
        return _call(str(value.get("module", "")), {k: v for k, v in value.items() if k != "module"}, task)
    module, _, rest = str(value).partition(" ")
    return _call(module, YamlText(rest, getattr(value, "line", task.line)), task)


def _call(name: str, value: Any, task: YamlMap) -> ModuleCall:
    arguments: dict[str, Any] = {}
    if isinstance(value, Mapping):
        arguments.update(value)
    elif isinstance(value, str):
        arguments.update(_free_form(value))
    more = task.get("args")
    if isinstance(more, Mapping):
        arguments.update(more)
    line = getattr(value, "line", 0) or task.line
    return ModuleCall(module=_BUILTIN.sub("", name), arguments=arguments, line=line, full=name)


def _free_form(text: str) -> dict[str, str]:
    """Parses `src=a dest=b`, or a file name followed by options."""
    line = getattr(text, "line", 0)
    arguments: dict[str, str] = {}
    raw = []
    for word in _words(text):
        name, sign, value = word.partition("=")
        if sign and re.fullmatch(r"\w+", name):
            arguments[name] = YamlText(value, line)
        else:
            raw.append(word)
    if raw:
        arguments["_raw"] = YamlText(" ".join(raw), line)
        arguments["_whole"] = YamlText(text, line)
    return arguments


def _words(text: str) -> list[str]:
    """Splits a text into words, but not within `{{ ... }}`."""
    guarded = re.sub(r"\{\{(?:(?!\{\{).)*?\}\}", lambda found: found[0].translate(_GUARD), text, flags=re.S)
    try:
        words = shlex.split(guarded)
    except ValueError:
        words = guarded.split()
    return [word.translate(_UNGUARD) for word in words]


_GUARD = str.maketrans({" ": "\x02", "'": "\x03", '"': "\x05", "\\": "\x06"})
_UNGUARD = str.maketrans({"\x02": " ", "\x03": "'", "\x05": '"', "\x06": "\\"})


def files_of(call: ModuleCall) -> Iterator[tuple[str, str, bool]]:
    """Yields texts that name files on this machine. Each comes with its subfolder, and whether it must exist."""
    if is_true(call.arguments.get("remote_src", call.module == "assemble")) or _is_false(call.arguments.get("copy")):
        return
    if call.module == "synchronize" and call.arguments.get("mode") == "pull":
        return
    known = FILE_ARGUMENTS.get(call.module)
    if known is None:
        known = () if call.module in REMOTE else (("src", "files"), ("template", "templates"), ("file", "files"))
    for name, kind in known:
        value = call.arguments.get(name)
        if isinstance(value, str) and value:
            first = (_words(value) or [value])[0]
            text = YamlText(first, getattr(value, "line", call.line)) if call.module == "script" else value
            yield text, kind, call.module in FILE_ARGUMENTS
    url = call.arguments.get("url")
    if isinstance(url, str) and url.startswith("file://"):
        yield YamlText(url.removeprefix("file://"), getattr(url, "line", call.line)), "files", False


def may_read_more(call: ModuleCall, *, is_local: bool) -> bool:
    """Whether a module may read local files beyond its known arguments.

    Modules of other collections may have code that runs on this machine. A local module may read the current folder.
    """
    if call.module.count(".") >= 2:
        return True
    is_known = call.module in FILE_ARGUMENTS or call.module in REMOTE
    return is_local and (not is_known or any(text and not text.strip("./ ") for _, text in texts_of(call)))


def is_true(value: Any) -> bool:
    return value is True or str(value).lower() in ("yes", "true", "on", "1", "y", "t")


def _is_false(value: Any) -> bool:
    return value is False or str(value).lower() in ("no", "false", "off", "0", "n", "f")


# --- loops


def loop_items(task: YamlMap, scope: JinjaScope) -> list[Any] | None:
    """Returns all possible items of a task's loop; None if the task has no loop."""
    if "loop" in task:
        return items_of(task["loop"], scope)
    for name in _FROM_LOOPS:
        if name in task:
            value = task[name]
            return _flat(items_of(f"{{{{ {value} }}}}" if _is_name(value) else value, scope), scope)
    if "with_dict" in task:
        return [item for each in items_of(task["with_dict"], scope) for item in _pairs(each)]
    for name in ("with_nested", "with_cartesian", "with_together"):
        if name in task:
            columns = [items_of(each, scope) for each in as_list(task[name])]
            return [list(row) for row in itertools.islice(itertools.product(*columns), 16 * MOST)]
    if "with_indexed_items" in task:
        return [[0, item] for item in _flat(items_of(task["with_indexed_items"], scope), scope)]
    if "with_subelements" in task:
        return _subelements(as_list(task["with_subelements"]), scope)
    if any(True for _ in file_loops(task)):
        return [item for plugin, value in file_loops(task) for item in _found_items(plugin, value, scope)]
    return [HOLE] if any(name.startswith("with_") for name in task) else None


def _is_name(value: Any) -> bool:
    """Whether a loop's value is a variable without braces. Old playbooks have such values."""
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w.]*", value) is not None


def _flat(items: list[Any], scope: JinjaScope) -> list[Any]:
    return [inner for item in items for inner in (items_of(item, scope) if isinstance(item, list) else [item])]


def _pairs(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [{"key": name, "value": child} for name, child in value.items()]
    return [value]


def _subelements(given: list[Any], scope: JinjaScope) -> list[Any]:
    name = str(given[1]) if len(given) > 1 else ""
    rows = []
    for each in items_of(given[0], scope) if given else []:
        for child in items_of(each.get(name, []), scope) if isinstance(each, Mapping) else [HOLE]:
            rows.append([each, child])
    return rows


def _found_items(plugin: str, value: Any, scope: JinjaScope) -> Iterator[Any]:
    """Yields the names of `with_fileglob` and `with_first_found`; the contents of `with_file` are unknown."""
    if plugin not in ("fileglob", "first_found", "filetree"):
        yield HOLE
    for name in loop_names(value, scope):
        if plugin == "filetree":
            yield {"src": f"{name}/{HOLE}", "path": FACT, "root": name, "state": FACT}
        if plugin == "fileglob":
            yield from [HOLE] if has_hole(name) else scope.glob(name)
        elif plugin == "first_found":
            yield name


def loop_names(value: Any, scope: JinjaScope) -> list[str]:
    """Returns the file names in the value of a loop over files."""
    names = []
    for given in as_list(value):
        for each in items_of(given, scope):
            if isinstance(each, Mapping):  # first_found with files and paths
                paths = [str(path) for path in items_of(as_list(each.get("paths")), scope)] or [""]
                for path, file in itertools.product(paths, items_of(as_list(each.get("files")), scope)):
                    names.append(f"{path}/{file}" if path else str(file))
            elif isinstance(each, str):
                names.append(each)
    return names


def file_loops(task: YamlMap) -> Iterator[tuple[str, Any]]:
    """Yields the lookup's name and the value of loops such as `with_file`.

    Similar loops are `with_pipe`, `with_first_found` and others.
    """
    for name, value in task.items():
        plugin = name.removeprefix("with_").rpartition(".")[2]
        if name.startswith("with_") and name not in _PLAIN_LOOPS:
            yield plugin, value


# --- tasks that run here


def task_runs_here(task: Mapping[str, Any], inherited: bool) -> bool:
    """Whether a task, a block or a play runs on this machine."""
    if "local_action" in task:
        return True
    if "delegate_to" in task:
        return str(task["delegate_to"]).strip() in _LOCAL_HOSTS
    variables = task.get("vars")
    connection = task.get("connection")
    if connection is None and isinstance(variables, Mapping):
        connection = variables.get("ansible_connection")
    if connection is not None:
        return str(connection).rpartition(".")[2] == "local"
    return inherited or ("hosts" in task and str(task["hosts"]).strip() in _LOCAL_HOSTS)


def may_run_here(task: Mapping[str, Any]) -> bool:
    """Whether a task or a play may run on this machine: its hosts are unknown, or include this machine."""
    named = [str(task.get(name, "")) for name in ("hosts", "delegate_to", "connection")]
    is_unknown = any(not is_static(text) for text in named)
    return is_unknown or not _LOCAL_HOSTS.isdisjoint(re.split(r"[,:&! ]+", named[0]))


def commands_of(call: ModuleCall) -> list[str]:
    """Returns the command texts of a module: free-form, `cmd` or `argv`."""
    if call.module not in _COMMANDS and not call.module.endswith(("command", "shell")):
        return []
    free = "_whole" if "_whole" in call.arguments else "_raw"
    texts = [call.arguments[name] for name in (free, "cmd", "command") if isinstance(call.arguments.get(name), str)]
    words = [str(each) for each in as_list(call.arguments.get("argv"))]
    return [*texts, " ".join(each if "{{" in each else shlex.quote(each) for each in words)] if words else texts


def texts_of(call: ModuleCall) -> Iterator[tuple[str, str]]:
    """Yields a local module's arguments by name. It omits files that the module writes, and commands."""
    commands = ("_whole", "cmd", "command", "_raw", "argv", "creates", "removes", "content", "msg")
    for name, value in call.arguments.items():
        if name in commands or name == WRITERS.get(call.module) or call.module in ("file", "debug", "set_fact"):
            continue
        for each in as_list(value):
            if isinstance(each, str):
                yield name, each


def conditions(task: Mapping[str, Any]) -> list[YamlText]:
    """Returns conditions, which are written without braces, as texts with braces."""
    found = []
    for name in _CONDITIONS:
        for each in as_list(task.get(name)):
            if isinstance(each, YamlText) and is_static(each) and re.search(r"\b(?:lookup|query|q)\s*\(", each):
                found.append(YamlText(f"{{{{ {each} }}}}", each.line))
    return found
