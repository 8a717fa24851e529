"""Runs a composite GitHub Action as documented, and rejects features that it does not model.

https://docs.github.com/actions/reference/workflows-and-actions/metadata-syntax, .../workflow-commands, .../contexts
"""

from __future__ import annotations

import re
import subprocess
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_OPERAND = re.compile(r"(?:inputs|steps)(?:\.[\w-]+)+")
_CONDITION = re.compile(r"(?P<left>[\w.-]+) (?P<operator>==|!=) '(?P<right>[^']*)'")
_ACTION_KEYS = {"name", "description", "author", "branding", "inputs", "outputs", "runs"}
_STEP_KEYS = {"name", "id", "if", "uses", "with", "shell", "run", "env", "working-directory"}
_BASH = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"]
"""The command of `shell: bash`."""


@dataclass
class Job:
    """One job on one runner; later steps see the files and PATH of earlier steps. `log` is the job's log.

    used  replacements for other actions, by name without version, which may write to `path`
    """

    workspace: Path
    folder: Path
    environment: dict[str, str]
    used: Mapping[str, Callable[[Mapping[str, str]], None]] = field(default_factory=dict)
    path: list[str] = field(default_factory=list)
    log: str = ""
    summary: str = ""

    def use(self, action: Path, given: Mapping[str, str]) -> dict[str, str]:
        """Runs an action, returns its outputs, and appends to `log` and `summary`. Raises `StepFailed`."""
        document = yaml.safe_load((action / "action.yml").read_text())
        assert set(document) <= _ACTION_KEYS
        assert document["runs"]["using"] == "composite"
        assert set(given) <= set(document["inputs"]), "GitHub only warns about undeclared inputs"
        inputs = {name: given.get(name, declared.get("default", "")) for name, declared in document["inputs"].items()}
        steps: dict[str, dict[str, str]] = {}
        failed = False
        for step in document["runs"]["steps"]:
            if failed or not _holds(step.get("if"), inputs, steps):
                continue
            outputs, status = self._step(action, step, inputs, steps)
            steps[step.get("id", str(uuid.uuid4()))] = outputs
            failed = status != 0
        outputs = {name: _filled(out["value"], inputs, steps) for name, out in document["outputs"].items()}
        if failed:
            raise StepFailed(outputs)
        return outputs

    def _step(
        self, action: Path, step: Mapping[str, Any], inputs: Mapping[str, str], steps: Mapping[str, Mapping[str, str]]
    ) -> tuple[dict[str, str], int]:
        assert set(step) <= _STEP_KEYS
        if "uses" in step:
            self.used[step["uses"].partition("@")[0]](
                {key: _filled(value, inputs, steps) for key, value in step["with"].items()}
            )
            return {}, 0
        assert step["shell"] == "bash"
        script = self.folder / f"{uuid.uuid4()}.sh"
        script.write_text(_filled(step["run"], inputs, steps))
        files = {name: self.folder / f"{name}-{uuid.uuid4()}" for name in ("OUTPUT", "PATH", "STEP_SUMMARY", "ENV")}
        for file in files.values():
            file.touch()
        done = subprocess.run(
            [*_BASH, str(script)],
            cwd=self.workspace / _filled(step.get("working-directory", "."), inputs, steps),
            env={
                **self.environment,
                **{name: _filled(value, inputs, steps) for name, value in step.get("env", {}).items()},
                **{f"GITHUB_{name}": str(file) for name, file in files.items()},
                "PATH": ":".join((*reversed(self.path), self.environment["PATH"])),
                "CI": "true",
                "GITHUB_ACTIONS": "true",
                "GITHUB_ACTION_PATH": str(action),
                "GITHUB_WORKSPACE": str(self.workspace),
                "RUNNER_TEMP": str(self.folder),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        self.log += done.stdout
        self.summary += files["STEP_SUMMARY"].read_text()
        self.path += files["PATH"].read_text().splitlines()
        assert files["ENV"].read_text() == "", "not modelled"
        return _assignments(files["OUTPUT"].read_text()), done.returncode


class StepFailed(Exception):
    """A step failed. The action's outputs are still set, for `continue-on-error`."""

    def __init__(self, outputs: Mapping[str, str]) -> None:
        super().__init__(outputs)
        self.outputs = outputs


def _assignments(text: str) -> dict[str, str]:
    """Parses `name=value` lines; the form with a delimiter, for multi-line values, is not modelled."""
    lines = text.splitlines()
    assert all(re.match(r"[A-Za-z_][\w-]*=", line) for line in lines), text
    return dict(line.split("=", 1) for line in lines)


def _holds(condition: str | None, inputs: Mapping[str, str], steps: Mapping[str, Mapping[str, str]]) -> bool:
    """Evaluates a step's `if`, an expression without braces. Comparisons of strings ignore case."""
    if condition is None:
        return True
    found = _CONDITION.fullmatch(condition)
    assert found, f"not modelled: if: {condition}"
    equal = _looked_up(found["left"], inputs, steps).lower() == found["right"].lower()
    return equal == (found["operator"] == "==")


def _filled(text: str, inputs: Mapping[str, str], steps: Mapping[str, Mapping[str, str]]) -> str:
    return _EXPRESSION.sub(lambda match: _looked_up(match[1], inputs, steps), text)


def _looked_up(operand: str, inputs: Mapping[str, str], steps: Mapping[str, Mapping[str, str]]) -> str:
    """Returns the value of an operand. Outputs of a skipped step are empty, as in GitHub."""
    assert _OPERAND.fullmatch(operand), f"not modelled: {operand}"
    match operand.split("."):
        case ["inputs", name]:
            return inputs[name]
        case ["steps", step, "outputs", name]:
            return steps.get(step, {}).get(name, "")
    raise AssertionError(f"not modelled: {operand}")
