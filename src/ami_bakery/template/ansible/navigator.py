"""Reads the plays and the settings file of the `ansible-navigator` provisioner.

Fields are those of SolomonHD/packer-plugin-ansible-navigator; settings are those of ansible-navigator's documentation.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ami_bakery.errors import TemplateError
from ami_bakery.template.ansible.ansible_cfg import note_if_exists
from ami_bakery.template.ansible.jinja.holes import HOLE
from ami_bakery.template.ansible.playbook_arguments import ArgumentWord, words_of
from ami_bakery.template.component import Component, Field
from ami_bakery.template.expression.known_values import HOLE as PACKERS_HOLE
from ami_bakery.template.expression.known_values import (
    Text,
    Unknown,
    Value,
    as_text,
    is_mapping,
    is_sequence,
    is_tainted,
)
from ami_bakery.template.location import SourceLocation
from ami_bakery.template.source_tree import FileKind
from ami_bakery.template.yaml_parser import YamlMap, yaml_documents

if TYPE_CHECKING:
    from ami_bakery.template.definition import Reading

_SETTINGS = ("ansible-navigator.yml", "ansible-navigator.yaml", "ansible-navigator.json")


@dataclass(kw_only=True)
class Navigator:
    """Plays and settings of one provisioner.

    playbooks, roles  targets of plays
    words             arguments that plays and settings pass to ansible-playbook
    configs           the ansible.cfg that the settings name
    environment       variables that the settings set
    """

    playbooks: list[tuple[str, SourceLocation]] = field(default_factory=list)
    roles: list[tuple[str, SourceLocation]] = field(default_factory=list)
    words: list[ArgumentWord] = field(default_factory=list)
    configs: list[str] = field(default_factory=list)
    environment: list[tuple[str, str]] = field(default_factory=list)


def navigator_of(reading: Reading, component: Component) -> Navigator:
    """Reads the plays and settings; returns empty ones for any other provisioner."""
    made = Navigator()
    if component.type == "ansible-navigator":
        for name in ("play", "plays"):
            for play, found in _blocks(component.fields.get(name)):
                _play(reading, play, found, made)
        for block, found in _blocks(component.fields.get("navigator_config")):
            _settings(reading, block, found.location, made)
        _settings_file(reading, component, made)
    return made


def _blocks(found: Field | None) -> Iterator[tuple[Mapping[str, Value], Field]]:
    items = found.value if found and is_sequence(found.value) else (found.value,) if found else ()
    for item in items:
        if found and is_mapping(item):
            yield {str(name).lower(): value for name, value in item.items()}, found


def _play(reading: Reading, play: Mapping[str, Value], found: Field, made: Navigator) -> None:
    target = as_text(play.get("target", play.get("playbook", play.get("playbook_file"))) or "")
    location = target.location if isinstance(target, Text) else found.location
    if isinstance(target, Unknown):
        reading.collector.not_known(location, target.pattern or found.written, target)
    elif target.endswith((".yml", ".yaml")):
        made.playbooks.append((target, location))
    elif target:
        made.roles.append((target, location))
    for name in ("extra_args", "extra_arguments"):
        made.words += words_of(_field(play, name, found))
    for word in words_of(_field(play, "vars_files", found)):
        made.words += [_word("-e", found.location), ArgumentWord(**{**_parts(word), "text": f"@{word.text}"})]
    variables = play.get("extra_vars")
    for name, value in variables.items() if is_mapping(variables) else ():
        text = as_text(value)
        known = text if isinstance(text, str) else text.known.replace(PACKERS_HOLE, HOLE) or HOLE
        given = ArgumentWord(
            text=f"{name}={_quoted(known)}", location=found.location, written=found.written, tainted=is_tainted(value)
        )
        made.words += [_word("-e", found.location), given]


def _field(play: Mapping[str, Value], name: str, found: Field) -> Field | None:
    return Field(value=play[name], location=found.location, written=found.written) if name in play else None


def _parts(word: ArgumentWord) -> dict[str, Any]:
    return {
        "location": word.location,
        "written": word.written,
        "why": word.why,
        "is_list": word.is_list,
        "tainted": word.tainted,
    }


def _word(text: str, location: SourceLocation) -> ArgumentWord:
    return ArgumentWord(text=text, location=location, written=text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# --- settings


def _settings_file(reading: Reading, component: Component, made: Navigator) -> None:
    named = reading.request.environment.get("ANSIBLE_NAVIGATOR_CONFIG")
    if named:
        reading.collector.environment("ANSIBLE_NAVIGATOR_CONFIG", component.location)
    for name in (named,) if named else _SETTINGS:
        path = reading.paths.from_workdir(name)
        entry = reading.tree.entry(path, follow=True) if isinstance(path, str) else None
        if not isinstance(path, str) or entry is None or entry.kind is not FileKind.FILE:
            continue
        reading.collector.reference(path, component.location, required=False)
        try:
            documents = yaml_documents(reading.parsed(path), path)
        except TemplateError as error:
            reading.collector.unresolved(
                SourceLocation(file=path, line=1), posixpath.basename(path), f"it does not parse: {error.wrong}"
            )
            continue
        for document in documents:
            settings = document.get("ansible-navigator") if isinstance(document, YamlMap) else None
            if isinstance(settings, YamlMap):
                _settings(reading, settings, SourceLocation(file=path, line=settings.line or 1), made)


def _settings(reading: Reading, settings: Mapping[str, Any], location: SourceLocation, made: Navigator) -> None:
    """Reads settings of the file, or of the block `navigator_config`.

    Names in the block have `_` instead of `-`.
    """
    ansible = _child(settings, "ansible", "ansible-config")
    config = ansible.get("config")
    path = config.get("path") if isinstance(config, Mapping) else config
    made.configs += [str(path)] if isinstance(path, str) else []
    for entry in _listed(_child(ansible, "inventory").get("entries")):
        made.words += [_word("-i", location), _word(str(entry), location)]
    cmdline = ansible.get("cmdline")
    made.words += [_word(part, location) for part in str(cmdline).split()] if isinstance(cmdline, str) else []
    environment = _child(settings, "execution-environment")
    for mount in _listed(environment.get("volume-mounts", environment.get("volume_mounts"))):
        source = mount.get("src") if isinstance(mount, Mapping) else None
        resolved = reading.paths.from_workdir(str(source)) if source else None
        if isinstance(resolved, str):
            note_if_exists(reading, resolved, location)
    variables = _child(environment, "environment-variables")
    for name, value in _child(variables, "set").items():
        made.environment.append((str(name), str(value)))
    for name in _listed(variables.get("pass")):
        if isinstance(name, str):
            reading.collector.environment(name, location)
    for output in (_child(settings, "logging").get("file"), _child(settings, "playbook-artifact").get("save-as")):
        resolved = reading.paths.from_workdir(output) if isinstance(output, str) else None
        if isinstance(resolved, str):
            reading.collector.output(resolved, location)


def _child(settings: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    for name in names:
        for spelling in (name, name.replace("-", "_")):
            found = settings.get(spelling)
            found = found[0] if isinstance(found, tuple) and len(found) == 1 else found
            if isinstance(found, Mapping):
                return found
    return {}


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
