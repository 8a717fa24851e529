"""Parses logs as the runners of CI systems do, after their source code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LogCommand:
    """A command in a log: name, properties and data."""

    name: str
    properties: dict[str, str]
    data: str


_GITHUB_DATA = (("%0D", "\r"), ("%0A", "\n"), ("%25", "%"))
_GITHUB_PROPERTY = (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%"))
_GITHUB_NAMES = frozenset({"add-mask", "add-path", "debug", "echo", "error", "group", "notice", "set-env", "warning"})
_AZURE = (("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]"), ("%AZP25", "%"))


def github_commands(log: str) -> list[LogCommand]:
    """Parses `::name key=value,...::data` after blanks, and `##[name key=value;...]data`.

    Source: actions/runner, ActionCommand.cs.
    """
    commands = []
    for line in log.splitlines():
        text = line.lstrip()
        head, colons, data = text[2:].partition("::")
        name, _, listed = head.partition(" ")
        if text.startswith("::") and colons and name in _GITHUB_NAMES:
            pairs = [pair.split("=", 1) for pair in listed.strip().split(",") if pair]
            properties = {key: _unescape(value, _GITHUB_PROPERTY) for key, value in pairs}
            commands.append(LogCommand(name=name, properties=properties, data=_unescape(data, _GITHUB_DATA)))
        elif "##[" in text and text.partition("##[")[2].partition("]")[0].split(" ")[0] in _GITHUB_NAMES:
            commands.append(LogCommand(name=text.partition("##[")[2], properties={}, data=""))
    return commands


def azure_commands(log: str) -> list[LogCommand]:
    """Parses `##vso[area.event key=value;...]data` anywhere in a line.

    Source: microsoft/azure-pipelines-agent, Command.cs.
    """
    commands = []
    for line in log.splitlines():
        head, bracket, data = line.partition("##vso[")[2].partition("]")
        if bracket:
            name, _, listed = head.partition(" ")
            pairs = [pair.split("=", 1) for pair in listed.split(";") if pair]
            properties = {key: _unescape(value, _AZURE) for key, value in pairs}
            commands.append(LogCommand(name=name, properties=properties, data=_unescape(data, _AZURE)))
    return commands


def _unescape(text: str, escapes: tuple[tuple[str, str], ...]) -> str:
    for escape, character in escapes:
        text = text.replace(escape, character)
    return text
