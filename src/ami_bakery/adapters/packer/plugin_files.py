"""Finds the plugins that Packer would load, without starting any.

The rules are those of Packer's source code: packer/plugin.go, packer/plugin_folders.go, config.go and
packer-plugin-sdk's pathing, in 1.6.6, 1.7.10, 1.8.7, 1.9.1 to 1.10.3, 1.11.0 and 1.16.0.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import platform
import pwd
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ami_bakery.adapters.program_search import is_within, work_tree_of
from ami_bakery.core.packer.plugins import InstalledPlugin, PluginFile, parse_installed
from ami_bakery.errors import PackerError
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from ami_bakery.core.packer.plugins import UsedPlugin

_ONE_FOLDER = (1, 11, 0)
"""From this version on, Packer loads only plugins in its plugin folder."""
_PATH_ALONE = (1, 9, 2)
"""From this version on, PACKER_PLUGIN_PATH replaces the other folders."""
_NESTED = (1, 7, 0)
"""From this version on, `packer init` installs plugins in folders for host, owner and name."""
_KINDS = ("builder", "provisioner", "post-processor", "datasource", "plugin")
_FLAT = re.compile(rf"packer-({'|'.join(_KINDS)})-(.+)")
_CHECKSUM = "_SHA256SUM"


class PluginFolders(Frozen):
    """The folders in which Packer searches plugins.

    version      Packer's version as numbers
    program      the absolute path of Packer
    workdir      the absolute path of the folder that Packer is started in
    repository   folders of the definition, whose files a pull request can change
    cache        plugins in folders outside of `workdir`, by path, which are read once for many images
    """

    version: tuple[int, ...]
    program: str
    workdir: str
    environment: Mapping[str, str]
    repository: tuple[str, ...]
    cache: dict[str, tuple[PluginFile, ...]] = field(default_factory=dict)

    def folder(self) -> str:
        """Returns the folder that `packer init` installs to. From Packer 1.11 on, it is the only one."""
        path = self.environment.get("PACKER_PLUGIN_PATH", "")
        folder = path.split(os.pathsep)[-1] if path else os.path.join(_config_folder(self.environment), "plugins")
        return os.path.join(self.workdir, folder)

    def absolute_path(self) -> dict[str, str]:
        """Returns PACKER_PLUGIN_PATH, if set, with absolute paths.

        It is for a Packer that is started in another folder than `workdir`.
        """
        paths = [path for path in self.environment.get("PACKER_PLUGIN_PATH", "").split(os.pathsep) if path]
        joined = os.pathsep.join(os.path.join(self.workdir, path) for path in paths)
        return {"PACKER_PLUGIN_PATH": joined} if joined else {}

    def manual(self) -> tuple[PluginFile, ...]:
        """Returns manually installed plugins, such as `packer-builder-NAME` and `packer-plugin-NAME`.

        Later ones override earlier ones.
        """
        if self.version >= _ONE_FOLDER:
            return ()
        found = [file for folder in self._folders() for file in self._flat(folder)]
        return tuple(dict.fromkeys((*found, *self._configured())))

    def _flat(self, folder: str) -> tuple[PluginFile, ...]:
        if folder == self.workdir:
            return tuple(_flat(folder))
        if folder not in self.cache:
            self.cache[folder] = tuple(_flat(folder))
        return self.cache[folder]

    def installed(self, *, in_repository: bool = False) -> tuple[InstalledPlugin, ...]:
        """Returns plugins in the folder structure of `packer init`.

        Looks in all folders that Packer searches. Packer ignores plugins without a checksum file. `in_repository`: only
        plugins in the repository.
        """
        if self.version < _NESTED:
            return ()
        paths = [
            path
            for folder in self._folders()
            if not in_repository or self.is_of_repository(folder)
            for path in (_below(folder) if self.version >= _ONE_FOLDER else _three_below(folder))
        ]
        return tuple(plugin for plugin in parse_installed("\n".join(paths)) if _has_checksum(plugin.path))

    def is_of_repository(self, path: str) -> bool:
        path = os.path.join(self.workdir, path)
        paths = (os.path.normpath(path), os.path.realpath(path))
        return any(is_within(each, bound) for each in paths for bound in self._bounds)

    @cached_property
    def _bounds(self) -> frozenset[str]:
        folders = dict.fromkeys(self.repository)
        return frozenset(bound for folder in folders for bound in (os.path.realpath(folder), work_tree_of(folder)))

    def _folders(self) -> list[str]:
        if self.version >= _ONE_FOLDER:
            return [self.folder()]
        path = self.environment.get("PACKER_PLUGIN_PATH", "")
        # An empty entry means the current folder.
        configured = [entry or "." for entry in path.split(os.pathsep)] if path else []
        own = [
            os.path.dirname(os.path.realpath(self.program)),
            os.path.join(_config_folder(self.environment), "plugins"),
            ".",
        ]
        used = configured if configured and self.version >= _PATH_ALONE else [*own, *configured]
        return [os.path.normpath(os.path.join(self.workdir, folder)) for folder in used]

    def _configured(self) -> Iterator[PluginFile]:
        """Yields the plugins in Packer's configuration file."""
        folder = self.environment.get("PACKER_CONFIG_DIR") or _home(self.environment)
        path = self.environment.get("PACKER_CONFIG") or os.path.join(folder, ".packerconfig")
        for program in _programs_of_config(os.path.join(self.workdir, path)):
            match = _FLAT.fullmatch(os.path.basename(program).partition(".")[0])
            path = os.path.normpath(os.path.join(self.workdir, program))
            if match and os.path.exists(path):
                yield PluginFile(kind=match[1], name=match[2], path=path)


def _programs_of_config(path: str) -> Iterator[str]:
    """Yields the programs in Packer's configuration.

    Reads JSON as Go does: keys in any case, also repeated ones, and only the first value of the file.
    """
    try:
        with open(path, encoding="utf-8") as file:
            config, _ = json.JSONDecoder(object_pairs_hook=tuple).raw_decode(file.read().lstrip())
    except (OSError, ValueError):
        # If the file exists but cannot be read, Packer reports that.
        return
    for key, programs in config if isinstance(config, tuple) else ():
        if key.casefold() in ("builders", "provisioners", "post-processors") and isinstance(programs, tuple):
            yield from (str(program) for _, program in programs)


def _config_folder(environment: Mapping[str, str]) -> str:
    if configured := environment.get("PACKER_CONFIG_DIR"):
        return os.path.join(configured, ".packer.d")
    old = os.path.join(_home(environment), ".packer.d")
    if os.path.exists(old):
        return old
    return os.path.join(environment.get("XDG_CONFIG_HOME") or os.path.join(_home(environment), ".config"), "packer")


def _home(environment: Mapping[str, str]) -> str:
    if home := environment.get("HOME"):
        return home
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/"


def _flat(folder: str) -> Iterator[PluginFile]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        match = _FLAT.fullmatch(name.removesuffix(".exe"))
        path = os.path.join(folder, name)
        if match and _CHECKSUM not in name.upper() and os.path.isfile(path):
            yield PluginFile(kind=match[1], name=match[2], path=path)


def _below(folder: str) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (os.path.join(parent, name) for name in sorted(names) if _is_plugin(name))


def _three_below(folder: str) -> Iterator[str]:
    pattern = os.path.join(glob.escape(folder), "*", "*", "*", "packer-plugin-*")
    yield from (path for path in sorted(glob.iglob(pattern, include_hidden=True)) if _is_plugin(os.path.basename(path)))


def _is_plugin(name: str) -> bool:
    """Returns whether it is a plugin for this machine's platform: machines can share a folder."""
    machine = platform.machine().lower()
    suffix = f"_{sys.platform}_{_MACHINES.get(machine, machine)}"
    return name.startswith("packer-plugin-") and name.removesuffix(".exe").endswith(suffix)


_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386", "armv7l": "arm"}
"""Go's names of CPU architectures."""


def _has_checksum(path: str) -> bool:
    try:
        with open(f"{path}{_CHECKSUM}", encoding="ascii") as file:
            return file.read().strip().lower() == sha256_of(path)
    except (OSError, ValueError):
        return False


def sha256_of(path: str) -> str:
    """Raises `OSError`."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(plugins: Sequence[InstalledPlugin | PluginFile]) -> tuple[UsedPlugin, ...]:
    """Adds the current checksum of each plugin's program. Raises `PackerError`."""
    used = []
    for plugin in plugins:
        try:
            used.append(plugin.used(sha256_of(plugin.path)))
        except OSError as error:
            raise PackerError(
                f"reading Packer's plugin {plugin.path}",
                error.strerror or str(error),
                "Make the file readable for this user, or reinstall the plugin.",
            ) from error
    return tuple(used)
