"""Reads folders, files and credentials from ansible.cfg and Ansible's environment variables."""

from __future__ import annotations

import configparser
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ami_bakery.errors import TooLargeError
from ami_bakery.template.ansible.jinja.holes import HOLE
from ami_bakery.template.ansible.playbook_arguments import note_ssh_arguments
from ami_bakery.template.expression.known_values import CHECKOUT
from ami_bakery.template.location import SourceLocation
from ami_bakery.template.source_tree import FileKind

if TYPE_CHECKING:
    from ami_bakery.template.definition import Reading

_PLUGINS = re.compile(r"(?:\w+_plugins|library|module_utils|plugin_filters_cfg)\Z")
PLUGIN_FOLDERS = (
    *("library", "module_utils", "action_plugins", "become_plugins", "cache_plugins"),
    *("callback_plugins", "cliconf_plugins", "connection_plugins", "filter_plugins"),
    *("httpapi_plugins", "inventory_plugins", "lookup_plugins", "netconf_plugins", "shell_plugins"),
    *("strategy_plugins", "terminal_plugins", "test_plugins", "vars_plugins"),
)
"""Folders next to a playbook, or in a role, with code that Ansible runs."""
_CREDENTIALS = frozenset(
    {
        *("vault_password_file", "private_key_file", "vault_identity_list", "become_password_file"),
        *("connection_password_file", "token_path", "gpg_keyring", "url_client_cert", "url_client_key"),
    }
)
_SSH = frozenset({"ssh_args", "ssh_common_args", "ssh_extra_args", "scp_extra_args", "sftp_extra_args"})
_LISTS = frozenset({"roles_path", "collections_path", "collections_paths"})
_SECTIONS = frozenset({"defaults", "inventory", "galaxy", "privilege_escalation", "ssh_connection", "connection"})
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(kw_only=True)
class AnsibleConfig:
    """Settings of ansible.cfg and of the environment.

    roles, collections  search folders, relative to the root
    inventories         files and folders, with the location that names them
    is_local            whether tasks run on this machine by default
    """

    roles: list[str] = field(default_factory=list)
    collections: list[str] = field(default_factory=list)
    inventories: list[tuple[str, SourceLocation]] = field(default_factory=list)
    is_local: bool = False


class ConfigReader:
    """Reads the configuration. `own`: variables that the provisioner sets for Ansible."""

    def __init__(self, reading: Reading, own: Iterable[tuple[str, str]], location: SourceLocation) -> None:
        self._reading = reading
        self._own: dict[str, list[str]] = {}
        for name, value in own:
            self._own.setdefault(name, []).append(value)
        self._location = location
        self.config = AnsibleConfig()

    def read(self, *named: str) -> AnsibleConfig:
        """Reads configuration files and Ansible's variables. The files are `named`, or those of the environment."""
        for path in named or self._values("ANSIBLE_CONFIG") or ["ansible.cfg"]:
            self._file(path)
        for name in sorted({*self._own, *self._reading.request.environment}):
            if name.startswith("ANSIBLE_"):
                self._variable(name)
        return self.config

    def _values(self, name: str) -> list[str]:
        """Returns the values of an environment variable; one of Packer's environment is recorded as an input."""
        if name in self._own:
            return self._own[name]
        value = self._reading.request.environment.get(name)
        if value:
            self._reading.collector.environment(name, self._location)
        return [value] if value else []

    def _variable(self, name: str) -> None:
        key = _NAME_OF_VARIABLE.get(name, name.removeprefix("ANSIBLE_").lower())
        if key in _LISTS | _CREDENTIALS | _SSH | {"inventory", "transport", "log_path"} or _PLUGINS.fullmatch(key):
            for value in self._values(name):
                self._apply(key, value, self._reading.paths.workdir, self._location)

    def _file(self, named: str) -> None:
        if HOLE in named:
            self._reading.collector.unresolved(self._location, "ANSIBLE_CONFIG", "it is only known when Packer runs")
            return
        path = self._reading.paths.resolve(named, self._reading.paths.workdir)
        entry = self._reading.tree.entry(path, follow=True) if isinstance(path, str) else None
        if isinstance(path, str) and entry and entry.kind is FileKind.FOLDER:
            path = posixpath.join(path, "ansible.cfg")
            entry = self._reading.tree.entry(path, follow=True)
        if not isinstance(path, str) or entry is None or entry.kind is not FileKind.FILE:
            return
        self._reading.collector.reference(path, self._location, required=False)
        parser = configparser.RawConfigParser(strict=False, inline_comment_prefixes=(";",), allow_no_value=True)
        try:
            source = self._reading.parsed(path).decode("utf-8", "replace")
            parser.read_string(source)
        except (configparser.Error, TooLargeError) as error:
            why = f"it does not parse: {error.wrong if isinstance(error, TooLargeError) else type(error).__name__}"
            self._reading.collector.unresolved(SourceLocation(file=path, line=1), posixpath.basename(path), why)
            return
        for section in parser.sections():
            for name, value in parser[section].items():
                location = SourceLocation(file=path, line=_line(source, name))
                known = section in _SECTIONS
                self._apply(name if known else "", value or "", posixpath.dirname(path) or ".", location)

    def _apply(self, name: str, value: str, folder: str, location: SourceLocation) -> None:
        """Applies one setting; its relative paths start at `folder`."""
        value = self._expanded(value)
        if name == "transport":
            self.config.is_local = value.strip() == "local"
        elif name in _SSH:
            note_ssh_arguments(self._reading, value, location)
        elif name in _CREDENTIALS:
            for part in value.split(","):
                for path in self._folders(part.rpartition("@")[2], folder, ":", name, location):
                    self._reading.collector.credential(path, location)
        else:
            is_plugins = _PLUGINS.fullmatch(name) is not None
            known = name if is_plugins or name in _LISTS or name in ("inventory", "log_path") else ""
            for path in self._folders(value, folder, "," if name == "inventory" else ":", known, location):
                self._path(name, path, location, is_plugins=is_plugins)

    def _path(self, name: str, path: str, location: SourceLocation, *, is_plugins: bool) -> None:
        if name in _LISTS:
            listed = self.config.roles if name == "roles_path" else self.config.collections
            listed += [path] if path not in listed else []
        elif name == "log_path":
            self._reading.collector.output(path, location)
        elif name == "inventory":
            if note_if_exists(self._reading, path, location):
                self.config.inventories.append((path, location))
        elif is_plugins:
            note_plugins(self._reading, path, location)
        elif self._is_file(path):
            note_if_exists(self._reading, path, location)

    def _is_file(self, path: str) -> bool:
        entry = self._reading.tree.entry(path, follow=True)
        return entry is not None and entry.kind is FileKind.FILE

    def _expanded(self, value: str) -> str:
        """Expands `$NAME` and `{{CWD}}` in a path, as Ansible does."""
        workdir = self._reading.paths.workdir
        value = re.sub(r"\{\{ *CWD *\}\}", CHECKOUT if workdir == "." else f"{CHECKOUT}/{workdir}", value)
        return _VARIABLE.sub(lambda found: self._environment(found[1] or found[2]), value)

    def _environment(self, name: str) -> str:
        if name == "PWD":
            workdir = self._reading.paths.workdir
            return CHECKOUT if workdir == "." else f"{CHECKOUT}/{workdir}"
        return next(iter(self._values(name)), HOLE)

    def _folders(self, paths: str, folder: str, separator: str, name: str, location: SourceLocation) -> Iterator[str]:
        """Yields the paths of a list; those in the home folder belong to Ansible's installation and are not inputs."""
        for path in paths.split(separator):
            path = path.strip().strip("'\"")
            if HOLE in path and name:
                self._reading.collector.unresolved(location, name, "it contains a variable that is not set")
            if not path or path.startswith("~") or HOLE in path or "{{" in path or "\n" in path:
                continue
            resolved = self._reading.paths.resolve(path, folder)
            if isinstance(resolved, str):
                yield resolved


_NAME_OF_VARIABLE = {
    "ANSIBLE_COLLECTIONS_PATHS": "collections_path",
    "ANSIBLE_SSH_ARGS": "ssh_args",
    "ANSIBLE_CONFIG": "",
}


def _line(source: str, name: str) -> int:
    found = re.search(rf"^[ \t]*{re.escape(name)}[ \t]*[=:]", source, re.MULTILINE | re.IGNORECASE)
    return source.count("\n", 0, found.start()) + source[found.start() : found.end()].count("\n") + 1 if found else 1


def note_if_exists(reading: Reading, path: str, location: SourceLocation) -> bool:
    """Records a file or folder as an input if it exists; returns whether it does. It may be outside the root."""
    if reading.tree.entry(path, follow=True) is None:
        return False
    reading.collector.reference(path, location, required=False)
    return True


def note_plugins(reading: Reading, path: str, location: SourceLocation) -> bool:
    """Records a folder of plugins as `note_if_exists`. Its code may read other files."""
    exists = note_if_exists(reading, path, location)
    if exists:
        reading.collector.unseen(path, location)
    return exists
