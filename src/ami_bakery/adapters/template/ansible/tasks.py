"""What one task of Ansible reads: which module it calls, and which of its arguments name files on this side."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from ami_bakery.adapters.template.ansible.jinja import lookups
from ami_bakery.adapters.template.yaml_syntax import YamlMap, YamlText
from ami_bakery.values import Frozen

_BUILTIN = re.compile(r"(?:ansible\.(?:builtin|legacy|windows|posix)|community\.\w+)\.")

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
    "include_vars": (("file", "vars"), ("dir", "vars"), ("_raw", "vars")),
    "cloudformation": (("template", "files"),),
    "k8s": (("src", "files"), ("template", "templates")),
}
"""By module: its arguments that name files here, each with the subfolder in which Ansible looks first."""

LOOKUPS: Mapping[str, str] = {
    "file": "files",
    "unvault": "files",
    "template": "templates",
    "fileglob": "files",
    "first_found": "files",
    "csvfile": "files",
    "ini": "files",
}
"""Lookups, and `with_...` loops, that read files."""

_NOT_MODULES = frozenset(
    """action any_errors_fatal args async become become_exe become_flags become_method become_user changed_when
    check_mode collections connection debugger delay delegate_facts delegate_to diff environment failed_when
    ignore_errors ignore_unreachable listen local_action loop loop_control module_defaults name no_log notify poll
    port register remote_user retries run_once tags throttle timeout until vars when block rescue always""".split()  # noqa: SIM905
)


class Call(Frozen):
    """A module with its arguments; what is given free of names is `_raw`."""

    module: str
    arguments: Mapping[str, Any]
    line: int


def call_of(task: YamlMap) -> Call | None:
    for name, value in task.items():
        if name in ("action", "local_action"):
            return _action(value, task)
        if name not in _NOT_MODULES and not name.startswith("with_"):
            return _call(name, value, task)
    return None


def _action(value: Any, task: YamlMap) -> Call | None:
    if isinstance(value, YamlMap):
        return _call(str(value.get("module", "")), {k: v for k, v in value.items() if k != "module"}, task)
    module, _, rest = str(value).partition(" ")
    return _call(module, YamlText(rest, getattr(value, "line", task.line)), task)


def _call(name: str, value: Any, task: YamlMap) -> Call:
    arguments: dict[str, Any] = {}
    if isinstance(value, Mapping):
        arguments.update(value)
    elif isinstance(value, str):
        arguments.update(_free_form(value))
    more = task.get("args")
    if isinstance(more, Mapping):
        arguments.update(more)
    return Call(module=_BUILTIN.sub("", name), arguments=arguments, line=getattr(value, "line", 0) or task.line)


def _free_form(text: str) -> dict[str, str]:
    """`src=a dest=b`, or a file name and then options."""
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
    return arguments


def _words(text: str) -> list[str]:
    """Words apart, but `{{ ... }}` in one piece."""
    guarded = re.sub(r"\{\{.*?\}\}", lambda found: found[0].replace(" ", "\x02").replace("'", "\x03"), text, flags=re.S)
    try:
        words = shlex.split(guarded)
    except ValueError:
        words = guarded.split()
    return [word.replace("\x02", " ").replace("\x03", "'") for word in words]


def files_of(call: Call) -> Iterator[tuple[str, str]]:
    """The texts that name files here, each with its subfolder."""
    if is_true(call.arguments.get("remote_src", call.module == "assemble")):
        return
    for name, kind in FILE_ARGUMENTS.get(call.module, ()):
        value = call.arguments.get(name)
        if isinstance(value, str) and value:
            first = value.split()[0] if value.split() else value
            yield (first if call.module == "script" and "{{" not in first else str(value)), kind


def is_true(value: Any) -> bool:
    return value is True or str(value).lower() in ("yes", "true", "on", "1")


def loop_items(task: YamlMap) -> Any:
    """What `item` goes through, or None."""
    for name in ("loop", "with_items", "with_list", "with_flattened", "with_dict"):
        if name in task:
            return task[name]
    return None


def local_command(task: YamlMap, call: Call) -> str:
    """A command that runs on this machine, and not on the one that is baked."""
    here = "local_action" in task or str(task.get("delegate_to")) in ("localhost", "127.0.0.1")
    if not here or call.module not in ("command", "shell", "raw"):
        return ""
    return " ".join(str(call.arguments.get(name, "")) for name in ("_raw", "cmd"))


def file_loops(task: YamlMap) -> Iterator[tuple[str, str, Any]]:
    """`with_file`, `with_fileglob` and `with_first_found`: their name, subfolder and value."""
    for name, value in task.items():
        if name.startswith("with_") and name.removeprefix("with_") in LOOKUPS:
            plain = name.removeprefix("with_")
            yield plain, LOOKUPS[plain], value
        elif name == "with_filetree":
            yield "file", "files", value


def goes_through_files(task: YamlMap) -> bool:
    """Whether the items of a loop are files that a lookup finds."""
    items = loop_items(task)
    return any(True for _ in file_loops(task)) or (isinstance(items, str) and bool(lookups(items)))
