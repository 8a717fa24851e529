"""Findings of `check` about inputs: workdir, secrets, Git LFS pointers, submodules, line endings, names."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.harness import TOML, Harness, json_template

PROVISIONED = """\
version = 1

[images.app]
template = "packer/app/app.pkr.hcl"
regions = ["us-east-1"]
"""
HCL = """\
source "amazon-ebs" "app" {
  region        = "us-east-1"
  source_ami_filter {
    owners      = ["099720109477"]
    filters     = { name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*" }
    most_recent = true
  }
  instance_type = "t3.micro"
  communicator  = "none"
  ami_name      = "app-{{timestamp}}"
}
build {
  sources = ["source.amazon-ebs.app"]
%s
}
"""


def findings(harness: Harness) -> dict[str, dict[str, Any]]:
    """Returns the findings by code."""
    run = harness.run("check", "--json")
    assert run.status in (0, 1), run.stderr
    return {finding["code"]: finding for finding in run.images[0]["findings"]}


def test_paths_relative_to_the_root_advise_a_workdir(harness: Harness) -> None:
    harness.write("bakery.toml", PROVISIONED)
    steps = '  provisioner "shell" {\n    scripts = ["packer/app/a.sh", "packer/app/b.sh"]\n  }\n'
    steps += '  provisioner "file" {\n    source = "files/motd"\n    destination = "/etc/motd"\n  }\n'
    harness.write("packer/app/app.pkr.hcl", HCL % steps)
    for path in ("packer/app/a.sh", "packer/app/b.sh", "files/motd"):
        harness.write(path, "x\n")
    advice = 'Set workdir = "." in [images.app] of bakery.toml: there, 3 of 3 missing paths are found.'
    for command in ("plan", "bake", "digest", "inputs"):
        assert advice in harness.run(command).stderr
    found = findings(harness)["plan-failed"]
    assert (found["todo"], found["file"], found["line"]) == (advice, "packer/app/app.pkr.hcl", 18)
    harness.write("bakery.toml", PROVISIONED + 'workdir = "."\n')
    assert findings(harness) == {}


@pytest.mark.parametrize(
    ("path", "step", "workdir", "found"),
    [
        ("packer/common/a.sh", "common/a.sh", "packer", 1),
        ("ansible/site.yml", "ansible/site.yml", ".", 1),
        ("packer/scripts/x/a.sh", "scripts/x/a.sh", "packer", 1),
    ],
)
def test_advised_workdir_is_the_folder_in_which_the_paths_exist(
    harness: Harness, path: str, step: str, workdir: str, found: int
) -> None:
    harness.write("bakery.toml", PROVISIONED)
    harness.write("packer/app/app.pkr.hcl", HCL % f'  provisioner "shell" {{\n    script = "{step}"\n  }}\n')
    harness.write(path, "x\n")
    stderr = harness.run("plan").stderr
    assert f'workdir = "{workdir}" in [images.app]' in stderr
    assert f"{found} of 1 missing path is found" in stderr


def test_paths_relative_to_the_template_advise_its_folder_as_workdir(harness: Harness) -> None:
    harness.write("bakery.toml", PROVISIONED + 'workdir = "."\n')
    harness.write("packer/app/app.pkr.hcl", HCL % '  provisioner "shell" {\n    scripts = ["a.sh", "gone.sh"]\n  }\n')
    harness.write("packer/app/a.sh", "x\n")
    stderr = harness.run("plan").stderr
    assert 'workdir = "packer/app" in [images.app]' in stderr
    assert "1 of 2 missing paths are found" in stderr


def test_file_function_with_a_path_in_another_folder_advises_a_workdir(harness: Harness) -> None:
    """`path.root` is relative to Packer's working directory. `file()` is relative to the template's folder."""
    harness.write("bakery.toml", PROVISIONED + 'workdir = "."\n')
    step = '  provisioner "shell" {\n    inline = [file("${path.root}/a.sh")]\n  }\n'
    harness.write("packer/app/app.pkr.hcl", HCL % step)
    harness.write("packer/app/a.sh", "x\n")
    assert 'workdir = "packer/app" in [images.app]' in harness.run("plan").stderr


def test_path_that_exists_in_no_folder_is_reported_as_missing(harness: Harness) -> None:
    harness.write("bakery.toml", PROVISIONED)
    harness.write("packer/app/app.pkr.hcl", HCL % '  provisioner "shell" {\n    script = "gone.sh"\n  }\n')
    stderr = harness.run("plan").stderr
    assert "Create it, or fix the path." in stderr
    assert "workdir" not in stderr


NAMES = {
    "shortened by substr": '"app-${substr(var.config_checksum, 0, 8)}"',
    "shortened by a format": 'format("app-%.6s", var.config_checksum)',
    "hashed again": '"app-${substr(sha256(var.config_checksum), 0, 12)}"',
    "by a local": '"app-${local.short}"',
    "in upper case": '"app-${upper(var.config_checksum)}"',
    "whole": '"app-${var.config_checksum}"',
}


@pytest.mark.parametrize("how", NAMES)
def test_ami_name_with_the_digest_is_not_constant(app: Harness, how: str) -> None:
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    head = (
        'variable "config_checksum" {\n  type = string\n}\nlocals {\n  short = substr(var.config_checksum, 0, 7)\n}\n'
    )
    app.write("ami/app.pkr.hcl", head + (HCL % "").replace('"app-{{timestamp}}"', NAMES[how]))
    assert findings(app) == {}


def test_ami_name_with_part_of_the_digest_is_not_constant_in_json(app: Harness) -> None:
    app.write("ami/app.json", json_template(ami_name="app-{{user `config_checksum` | upper}}"))
    assert findings(app) == {}


def test_ami_name_without_digest_or_time_is_constant(app: Harness) -> None:
    app.write("ami/app.json", json_template(ami_name="app-{{user `size` | clean_resource_name}}"))
    assert set(findings(app)) == {"constant-ami-name"}


def test_public_certificates_and_playbooks_are_not_secrets(app: Harness) -> None:
    app.write("ami/ca.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    app.write("ami/credentials.yml", "- hosts: all\n  tasks:\n    - name: install the helper\n      package: x\n")
    app.write("ami/docker.key", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n")
    assert findings(app) == {}


def test_advice_for_a_secret_input_works(app: Harness) -> None:
    app.write("ami/files/deploy.key", "x\n")
    assert "Add it to `ignore`" in findings(app)["secret-in-inputs"]["todo"]
    app.write("bakery.toml", TOML + 'ignore = ["*.key"]\n')
    assert findings(app) == {}
    template = json_template()
    template["provisioners"] = [{"type": "file", "source": "files", "destination": "/tmp/x"}]
    app.write("ami/app.json", template)
    found = findings(app)["secret-in-inputs"]
    assert "`ignore` does not apply there" in found["todo"]
    assert "(ami/app.json:" in found["todo"]


def test_git_lfs_pointer_among_the_inputs_is_a_finding(app: Harness) -> None:
    app.write("ami/model.bin", f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n")
    found = findings(app)["lfs-pointer"]
    assert found["level"] == "error"
    assert "ami/model.bin" in found["message"]
    assert "git lfs pull" in found["todo"]


def git(folder: Harness, *arguments: str) -> None:
    settings = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "protocol.file.allow=always")
    subprocess.run(["git", *settings, "-C", folder.folder, *arguments], check=True, capture_output=True)


def test_missing_submodule_is_a_finding(app: Harness) -> None:
    other = app.folder.parent / "library"
    other.mkdir()
    subprocess.run(["git", "init", "-q", other], check=True)
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    subprocess.run(["git", *identity, "-C", other, "commit", "-qm", "x", "--allow-empty"], check=True)
    git(app, "init", "-q")
    git(app, "submodule", "add", "-q", str(other), "ami/library")
    git(app, "commit", "-qm", "all")
    assert "empty-submodule" not in findings(app)
    git(app, "submodule", "deinit", "-q", "-f", "ami/library")
    found = findings(app)["empty-submodule"]
    assert (found["level"], found["file"]) == ("error", "bakery.toml")
    assert "git submodule update --init --recursive ami/library" in found["todo"]


@pytest.mark.parametrize("inputs", ['["ami"]', '["vendor/library"]'])
def test_file_in_a_missing_submodule_is_an_error(app: Harness, inputs: str) -> None:
    other = app.folder.parent / "library"
    other.mkdir()
    subprocess.run(["git", "init", "-q", other], check=True)
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    subprocess.run(["git", *identity, "-C", other, "commit", "-qm", "x", "--allow-empty"], check=True)
    git(app, "init", "-q")
    git(app, "submodule", "add", "-q", str(other), "vendor/library")
    git(app, "submodule", "deinit", "-q", "-f", "vendor/library")
    template = json_template()
    if "ami" in inputs:
        template["provisioners"] = [{"type": "shell", "script": "../vendor/library/x.sh"}]
    app.write("ami/app.json", template)
    app.write("bakery.toml", TOML.replace('["ami"]', inputs))
    run = app.run("plan")
    assert run.status == 1
    assert "`git submodule update --init --recursive vendor/library`" in run.stderr


def test_empty_folder_is_not_reported_as_a_submodule(app: Harness) -> None:
    (app.folder / "ami/empty").mkdir()
    assert findings(app) == {}
    git(app, "init", "-q")
    assert findings(app) == {}


@pytest.mark.parametrize(
    ("path", "content", "found"),
    [
        ("ami/start.sh", b"#!/bin/sh\r\necho\r\n", True),
        ("ami/files/start", b"#!/usr/bin/env python3\r\nprint()\n", True),
        ("ami/no-shebang.sh", b"echo one\r\necho two\r\n", True),
        ("ami/unix.sh", b"#!/bin/sh\nprintf 'a\\r\\n'\n", False),
        ("ami/setup.ps1", b"Write-Host one\r\nWrite-Host two\r\n", False),
        ("ami/readme.txt", b"one\r\ntwo\r\n", False),
    ],
)
def test_windows_line_endings_in_linux_scripts_are_findings(
    app: Harness, path: str, content: bytes, found: bool
) -> None:
    app.write(path, content)
    by_code = findings(app)
    assert ("windows-line-ends" in by_code) is found
    assert not found or path in by_code["windows-line-ends"]["message"]
