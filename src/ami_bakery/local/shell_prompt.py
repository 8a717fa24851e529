"""Starts the user's shell with a prompt that shows the embedded EC2."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

PROMPT = "(ami-bakery local) "


def with_prompt(shell: str, environment: Mapping[str, str], folder: Path) -> tuple[list[str], dict[str, str]]:
    """Returns the command and its environment. Start-up files in `folder` read the user's files first.

    An unknown shell is started unchanged.
    """
    changed = dict(environment)
    home = environment.get("HOME", "")
    match Path(shell).name:
        case "bash":
            own = _source_line(f"{home}/.bashrc")
            file = _write(folder / "bashrc", f'{own}PS1="{PROMPT}$PS1"\n')
            return [shell, "--rcfile", file], changed
        case "sh" | "dash" | "ash" | "ksh" | "mksh":
            own = _source_line(environment.get("ENV", ""))
            changed["ENV"] = _write(folder / "shrc", f'{own}PS1="{PROMPT}${{PS1:-$ }}"\n')
            return [shell], changed
        case "zsh":
            own_folder = environment.get("ZDOTDIR") or home
            changed["ZDOTDIR"] = str(folder)
            _write(folder / ".zshenv", _source_line(f"{own_folder}/.zshenv"))
            restored = f"ZDOTDIR={shlex.quote(own_folder)}\n{_source_line(f'{own_folder}/.zshrc')}"
            _write(folder / ".zshrc", f'{restored}PROMPT="{PROMPT}$PROMPT"\n')
            return [shell], changed
        case "fish":
            prompt = "functions --copy fish_prompt _own_prompt; function fish_prompt; "
            return [shell, "--init-command", f"{prompt}echo -n '{PROMPT}'; _own_prompt; end"], changed
    return [shell], changed


def _source_line(path: str) -> str:
    return f"[ ! -r {shlex.quote(path)} ] || . {shlex.quote(path)}\n" if path else ""


def _write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)
