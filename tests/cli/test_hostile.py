"""Hostile names and paths; and the permissions of files that the program writes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from mypy_boto3_ec2 import EC2Client

from tests.harness import TOML, Harness, json_template

HARM = "$(touch pwned) `touch pwned`; touch pwned & touch pwned | 'touch pwned' \"touch pwned\" > pwned -x"


def without_umask(harness: Harness, *arguments: str, mask: str = "000") -> None:
    harness.run(*arguments, prefix=("sh", "-c", f'umask {mask}; exec "$@"', "sh"))


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def everything_below(folder: Path) -> set[str]:
    return {f"{path}: {path.stat().st_mtime_ns}" for path in folder.rglob("*") if path.is_file()}


def test_names_with_shell_syntax_are_not_interpreted(harness: Harness, ec2: EC2Client) -> None:
    folder = HARM.replace("/", "")
    template = json_template(run_tags={"Harm": "{{user `harm`}}"}, tags={"Harm": "{{user `harm`}}"})
    template["variables"]["harm"] = ""
    harness.write(f"{folder}/app.json", template)
    harness.write(f"{folder}/setup.sh", "exit 0\n")
    quoted = HARM.replace("\\", "\\\\").replace('"', '\\"')
    harness.write(
        "bakery.toml",
        f'version = 1\n[images.app]\ntemplate = "{quoted}/app.json"\ninputs = ["{quoted}"]\nworkdir = "."\n'
        f'regions = ["us-east-1"]\nvars = {{ harm = "{quoted}" }}\nenv = ["HARM"]\n',
    )
    ami = harness.run("bake", "--", "-var", "size=t3.micro", environment={"HARM": HARM}).answer
    (image,) = ec2.describe_images(ImageIds=[ami])["Images"]
    assert {"Key": "Harm", "Value": HARM} in image["Tags"]
    assert harness.run("images", "--orphans").status == 0
    assert not list(harness.folder.parent.rglob("pwned"))


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/b", "$(touch pwned)", "a b", ".", "-x"])
def test_image_name_that_looks_like_a_path_is_refused(harness: Harness, name: str) -> None:
    harness.write("bakery.toml", TOML.replace("[images.app]", f'[images."{name}"]'))
    before = everything_below(harness.folder.parent)
    run = harness.run("bake")
    assert (run.status, run.stdout) == (1, "")
    assert harness.packer_runs == 0
    assert everything_below(harness.folder.parent) == before


def test_nothing_is_written_next_to_a_template_outside_the_root(harness: Harness) -> None:
    outside = harness.folder.parent / "outside"
    harness.write("../outside/app.json", json_template())
    harness.write(
        "bakery.toml", TOML.replace("ami/app.json", "../outside/app.json").replace('["ami"]', '["../outside"]')
    )
    before = everything_below(outside)
    assert harness.run("bake").status == 0
    assert everything_below(outside) == before
    assert os.listdir(harness.folder.parent / "tmp") == []


def test_ami_id_json_replaces_a_symbolic_link(drop_in: Harness) -> None:
    target = drop_in.folder.parent / "precious"
    target.write_text("precious")
    answer_file = drop_in.folder / "ami/packer/.ami_id.json"
    answer_file.symlink_to(target)
    ami = drop_in.run(program="bake").answer.splitlines()[-1]
    assert target.read_text() == "precious"
    assert ami in answer_file.read_text()
    assert not answer_file.is_symlink()


def test_logs_are_private_and_output_files_follow_the_umask(app: Harness) -> None:
    template = json_template() | {"provisioners": [{"type": "shell-local", "inline": ["exit 3"]}]}
    good = (app.folder / "ami/app.json").read_text()
    app.write("ami/app.json", template)
    without_umask(app, "bake")
    (log,) = modes(app.folder.parent / "tmp").values()
    assert log == 0o600
    app.write("ami/app.json", good)
    for mask, mode in (("022", 0o644), ("077", 0o600)):
        without_umask(app, "bake", "--output", f"../answer-{mask}.json", mask=mask)
        assert modes(app.folder.parent)[f"answer-{mask}.json"] == mode


BUGGY = """
import sys
from ami_bakery.cli import main as cli
from ami_bakery.cli.commands import digest
digest.run = lambda invocation: 1 // 0
sys.exit(cli.main(["digest"]))
"""


def test_bug_report_is_private_and_contains_no_values(app: Harness) -> None:
    environment = app.environment | {"SOME_TOKEN": "very-secret-token"}
    done = subprocess.run(
        ["sh", "-c", 'umask 000; exec "$@"', "sh", sys.executable, "-c", BUGGY],
        cwd=app.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 70
    assert "error: internal error in ami-bakery\n  ZeroDivisionError" in done.stderr
    (report,) = (app.folder.parent / "tmp").iterdir()
    assert str(report) in done.stderr
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert "very-secret-token" not in report.read_text()
