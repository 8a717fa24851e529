"""Runs the commands of the CI examples, each in the shell that its CI uses."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ami_bakery.local import LocalSettings
from tests.ci.composite import Job
from tests.ci_logs import azure_commands
from tests.documents import ROOT
from tests.harness import Harness

EXAMPLES = ROOT / "examples/ci"


def text_of(name: str) -> str:
    """Returns an example, with the account in its role ARNs replaced by that of the embedded EC2."""
    return (EXAMPLES / name).read_text().replace("123456789012", LocalSettings().accounts[0].account_id)


@dataclass
class Shell:
    """Runs commands in the repository."""

    harness: Harness

    def run(self, script: str, *shell: str, given: Mapping[str, str] | None = None) -> str:
        """Runs a script and returns its output. Raises if it fails, as the CI's job would."""
        done = subprocess.run(
            [*shell, script],
            cwd=self.harness.folder,
            env={**self.harness.environment, **(given or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout


def filled(pattern: str, values: Mapping[str, str], text: str) -> str:
    """Replaces each match by the value whose name is the match's first group."""
    return re.sub(pattern, lambda match: values[match[1]], text)


def github(shell: Shell) -> None:
    """Runs a push to main: the steps of our action, without those of other actions."""
    workflow = yaml.safe_load(text_of("github.yml"))
    outputs: dict[str, str] = {}
    for name, job in workflow["jobs"].items():
        if job.get("if") == "github.event_name == 'pull_request'":
            continue
        folder = Path(tempfile.mkdtemp(prefix=f"runner-{name}-", dir=shell.harness.folder.parent))
        runner = Job(workspace=shell.harness.folder, folder=folder, environment=shell.harness.environment)
        runner.used = {"hashicorp/setup-packer": lambda given: None}
        for step in job["steps"]:
            if step.get("uses", "").startswith("your-org/ami-bakery@"):
                outputs |= runner.use(ROOT, {"install": "false", **step["with"]})
            elif "run" in step:
                given = {
                    variable: filled(r"\$\{\{ needs\.bake\.outputs\.([\w-]+) \}\}", outputs, value)
                    for variable, value in step.get("env", {}).items()
                }
                shell.run(step["run"], "bash", "-e", "-c", given=given)


def circleci(shell: Shell) -> None:
    """Runs the jobs in order, each with its own `$BASH_ENV`, and a new shell for each step."""
    config = yaml.safe_load(text_of("circleci.yml"))
    for name, job in config["jobs"].items():
        _, bash_env = tempfile.mkstemp(prefix=f"bash-env-{name}-", dir=shell.harness.folder.parent)
        given = {"BASH_ENV": bash_env, "CIRCLE_OIDC_TOKEN_V2": "a-token", "CIRCLE_BUILD_NUM": "7"}
        for step in _circleci_steps(config, job["steps"]):
            shell.run(step, "bash", "-eo", "pipefail", "-c", given=given)


def _circleci_steps(config: Mapping[str, Any], steps: list[Any]) -> list[str]:
    """Returns the scripts of the `run` steps, with the file's commands expanded."""
    texts = []
    for step in steps:
        (name, given), *_ = step.items() if isinstance(step, dict) else [(step, {})]
        if name == "run":
            texts.append(given if isinstance(given, str) else given["command"])
        elif name in config["commands"]:
            for text in _circleci_steps(config, config["commands"][name]["steps"]):
                texts.append(filled(r"<< parameters\.(\w+) >>", given, text))
        else:
            assert name in ("checkout", "persist_to_workspace", "attach_workspace"), name
    return texts


def buildkite(shell: Shell) -> None:
    """Runs a build of main. The agent replaces `$$` at the upload, and runs a step's commands in one shell."""
    pipeline = yaml.safe_load(text_of("buildkite.yml"))
    for step in pipeline["steps"]:
        if step["if"] == 'build.branch == "main"':
            text = "\n".join(step["commands"])
            assert not re.search(r"(?<!\$)\$(?!\$)", text)
            shell.run(text.replace("$$", "$"), "bash", "-e", "-c")


def azure(shell: Shell) -> None:
    """Runs a build of main. Later stages see `isOutput` variables under the step's name."""
    pipeline = yaml.safe_load(text_of("azure.yml"))
    outputs: dict[str, str] = {}
    for stage in pipeline["stages"]:
        for job in stage["jobs"]:
            variables = {
                name: filled(r"\$\[ (.+) \]", outputs, text) for name, text in job.get("variables", {}).items()
            }
            for step in (step for step in job["steps"] if "script" in step):
                script = filled(r"\$\((AMI_ID)\)", variables, step["script"])
                for command in azure_commands(shell.run(script, "bash", "--noprofile", "--norc", "-c")):
                    assert (command.name, command.properties["isOutput"]) == ("task.setvariable", "true")
                    name = f"{step['name']}.{command.properties['variable']}"
                    outputs[f"stageDependencies.{stage['stage']}.{job['job']}.outputs['{name}']"] = command.data


def jenkins(shell: Shell) -> None:
    """Runs all `sh` steps in order, with Jenkins's shell options."""
    for text in re.findall(r"^\s*sh '([^']*)'$", text_of("Jenkinsfile"), re.MULTILINE):
        shell.run(text, "sh", "-xe", "-c")
