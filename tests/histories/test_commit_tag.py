"""An AMI's commit tag has `+dirty` only if the image's inputs differ; git's refusals are reported."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.core.ec2.ami import COMMIT_TAG
from tests.harness import TOML, Harness, json_template

OTHER = '\n[images.other]\ntemplate = "other/app.json"\ninputs = ["other"]\nregions = ["us-east-1"]\n'


def git(harness: Harness, *arguments: str) -> str:
    settings = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "core.hooksPath=/dev/null")
    done = subprocess.run(
        ["git", *settings, "-C", harness.folder, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(app: Harness) -> Harness:
    """A repository without changes: an image `app` in ami/, and an image `other` in other/."""
    app.write("bakery.toml", TOML + OTHER)
    app.write("other/app.json", json_template())
    app.write("ami/old.sh", "old\n")
    app.write("README", "x\n")
    git(app, "init", "--quiet")
    git(app, "add", "--all")
    git(app, "commit", "--quiet", "--message", "all")
    return app


def commit_tag(harness: Harness, ec2: EC2Client) -> str:
    ami = harness.run("bake", "app").answer
    (image,) = ec2.describe_images(ImageIds=[ami])["Images"]
    return {tag["Key"]: tag["Value"] for tag in image["Tags"]}.get(COMMIT_TAG, "")


CHANGES: dict[str, tuple[Callable[[Harness], object], bool]] = {
    "an untracked file elsewhere": (lambda harness: harness.write("notes.txt", "x"), False),
    "a file elsewhere": (lambda harness: harness.write("README", "changed\n"), False),
    "a file of another image": (lambda harness: harness.write("other/new.sh", "x"), False),
    "a file elsewhere that is gone": (lambda harness: (harness.folder / "README").unlink(), False),
    "another image's variables": (lambda harness: harness.write("bakery.toml", TOML + OTHER + 'salt = "2"\n'), False),
    "an untracked folder elsewhere": (lambda harness: harness.write("node_modules/x/y.js", "x"), False),
    "an untracked input": (lambda harness: harness.write("ami/new.sh", "x"), True),
    "an input": (lambda harness: harness.write("ami/setup.sh", "changed\n"), True),
    "an input that is gone": (lambda harness: (harness.folder / "ami/old.sh").unlink(), True),
    "an input's executable bit": (lambda harness: (harness.folder / "ami/old.sh").chmod(0o755), True),
    "the image's salt": (lambda harness: harness.write("bakery.toml", TOML + 'salt = "2"\n' + OTHER), True),
}


@pytest.mark.parametrize("change", CHANGES)
def test_only_changes_of_the_images_own_definition_make_it_dirty(
    repository: Harness, ec2: EC2Client, change: str
) -> None:
    make, dirty = CHANGES[change]
    make(repository)
    head = git(repository, "rev-parse", "HEAD")
    assert commit_tag(repository, ec2) == (f"{head}+dirty" if dirty else head)


@pytest.fixture
def foreign(repository: Harness) -> Harness:
    """The repository belongs to another user, as in many containers."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(repository.folder, 12345, 12345)
    os.chown(repository.folder / ".git", 12345, 12345)
    return repository


def test_repository_of_another_user_is_reported_with_gits_words_and_the_command(
    foreign: Harness, ec2: EC2Client
) -> None:
    words = f"detected dubious ownership in repository at '{foreign.folder}'"
    command = f"git config --global --add safe.directory {foreign.folder}"
    run = foreign.run("bake", "app")
    assert run.status == 0
    assert words in run.stderr
    assert command in run.stderr
    foreign.write("ami/setup.sh", "changed\n")
    reported = foreign.run("plan", "app").stdout
    assert words in reported
    assert "outside of git" not in reported
    checked = foreign.run("check", "app")
    assert words in checked.stdout
    assert f"  If it is yours, run: {command}\n" in checked.stdout
    assert foreign.run("check", "app", "--strict").status == 1
    changed = foreign.run("plan", "--changed-since", "HEAD")
    assert changed.status == 2
    assert command in changed.stderr


def test_missing_repository_is_not_reported(app: Harness) -> None:
    run = app.run("bake")
    assert run.status == 0
    assert "refuses" not in run.stderr
    assert app.run("check", "--strict").status == 0
