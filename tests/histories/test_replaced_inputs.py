"""Inputs that are changed and restored while Packer runs: equal content, but not what Packer read."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.core.ec2.ami import DIGEST_TAG
from tests.harness import TOML, Harness, Run, json_template


@pytest.fixture
def uploads(app: Harness) -> Harness:
    """Configures an image that uploads the folder ami/files; the lines of `meanwhile` run during the build."""
    app.write("ami/files/motd", "branch main\n")
    app.write("ami/files/sub/deep", "deep\n")
    return app


def meanwhile(app: Harness, *lines: str, **more: object) -> None:
    script = app.program("meanwhile", "\n".join(["#!/bin/sh -e", f"cd {app.folder}", *lines, ""]))
    template = json_template()
    template["provisioners"] = [{"type": "shell-local", "inline": [str(script)]}]
    app.write("ami/app.json", {**template, **more})


def finished(ec2: EC2Client) -> int:
    return len(ec2.describe_images(Filters=[{"Name": "tag-key", "Values": [DIGEST_TAG]}])["Images"])


def no_digest(app: Harness, ec2: EC2Client, *words: str) -> None:
    done = app.run("bake")
    assert done.status == 1, done.stderr
    for word in (*words, "while Packer ran", "remains, without the digest"):
        assert word in done.stderr, done.stderr
    assert app.packer_runs == 1
    assert finished(ec2) == 0


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_branch_that_was_checked_out_while_packer_ran(uploads: Harness, ec2: EC2Client) -> None:
    meanwhile(uploads, "git checkout -q other", "cat ami/files/motd", "git checkout -q -")
    git(uploads.folder, "init", "-q")
    git(uploads.folder, "add", ".")
    git(uploads.folder, "commit", "-qm", "main")
    git(uploads.folder, "checkout", "-qb", "other")
    uploads.write("ami/files/motd", "branch other\n")
    git(uploads.folder, "commit", "-qam", "other")
    git(uploads.folder, "checkout", "-q", "-")
    no_digest(uploads, ec2, "ami/files/motd was replaced or touched")


AND_BACK = {
    "written in place": ("echo B > ami/files/motd", "echo branch main > ami/files/motd", "ami/files/motd"),
    "same size": ("printf 'branch niam\\n' > ami/files/motd", "printf 'branch main\\n' > ami/files/motd", "motd"),
    "times restored": (
        "touch -r ami/files/motd ../stamp; echo B > ami/files/motd",
        "echo branch main > ami/files/motd; touch -r ../stamp ami/files/motd",
        "ami/files/motd was replaced or touched",
    ),
    "moved away": ("mv ami/files/motd ../motd; echo B > ami/files/motd", "mv ../motd ami/files/motd", "motd"),
    "hard link": ("ln ami/files/motd ../motd; rm ami/files/motd", "ln ../motd ami/files/motd", "motd"),
    "folder moved away": (
        "mv ami/files/sub ../sub; mkdir ami/files/sub; echo B > ami/files/sub/deep",
        "rm -r ami/files/sub; mv ../sub ami/files/sub",
        "ami/files/sub was moved away and back",
    ),
    "folder above moved away": ("mv ami ../ami; mkdir ami", "rmdir ami; mv ../ami ami", "ami was moved away and back"),
    "a file more": ("echo B > ami/files/more", "rm ami/files/more", "ami/files had entries that came and went"),
    "a file less": ("mv ami/files/sub/deep ../deep", "mv ../deep ami/files/sub/deep", "ami/files/sub/deep"),
    "an empty folder more": ("mkdir ami/files/sub/new", "rmdir ami/files/sub/new", "ami/files/sub had entries"),
    "a link": ("ln -sfn ../../b ami/files/link", "ln -sfn ../../a ami/files/link", "ami/files/link"),
    "what a link leads to": ("echo B > a/one", "echo A > a/one", "current/one was replaced or touched"),
    "a link on the way": ("ln -sfn b current", "ln -sfn a current", "current was replaced or touched"),
    "the script bit": ("chmod -x ami/setup.sh", "chmod +x ami/setup.sh", "ami/setup.sh was replaced or touched"),
    "the template": ("cp ami/app.json ../t; echo {} > ami/app.json", "cp ../t ami/app.json", "ami/app.json"),
}


@pytest.mark.parametrize("case", AND_BACK)
def test_input_that_is_changed_and_restored_gives_no_digest(case: str, uploads: Harness, ec2: EC2Client) -> None:
    away, back, reported = AND_BACK[case]
    uploads.write("a/one", "A\n")
    uploads.write("b/one", "B\n")
    os.symlink("../../a", uploads.folder / "ami/files/link")
    os.symlink("a", uploads.folder / "current")
    uploads.write("bakery.toml", TOML.replace('["ami"]', '["ami", "current/one"]'))
    (uploads.folder / "ami/setup.sh").chmod(0o755)
    meanwhile(uploads, away, "true", back)
    before = uploads.run("digest").answer
    no_digest(uploads, ec2, reported)
    assert uploads.run("digest").answer == before


QUIET = {
    "read": "cat ami/files/motd ami/app.json > /dev/null; ls -R ami > /dev/null",
    "an output in an input folder": "date > ami/packer-manifest.json",
    "an ignored file that was there": "mv ami/files/notes.md ../n; cp ../n ami/files/notes.md",
    "a log that came": "date > ami/files/build.log",
    "a file beside the folder": "date > ami-bakery.txt; rm ami-bakery.txt",
    "git's own files": "git status > /dev/null; git gc -q; touch .git/x; rm .git/x",
}


@pytest.mark.parametrize("case", QUIET)
def test_build_that_does_not_change_its_inputs_gives_the_digest(case: str, uploads: Harness, ec2: EC2Client) -> None:
    uploads.write("bakery.toml", TOML + 'ignore = ["*.md", "*.log"]\n')
    uploads.write("ami/files/notes.md", "notes\n")
    meanwhile(uploads, QUIET[case])
    git(uploads.folder, "init", "-q")
    git(uploads.folder, "add", ".")
    git(uploads.folder, "commit", "-qm", "main")
    assert uploads.run("bake").status == 0
    assert uploads.run("bake").status == 0
    assert (uploads.packer_runs, finished(ec2)) == (1, 1)


def test_manifest_that_packer_writes_next_to_the_template_is_no_change(uploads: Harness, ec2: EC2Client) -> None:
    output = {"type": "manifest", "output": "files/manifest.json"}
    meanwhile(uploads, "true", **{"post-processors": [output]})
    for _ in range(2):
        assert uploads.run("bake", "--force").status == 0
    assert uploads.packer_runs == 2


def test_folder_in_which_a_file_was_added_during_the_build(harness: Harness, ec2: EC2Client) -> None:
    harness.write("bakery.toml", TOML.replace("ami/app.json", "ami").replace('["ami"]', '["note"]'))
    harness.write("note", "declared\n")
    script = harness.program(
        "meanwhile", f"#!/bin/sh\ncd {harness.folder}/ami\n[ -e ../quiet ] || touch x.pkr.hcl\nrm -f x.pkr.hcl\n"
    )
    harness.write("ami/app.pkr.hcl", HCL.replace("SCRIPT", str(script)))
    harness.write("ami/readme", "not read by Packer\n")
    no_digest(harness, ec2, "ami had entries that came and went")
    harness.write("quiet", "")
    assert harness.run("bake").status == 0


HCL = """
source "amazon-ebs" "app" {
  region        = "us-east-1"
  instance_type = "t3.micro"
  communicator  = "none"
  ami_name      = "test-${uuidv4()}"
  source_ami_filter {
    owners      = ["099720109477"]
    most_recent = true
    filters     = { name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*" }
  }
}
build {
  sources = ["source.amazon-ebs.app"]
  provisioner "shell-local" {
    inline = ["SCRIPT"]
  }
}
"""


def test_copy_that_replaces_itself_counts_as_replaced(uploads: Harness, ec2: EC2Client) -> None:
    """Whether the content was different in between cannot be known."""
    assert shutil.which("cp")
    meanwhile(uploads, "cp ami/setup.sh ../s", "rm ami/setup.sh", "cp ../s ami/setup.sh")
    no_digest(uploads, ec2, "ami/setup.sh was replaced or touched")


MODERN_PACKER = """\
#!/bin/sh
cd_plugins={plugins}
case "$*" in
  version) echo Packer v1.11.0 ;;
  "plugins installed") ls -d $cd_plugins/github.com/hashicorp/*/* ;;
  build*) cd $cd_plugins/github.com/hashicorp; {away}; cd - >/dev/null
    {packer} "$@"; status=$?
    cd $cd_plugins/github.com/hashicorp; {back}; exit $status ;;
  *) exec {packer} "$@" ;;
esac
"""
USED = "amazon/packer-plugin-amazon_v1.3.5_x5.0_linux_amd64"
OTHER = "docker/packer-plugin-docker_v1.0.0_x5.0_linux_amd64"


def bake_while_plugins_change(app: Harness, away: str, back: str = "true") -> Run:
    plugins = app.folder.parent / "installed"
    for name in (USED, OTHER):
        path = plugins / "github.com/hashicorp" / name
        path.parent.mkdir(parents=True)
        path.write_text("A")
    packer = app.program(
        "modern-packer", MODERN_PACKER.format(plugins=plugins, away=away, back=back, packer=shutil.which("packer"))
    )
    return app.run("bake", "--packer", str(packer))


@pytest.mark.parametrize(
    "away, back",
    [
        (f"echo B > {USED}", "true"),
        ("true", f"echo B > {USED}"),
        (f"cp {USED} ../p; echo B > {USED}", f"cp ../p {USED}"),
        (f"mv {USED} ../p; echo B > {USED}", f"mv ../p {USED}"),
    ],
)
def test_plugin_that_was_replaced_while_packer_ran(away: str, back: str, uploads: Harness, ec2: EC2Client) -> None:
    run = bake_while_plugins_change(uploads, away, back)
    assert run.status == 1, run.stderr
    assert "packer-plugin-amazon_v1.3.5_x5.0_linux_amd64 was replaced or touched" in run.stderr
    assert "remains, without the digest" in run.stderr
    assert finished(ec2) == 0


@pytest.mark.parametrize(
    "meanwhile",
    [
        f"echo B > {OTHER}",
        "echo B > amazon/packer-plugin-amazon_v1.3.6_x5.0_linux_amd64",
        f"cat {USED} > /dev/null",
        f"rm {OTHER}",
    ],
)
def test_plugin_that_was_added_or_removed_while_packer_ran(meanwhile: str, uploads: Harness, ec2: EC2Client) -> None:
    run = bake_while_plugins_change(uploads, "true", meanwhile)
    assert run.status == 0, run.stderr
    assert finished(ec2) == 1


def test_plugin_that_is_not_in_the_digest_may_be_replaced(uploads: Harness, ec2: EC2Client) -> None:
    uploads.write("bakery.toml", TOML + 'digest_exclude = ["plugin-versions"]\n')
    assert bake_while_plugins_change(uploads, f"echo B > {USED}").status == 0
    assert finished(ec2) == 1
