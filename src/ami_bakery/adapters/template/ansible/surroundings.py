"""How Ansible is set up: ansible.cfg, its environment, the provisioner's settings and extra arguments."""

from __future__ import annotations

import configparser
import json
import posixpath
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ami_bakery.adapters.template.references import local_path
from ami_bakery.adapters.template.yaml_syntax import YamlMap, yaml_documents
from ami_bakery.core.expression.values import Unknown
from ami_bakery.core.place import Place
from ami_bakery.errors import TemplateError
from ami_bakery.ports import FileKind

if TYPE_CHECKING:
    from ami_bakery.adapters.template.component import Component
    from ami_bakery.adapters.template.definition import Reading

_PLUGINS = re.compile(r"(?:\w+_plugins|library|module_utils)\Z")
_CREDENTIALS = frozenset({"vault_password_file", "private_key_file", "vault_identity_list"})


@dataclass(kw_only=True)
class Surroundings:
    """
    roles, collections  folders in which roles and collections are looked for, relative to the root
    installed           roles and collections that ansible-galaxy fetches: they are pinned by the file that lists them
    variables           extra variables, and files of them
    """

    roles: list[str] = field(default_factory=list)
    collections: list[str] = field(default_factory=list)
    installed: set[str] = field(default_factory=set)
    variables: dict[str, Any] = field(default_factory=dict)
    variable_files: list[str] = field(default_factory=list)


def surroundings_of(reading: Reading, component: Component) -> Surroundings:
    made = Surroundings()
    environment = dict(reading.request.environment) | _own_environment(component)
    _read_config(reading, component.place, environment, made)
    for name, folders in (("ANSIBLE_ROLES_PATH", made.roles), ("ANSIBLE_COLLECTIONS_PATH", made.collections)):
        folders.extend(_folders(reading, environment.get(name, ""), reading.locations.workdir))
    folders = _folders(reading, environment.get("ANSIBLE_COLLECTIONS_PATHS", ""), reading.locations.workdir)
    made.collections.extend(folders)
    for name, listed in (("roles_path", made.roles), ("collections_path", made.collections)):
        for text, _, _ in component.texts(name):
            path = local_path(reading, text)
            if isinstance(path, str):
                listed.insert(0, path)
    for text, place, _ in component.texts("galaxy_file"):
        galaxy = local_path(reading, text) if text else None
        if isinstance(galaxy, str):
            made.installed |= _requirements(reading, galaxy, place)
    _arguments(reading, component, made)
    return made


def _own_environment(component: Component) -> dict[str, str]:
    own = {}
    for text, _, _ in component.list_texts("ansible_env_vars"):
        name, sign, value = str(text).partition("=") if isinstance(text, str) else ("", "", "")
        if sign:
            own[name.strip()] = value.strip("'\"")
    return own


def _folders(reading: Reading, paths: str, folder: str) -> list[str]:
    """A `PATH`-like list; what lies in the home folder or in the system is Ansible's installation, no input."""
    found = []
    for path in paths.split(":"):
        if not path or path.startswith("~"):
            continue
        resolved = reading.locations.resolve(path, folder)
        if isinstance(resolved, str):
            found.append(resolved)
    return found


# --- ansible.cfg


def _read_config(reading: Reading, place: Place, environment: Mapping[str, str], made: Surroundings) -> None:
    named = environment.get("ANSIBLE_CONFIG")
    if named:
        reading.ledger.environment("ANSIBLE_CONFIG", place)
    path = reading.locations.resolve(named or "ansible.cfg", reading.locations.workdir)
    if not isinstance(path, str):
        return
    entry = reading.tree.entry(path, follow=True)
    if entry and entry.kind is FileKind.FOLDER:
        path = posixpath.join(path, "ansible.cfg")
        entry = reading.tree.entry(path, follow=True)
    if entry is None or entry.kind is not FileKind.FILE:
        return
    reading.ledger.reference(path, place, required=False)
    parser = configparser.RawConfigParser(strict=False, inline_comment_prefixes=(";",))
    try:
        parser.read_string(reading.content(path).decode("utf-8", "replace"))
    except configparser.Error as error:
        reading.ledger.unresolved(Place(file=path, line=1), path, f"it does not parse: {error.message}")
        return
    defaults = dict(parser["defaults"]) if parser.has_section("defaults") else {}
    _apply_config(reading, path, defaults, made)


def _apply_config(reading: Reading, path: str, defaults: Mapping[str, str], made: Surroundings) -> None:
    folder, place = posixpath.dirname(path) or ".", Place(file=path, line=1)
    for name, value in defaults.items():
        value = value.replace("{{CWD}}", posixpath.join("/", reading.locations.workdir))
        found = _folders(reading, value, folder)
        if name == "roles_path":
            made.roles.extend(found)
        elif name in ("collections_path", "collections_paths"):
            made.collections.extend(found)
        elif name in _CREDENTIALS:
            for credential in found:
                reading.ledger.credential(credential, place)
        elif _PLUGINS.fullmatch(name):
            for plugins in found:
                reference_if_here(reading, plugins, place)


def reference_if_here(reading: Reading, path: str, place: Place) -> bool:
    """A file or folder that Ansible takes where it finds it; what lies outside the root counts where it is named."""
    if reading.tree.entry(path, follow=True) is None:
        return False
    reading.ledger.reference(path, place, required=False)
    return True


# --- requirements


def _requirements(reading: Reading, path: str, place: Place) -> set[str]:
    """The names that a requirements file fetches; what it takes from a folder here is an input."""
    if reading.tree.entry(path, follow=True) is None:
        return set()  # a missing galaxy_file is said as a missing input
    try:
        documents = yaml_documents(reading.content(path), path)
    except TemplateError as error:
        reading.ledger.unresolved(place, path, f"it does not parse: {error.wrong}")
        return set()
    names: set[str] = set()
    for document in documents:
        if isinstance(document, list):
            names |= _listed(reading, path, document)
        elif isinstance(document, YamlMap):
            for part in ("roles", "collections"):
                names |= _listed(reading, path, document.get(part) or [])
    return names


def _listed(reading: Reading, path: str, entries: Any) -> set[str]:
    names = set()
    for entry in entries if isinstance(entries, list) else []:
        told = entry if isinstance(entry, YamlMap) else {"name": entry}
        source = str(told.get("src") or told.get("source") or told.get("role") or told.get("name") or "")
        name = str(told.get("name") or re.sub(r"(\.git|\.tar\.gz)?\Z", "", source.rsplit("/", 1)[-1]).split(",")[0])
        local = reading.locations.resolve(source.removeprefix("file://"), posixpath.dirname(path) or ".")
        line = entry.line if isinstance(entry, YamlMap) else getattr(entry, "line", 1)
        here = source.startswith((".", "file://")) or told.get("type") in ("dir", "file", "subdirs")
        if here and isinstance(local, str) and reference_if_here(reading, local, Place(file=path, line=line)):
            continue
        if "include" in told:
            included = reading.locations.resolve(str(told["include"]), posixpath.dirname(path) or ".")
            if isinstance(included, str) and reference_if_here(reading, included, Place(file=path, line=line)):
                names |= _requirements(reading, included, Place(file=path, line=line))
        names.add(name)
    return names


# --- extra arguments


def _arguments(reading: Reading, component: Component, made: Surroundings) -> None:
    words: list[tuple[str, Place]] = []
    for text, place, written in component.list_texts("extra_arguments"):
        if isinstance(text, Unknown):
            if "@" in text.pattern:
                reading.ledger.not_known(place, text.pattern or written, text)
            continue
        words.extend((word, place) for word in _words(text))
    waiting = ""
    for word, place in words:
        option, value = (waiting, word) if waiting else _option(word)
        waiting = ""
        if option and value is None:
            waiting = option
        elif option and value is not None:
            _argument(reading, option, value, place, made)


def _words(text: str) -> list[str]:
    """One argument as Packer hands it on; some write an option and its value as one."""
    if text.startswith("-") and " " in text and "=" not in text.split(" ", 1)[0]:
        try:
            return shlex.split(text)
        except ValueError:
            return text.split()
    return [text]


_OPTIONS = {
    "-e": "vars",
    "--extra-vars": "vars",
    "--vault-password-file": "credential",
    "--vault-pass-file": "credential",
    "--vault-id": "vault-id",
    "--private-key": "credential",
    "--key-file": "credential",
    "-i": "input",
    "--inventory": "input",
    "--inventory-file": "input",
    "-M": "input",
    "--module-path": "input",
    "-l": "limit",
    "--limit": "limit",
}


def _option(word: str) -> tuple[str, str | None]:
    if word.startswith("--") and "=" in word:
        name, _, value = word.partition("=")
        return _OPTIONS.get(name, ""), value
    if word in _OPTIONS:
        return _OPTIONS[word], None
    if word[:2] in _OPTIONS and not word.startswith("--"):
        return _OPTIONS[word[:2]], word[2:]
    return "", None


def _argument(reading: Reading, option: str, value: str, place: Place, made: Surroundings) -> None:
    value = value.strip("'\"")
    if option == "vault-id":
        option, value = "credential", value.rpartition("@")[2]
    if option == "vars" and not value.startswith("@"):
        made.variables.update(_extra_variables(value))
        return
    if option == "limit" and not value.startswith("@"):
        return
    path = reading.locations.from_workdir(value.removeprefix("@"))
    if not isinstance(path, str) or value in ("prompt", "") or (option == "input" and "," in value):
        return
    if option == "credential":
        reading.ledger.credential(path, place)
        return
    reading.ledger.reference(path, place)
    if option == "vars":
        made.variable_files.append(path)


def _extra_variables(text: str) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        try:
            told = json.loads(text)
        except ValueError:
            return {}
        return told if isinstance(told, dict) else {}
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    return dict(word.split("=", 1) for word in words if "=" in word)
