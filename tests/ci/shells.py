"""The commands that an example gives to a CI, and the shell in which that CI runs them."""

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
from tests.harness import Kitchen

EXAMPLES = ROOT / "examples/ci"


def text_of(name: str) -> str:
    """An example, with the embedded EC2's account in place of the one in its roles."""
    return (EXAMPLES / name).read_text().replace("123456789012", LocalSettings().accounts[0].account_id)


@dataclass
class Shell:
    """Runs commands in the repository."""

    kitchen: Kitchen

    def run(self, script: str, *shell: str, given: Mapping[str, str] | None = None) -> str:
        """Raises where the script fails, as the CI would fail the job."""
        done = subprocess.run(
            [*shell, script],
            cwd=self.kitchen.folder,
            env={**self.kitchen.environment, **(given or {})},
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
    """`text` with each match replaced by the value that its group names."""
    return re.sub(pattern, lambda match: values[match[1]], text)


def github(shell: Shell) -> None:
    """A push to main: our action's steps as GitHub's runner takes them; those of other actions are left out."""
    workflow = yaml.safe_load(text_of("github.yml"))
    outputs: dict[str, str] = {}
    for name, job in workflow["jobs"].items():
        if job.get("if") == "github.event_name == 'pull_request'":
            continue
        folder = Path(tempfile.mkdtemp(prefix=f"runner-{name}-", dir=shell.kitchen.folder.parent))
        runner = Job(workspace=shell.kitchen.folder, folder=folder, environment=shell.kitchen.environment)
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
    """The jobs in order. Each has a `$BASH_ENV` of its own, and a shell for each step."""
    config = yaml.safe_load(text_of("circleci.yml"))
    for name, job in config["jobs"].items():
        _, bash_env = tempfile.mkstemp(prefix=f"bash-env-{name}-", dir=shell.kitchen.folder.parent)
        given = {"BASH_ENV": bash_env, "CIRCLE_OIDC_TOKEN_V2": "a-token", "CIRCLE_BUILD_NUM": "7"}
        for step in _circleci_steps(config, job["steps"]):
            shell.run(step, "bash", "-eo", "pipefail", "-c", given=given)


def _circleci_steps(config: Mapping[str, Any], steps: list[Any]) -> list[str]:
    """The texts of the `run` steps; commands of the file are unfolded, with their parameters."""
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
    """A build of main. The agent undoes `$$` when it uploads the pipeline, and runs a step's commands in one shell."""
    pipeline = yaml.safe_load(text_of("buildkite.yml"))
    for step in pipeline["steps"]:
        if step["if"] == 'build.branch == "main"':
            text = "\n".join(step["commands"])
            assert not re.search(r"(?<!\$)\$(?!\$)", text)
            shell.run(text.replace("$$", "$"), "bash", "-e", "-c")


def azure(shell: Shell) -> None:
    """A build of main. `isOutput` variables reach the stages behind under the step's name."""
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
    """Every `sh` step in order, as Jenkins runs them."""
    for text in re.findall(r"^\s*sh '([^']*)'$", text_of("Jenkinsfile"), re.MULTILINE):
        shell.run(text, "sh", "-xe", "-c")
