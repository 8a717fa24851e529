"""Puts secrets into all that the program reads. Then searches everything that it writes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.local import LocalSettings
from tests.harness import TOML, Harness, Run, json_template

PLANTED = {
    "bakery.toml": "in-bakery-toml-2c1f",
    "a var-file": "in-a-var-file-77ab",
    "the environment": "in-the-environment-90d3",
    "an argument": "behind-the-dashes-5e5e",
    "an uploaded file": "in-an-uploaded-file-1b2c",
    "the proxy": "in-the-proxys-address-a8a8",
    "the job": "in-the-jobs-address-31f0",
    "its token": "in-the-jobs-token-6d6d",
    "git": "in-gits-remote-4411",
    "another profile": "in-another-profile-c0de",
    "the secret key": LocalSettings().accounts[0].secret_access_key,
    "the lock's key pair": "PRIVATE KEY",
}
COMMANDS = (
    ("plan", "-v"),
    ("bake", "-v", "--output", "../answer.json"),
    ("bake", "--json", "--output", "../answer.env"),
    ("bake", "--force", "-v"),
    ("plan", "--json", "--force"),
    ("inputs",),
    ("inputs", "--json"),
    ("digest", "--json"),
    ("check", "--json"),
    ("images", "--json"),
    ("images",),
    ("report", "--json"),
)


@pytest.fixture
def secretive(app: Harness) -> Harness:
    names = ("toml", "file", "environment", "argument")
    template = json_template()
    template["variables"] |= dict.fromkeys(names, "") | {"environment": "{{env `SECRET_TOKEN`}}"}
    template["sensitive-variables"] = list(names)
    said = " ".join(f"{{{{user `{name}`}}}}" for name in names)
    template["provisioners"] = [{"type": "shell-local", "inline": [f"echo they are {said}; exit $FAIL"]}]
    app.write("ami/app.json", template)
    app.write("ami/key.pem", PLANTED["an uploaded file"])
    app.write("secret.json", {"file": PLANTED["a var-file"]})
    app.write(
        "bakery.toml",
        f"""{TOML}
vars = {{ toml = "{PLANTED["bakery.toml"]}" }}
var_files = ["secret.json"]
env = ["SECRET_TOKEN"]
""",
    )
    app.write(
        "../.aws/credentials", f"[other]\naws_access_key_id = x\naws_secret_access_key = {PLANTED['another profile']}\n"
    )
    _git(app, "init", "-q")
    _git(app, "remote", "add", "origin", f"https://x:{PLANTED['git']}@example.com/a.git")
    _git(app, "add", ".")
    _git(app, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "all")
    proxy = app.environment["HTTPS_PROXY"].removeprefix("http://")
    app.environment |= {
        "HTTPS_PROXY": f"http://user:{PLANTED['the proxy']}@{proxy}",
        "SECRET_TOKEN": PLANTED["the environment"],
        "GITHUB_ACTIONS": "true",
        "GITHUB_TOKEN": PLANTED["its token"],
        "CI_JOB_TOKEN": PLANTED["its token"],
        "CI_JOB_URL": f"https://ci:{PLANTED['the job']}@ci.example.com/jobs/1?t={PLANTED['the job']}",
        "BUILD_URL": f"https://ci:{PLANTED['the job']}@ci.example.com/jobs/1",
        "FAIL": "0",
    }
    return app


def _git(app: Harness, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=app.folder, env=app.environment, check=True)


def run_all(app: Harness) -> Iterator[Run]:
    behind = ("--", "-var", f"argument={PLANTED['an argument']}")
    for command in COMMANDS:
        yield app.run(*command, *(() if command[0] == "images" else behind))
    app.environment["FAIL"] = "3"
    failed = app.run("bake", "--force", *behind)
    assert failed.status == 1
    yield failed


def written(folder: Path, planted: set[Path]) -> Iterator[tuple[str, bytes]]:
    """Returns the content of every new file, by name."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path not in planted and ".git" not in path.parts:
            yield str(path.relative_to(folder)), path.read_bytes()


def test_no_secret_is_written_to_any_output(secretive: Harness, ec2: EC2Client) -> None:
    home = secretive.folder.parent
    planted = {path for path in home.rglob("*") if path.is_file()}
    said = list(run_all(secretive))
    assert [run.status for run in said] == [*([0] * len(COMMANDS)), 1], [run.stderr for run in said]
    assert sum("they are <sensitive>" in run.stderr for run in said) >= 2, "Packer's log is shown with -v, masked"
    files = dict(written(home, planted))
    assert {name.rpartition("/")[2] for name in files} >= {"answer.json", "answer.env"}
    logs = [name for name in files if name.endswith(".log")]
    assert len(logs) == 1, "the failed bake keeps its log"
    assert (home / logs[0]).stat().st_mode & 0o777 == 0o600, "it contains the output of the template"
    everything = {
        **{f"run {number}": f"{run.stdout}{run.stderr}".encode() for number, run in enumerate(said)},
        **files,
        "EC2": str([ec2.describe_tags()["Tags"], ec2.describe_images(Owners=["self"])["Images"]]).encode(),
    }
    found = [
        f"{place} in {name}"
        for place, secret in PLANTED.items()
        for name, content in everything.items()
        if secret.encode() in content
    ]
    assert found == []
