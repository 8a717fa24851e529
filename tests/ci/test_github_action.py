"""The GitHub Action, run step by step with Packer and the embedded EC2."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from tests.ci.composite import Job, StepFailed
from tests.ci_logs import github_commands
from tests.harness import TOML, Harness, json_template

ACTION = Path(__file__).parent.parent.parent
AMI = re.compile(r"ami-[0-9a-f]{17}")


@pytest.fixture
def job(app: Harness) -> Job:
    """A job of a repository with one image; ami-bakery is installed on the runner."""
    return Job(
        workspace=app.folder,
        folder=app.make_folder(app.folder.parent / "runner-temp"),
        environment=app.environment,
    )


def on_path(**inputs: str) -> dict[str, str]:
    return {"install": "false", **inputs}


def test_a_bake_sets_outputs_and_writes_a_summary(job: Job, app: Harness) -> None:
    baked = job.use(ACTION, on_path())
    assert AMI.fullmatch(baked["ami-id"])
    assert json.loads(baked["amis"]) == {"app": {"us-east-1": baked["ami-id"]}}
    assert baked["outcome"] == "baked"
    assert job.use(ACTION, on_path()) == {**baked, "outcome": "reused"}
    assert app.packer_runs == 1
    assert f"| **baked** | app | `{app.run('digest').answer[:12]}` | `{baked['ami-id']}` us-east-1 |" in job.summary


def test_the_action_installs_the_program_for_itself_and_later_steps(app: Harness, job: Job) -> None:
    job.environment |= {"PATH": f"{app.folder.parent}/bin:/usr/local/bin:/usr/bin:/bin"}
    assert shutil.which("ami-bakery", path=job.environment["PATH"]) is None
    # The embedded EC2's proxy passes on other hosts, such as Python's package index.
    job.environment |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    job.used = {"actions/setup-python": lambda given: job.path.append(f"{sys.base_prefix}/bin")}
    assert job.use(ACTION, {"command": "plan"})["outcome"] == "bake"
    installed = shutil.which("ami-bakery", path=":".join(job.path))
    assert installed == str(job.folder / "ami-bakery/bin/ami-bakery")


def test_the_action_imports_no_python_module_from_the_workspace(app: Harness, job: Job) -> None:
    """A pull request could add one."""
    marker = app.folder.parent / "imported"
    for module in ("ensurepip", "venv", "pip", "logging", "subprocess", "shlex"):
        code = f"open({str(marker)!r}, 'a').write('{module} ')\n"
        app.write(f"{module}.py", code)
        started = ["-m", module] if module == "pip" else ["-c", f"import {module}"]
        subprocess.run([sys.executable, *started], cwd=app.folder, check=True)
        assert marker.read_text().split()[-1] == module, "plain Python imports it"
    marker.unlink()
    job.environment |= {"PATH": "/usr/local/bin:/usr/bin:/bin", "PIP_NO_INDEX": "1"}
    job.used = {"actions/setup-python": lambda given: job.path.append(f"{sys.base_prefix}/bin")}
    with suppress(StepFailed):
        job.use(ACTION, {"command": "plan"})
    assert not marker.exists(), (marker.read_text(), job.log)


def test_an_output_file_in_args_is_written_in_addition_to_the_outputs(job: Job, app: Harness) -> None:
    baked = job.use(ACTION, on_path(args="--output amis.auto.tfvars.json"))
    assert json.loads((app.folder / "amis.auto.tfvars.json").read_text())["amis"] == json.loads(baked["amis"])


def test_a_plan_reports_the_outcome_and_bakes_nothing(job: Job, app: Harness) -> None:
    assert job.use(ACTION, on_path(command="plan")) == {"ami-id": "", "amis": '{"app": {}}', "outcome": "bake"}
    assert "### ami-bakery plan: 1 bake" in job.summary
    assert app.packer_runs == 0


def test_a_check_writes_annotations_and_fails_only_if_strict(job: Job, app: Harness) -> None:
    app.write("ami/deploy.key", "x")
    assert job.use(ACTION, on_path(command="check"))["outcome"] == "warning"
    with pytest.raises(StepFailed) as failed:
        job.use(ACTION, on_path(command="check", args="--strict", ci="off"))
    assert failed.value.outputs["outcome"] == "warning"
    (command,) = github_commands(job.log)
    assert (command.name, command.properties["file"]) == ("warning", "bakery.toml")


def test_a_failed_bake_fails_the_step_and_sets_the_outcome(job: Job, app: Harness) -> None:
    app.write("ami/app.json", json_template(instance_type=""))
    with pytest.raises(StepFailed) as failed:
        job.use(ACTION, on_path())
    assert failed.value.outputs == {"ami-id": "", "amis": '{"app": {}}', "outcome": "failed"}
    assert "### ami-bakery bake: 1 failed" in job.summary
    assert [command.name for command in github_commands(job.log)] == ["error"]


def test_inputs_are_passed_to_the_program_and_packer(job: Job, app: Harness) -> None:
    table = TOML.partition("[images.app]\n")[2]
    app.write("images/bakery.toml", f"version = 1\n[images.app]\n{table}[images.db]\n{table}")
    shutil.copytree(app.folder / "ami", app.folder / "images/ami")
    inputs = {
        "working-directory": "images",
        "config": "bakery.toml",
        "images": "app\n  db\n",
        "region": "us-west-2 eu-west-1",
        "args": "--jobs 1 -- -var 'size=t3.small'",
    }
    amis = json.loads(job.use(ACTION, on_path(command="bake", **inputs))["amis"])
    assert {image: sorted(ids) for image, ids in amis.items()} == {
        "app": ["eu-west-1", "us-west-2"],
        "db": ["eu-west-1", "us-west-2"],
    }
    assert "ami-bakery bake app db --packer packer" in job.log
    assert job.use(ACTION, on_path(command="plan", **inputs))["outcome"] == "reuse"
    assert job.use(ACTION, on_path(command="plan", **inputs | {"args": ""}))["outcome"] == "bake"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"command": "images"}, "the input `command` is 'images'"),
        ({"command": "bake; id"}, "the input `command` is 'bake; id'"),
        ({"images": "--packer=/tmp/evil"}, "starts with a dash"),
        ({"config": "-v"}, "starts with a dash"),
        ({"args": "it's"}, "the input `args` cannot be read"),
    ],
)
def test_invalid_inputs_are_rejected(job: Job, app: Harness, given: dict[str, str], message: str) -> None:
    with pytest.raises(StepFailed):
        job.use(ACTION, on_path(**given))
    (command,) = github_commands(job.log)
    assert message in command.data
    assert app.calls() == {}


def test_shell_syntax_in_an_input_is_not_executed(job: Job, app: Harness) -> None:
    words = "$(touch {0}) `touch {0}` ; touch {0} #".format(job.folder / "owned")
    with pytest.raises(StepFailed):
        job.use(ACTION, on_path(images=words))
    assert not (job.folder / "owned").exists()


def test_packer_is_installed_if_a_version_is_given(job: Job, app: Harness) -> None:
    versions = []
    job.used = {"hashicorp/setup-packer": lambda given: versions.append(given["version"])}
    job.use(ACTION, on_path(command="plan", **{"packer-version": "1.14.1"}))
    assert versions == ["1.14.1"]


def test_other_actions_are_pinned_to_a_commit() -> None:
    steps = yaml.safe_load((ACTION / "action.yml").read_text())["runs"]["steps"]
    used = [step["uses"] for step in steps if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name) for name in used)


@pytest.mark.parametrize(
    "inputs",
    [
        {"args": "-- -var 'size=x\n::error::forged'"},
        {"args": "'--output\n::add-mask::x'"},
        {"args": "'\r::error::forged'"},
        {"args": "-- -var 'size=##[error]forged'"},
        {"config": "x\n  ::set-env name=PATH::forged"},
        {"packer": "packer\r\n::error::forged"},
        {"command": "x\n::error::forged"},
    ],
)
def test_no_input_can_forge_a_workflow_command(job: Job, app: Harness, inputs: dict[str, str]) -> None:
    with suppress(StepFailed):
        job.use(ACTION, on_path(**inputs))
    assert {command.properties.get("title") for command in github_commands(job.log)} <= {
        "ami-bakery",
        "image app",
    }


def test_the_log_shows_no_value_of_a_variable(job: Job, app: Harness) -> None:
    with suppress(StepFailed):
        job.use(
            ACTION, on_path(args="--no-such -- -var 'size=hunter2-a' --var=size=hunter2-b -var 'size=x\nhunter2-c'")
        )
    assert "hunter2" not in job.log
    assert "-var 'size=***'" in job.log
