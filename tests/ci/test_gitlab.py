"""GitLab's component, run by gitlab-ci-local with Packer and the embedded EC2."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.ci.conftest import applied
from tests.documents import ROOT
from tests.harness import Harness

COMPONENT = "$CI_SERVER_FQDN/your-group/ami-bakery/ami-bakery@1"


class Gitlab:
    """A GitLab project whose pipelines run on this machine."""

    def __init__(self, harness: Harness, runners: Path) -> None:
        self.harness = harness
        self._runners = runners
        harness.environment["PATH"] = f"{runners}/bin:{harness.environment['PATH']}"
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("remote", "add", "origin", "git@gitlab.com:group/project.git")
        self.git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")

    def git(self, *words: str) -> None:
        command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *words]
        subprocess.run(command, cwd=self.harness.folder, check=True, timeout=300)

    def configure(self, text: str) -> None:
        """Commits a `.gitlab-ci.yml` that includes the component."""
        assert COMPONENT in text
        shutil.copytree(ROOT / "templates", self.harness.folder / "templates", dirs_exist_ok=True)
        text = text.replace(f"component: {COMPONENT}", "local: templates/ami-bakery.yml")
        self.harness.write(".gitlab-ci.yml", text)
        self.commit()

    def commit(self) -> None:
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", "x")

    def pipeline(self, *options: str) -> str:
        """Runs all jobs of a pipeline, each in its own folder, and returns the log. Raises if a job fails."""
        done = subprocess.run(
            ["gitlab-ci-local", "--force-shell-executor", "--shell-isolation", "--no-color", *options],
            cwd=self.harness.folder,
            env=self.harness.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture
def gitlab(repository: Harness, ci_runners: Path) -> Gitlab:
    return Gitlab(repository, ci_runners)


def without_keys(environment: dict[str, str]) -> None:
    """Removes the access keys, so that credentials can only come from the job's token."""
    del environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]


MERGE_REQUEST = ("--variable", "CI_PIPELINE_SOURCE=merge_request_event", "--variable", "CI_COMMIT_BRANCH=")


def test_the_example_bakes_once_and_passes_the_id_to_the_next_job(gitlab: Gitlab) -> None:
    gitlab.configure((ROOT / "examples/ci/gitlab.yml").read_text())
    without_keys(gitlab.harness.environment)
    log = gitlab.pipeline("--variable", "AMI_BAKERY_TOKEN=a-token-that-the-embedded-STS-does-not-read")
    (ami,) = {word for word in log.split() if word.startswith("ami-") and len(word) == 21}
    assert applied(gitlab.harness).splitlines() == [
        f"-chdir=infra apply -input=false -auto-approve -var ami_id={ami}",
    ]
    assert gitlab.harness.packer_runs == 1
    gitlab.pipeline("--variable", "AMI_BAKERY_TOKEN=another")
    assert applied(gitlab.harness).count(f"ami_id={ami}\n") == 2
    assert gitlab.harness.packer_runs == 1
    assert gitlab.harness.calls()["AssumeRoleWithWebIdentity"] >= 3, "both SDKs assumed the role"


def test_a_merge_request_gets_a_plan_and_a_code_quality_report(gitlab: Gitlab) -> None:
    gitlab.harness.write("ami/deploy.key", "x")
    inputs = "    inputs: {image: unused, args: --ci off}\n"
    gitlab.configure(f"include:\n  - component: {COMPONENT}\n{inputs}stages: [build]\n")
    assert "1 to bake." in gitlab.pipeline(*MERGE_REQUEST)
    (report,) = gitlab.harness.folder.glob(".gitlab-ci-local/builds/*/gl-code-quality-report.json")
    (entry,) = json.loads(report.read_text())
    assert entry["location"]["path"] == "bakery.toml"
    assert gitlab.harness.packer_runs == 0


def test_each_gitlab_job_assumes_the_role_that_it_needs() -> None:
    _, jobs = yaml.safe_load_all((ROOT / "templates/ami-bakery.yml").read_text())
    roles = {name: job["variables"]["AMI_BAKERY_ROLE"] for name, job in jobs.items() if name != ".ami-bakery"}
    assert roles == {
        "ami-bakery:check": "$[[ inputs.plan_role ]]",
        "ami-bakery:plan": "$[[ inputs.plan_role ]]",
        "ami-bakery:bake": "$[[ inputs.role ]]",
    }
