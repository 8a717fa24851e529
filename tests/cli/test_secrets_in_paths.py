"""A template cannot leak secrets through names of files that it reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.harness import Harness

SECRET = "bad"
"""An untrusted template may read a file for each letter of it."""

BUILD = """
source "amazon-ebs" "app" {
  region     = "us-east-1"
  source_ami = "ami-0123456789abcdef0"
  ami_name   = "app-{{timestamp}}"
}
build {
  sources = ["amazon-ebs.app"]
  provisioner "shell" { scripts = [for k, c in split("", %s) : "c/${k}/${c}.sh"] }
  provisioner "shell" { inline = ["true"] }
}
"""


def write_letters(app: Harness) -> None:
    for number in range(len(SECRET)):
        for letter in "abcdef":
            app.write(f"c/{number}/{letter}.sh", f"echo {number} {letter}\n")
    app.write("bakery.toml", 'version = 1\n[images.app]\ntemplate = "app.pkr.hcl"\ninputs = []\nworkdir = "."\n')


def spelled(app: Harness, environment: dict[str, str]) -> str:
    """Returns the letters that the listed inputs reveal."""
    run = app.run("inputs", "--json", environment=environment)
    paths = [entry["path"] for entry in run.images[0]["inputs"]]
    assert run.images[0]["unresolved"], "the names are reported as unknown"
    return "".join(Path(path).stem for path in paths if path.startswith("c/"))


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "NPM_AUTH",
        "DEPLOY_PASS",
        "GITHUB_PAT",
        "SIGNING_KEY",
        "db_password",
        "SERVICE_CREDENTIALS",
    ],
)
def test_template_cannot_leak_the_environment_through_file_names(app: Harness, name: str) -> None:
    write_letters(app)
    app.write("app.pkr.hcl", f'variable "w" {{ default = env("{name}") }}' + BUILD % "var.w")
    environment = {name: SECRET}
    assert spelled(app, environment) == ""


def test_a_credential_does_not_change_the_digest(app: Harness) -> None:
    write_letters(app)
    app.write("app.pkr.hcl", 'variable "w" { default = env("AWS_SESSION_TOKEN") }' + BUILD % "var.w")
    runs = [app.run("digest", environment={"AWS_SESSION_TOKEN": value}) for value in (SECRET, "cab")]
    assert [run.status for run in runs] == [0, 0]
    assert runs[0].answer == runs[1].answer


def test_template_cannot_leak_an_environment_variable_through_file_names(app: Harness) -> None:
    write_letters(app)
    app.write("app.pkr.hcl", 'variable "db_password" { default = "" }' + BUILD % "var.db_password")
    assert spelled(app, {"PKR_VAR_db_password": SECRET}) == ""


@pytest.mark.parametrize("way", ["absolute", "relative", "link"])
def test_template_cannot_leak_a_file_outside_the_repository(app: Harness, tmp_path: Path, way: str) -> None:
    write_letters(app)
    outside = tmp_path / "credentials"
    outside.write_text(SECRET)
    path = str(outside)
    if way == "relative":
        path = "/".join([".."] * len(app.folder.resolve().parts[1:])) + path
    elif way == "link":
        (app.folder / "notes.txt").symlink_to(outside)
        path = "notes.txt"
    app.write("app.pkr.hcl", BUILD % f"file({json.dumps(path)})")
    assert spelled(app, {}) == ""


def test_json_template_cannot_leak_the_environment(app: Harness) -> None:
    write_letters(app)
    builder = {"type": "amazon-ebs", "region": "us-east-1", "source_ami": "ami-0123456789abcdef0"}
    builder |= {"ami_name": "app-{{timestamp}}", "instance_type": "t3.micro", "ssh_username": "x"}
    template = {
        "variables": {"w": "{{env `AWS_SECRET_ACCESS_KEY`}}"},
        "builders": [builder],
        "provisioners": [{"type": "shell", "script": "c/0/{{user `w`}}.sh"}],
    }
    app.write("app.json", template)
    app.write("bakery.toml", 'version = 1\n[images.app]\ntemplate = "app.json"\ninputs = []\nworkdir = "."\n')
    assert spelled(app, {"AWS_SECRET_ACCESS_KEY": "b"}) == ""


def test_nonsecret_values_select_files(app: Harness) -> None:
    write_letters(app)
    app.write("app.pkr.hcl", 'variable "w" { default = env("BUILD_CHANNEL") }' + BUILD % "var.w")
    run = app.run("inputs", "--json", environment={"BUILD_CHANNEL": SECRET})
    paths = {entry["path"] for entry in run.images[0]["inputs"]}
    assert {"c/0/b.sh", "c/1/a.sh", "c/2/d.sh"} <= paths
    assert not {"c/0/a.sh", "c/1/b.sh"} & paths


LOCAL = """
build {
  sources = ["amazon-ebs.app"]
  provisioner "shell-local" { %s }
}
"""
SHELL = {
    "in a command": 'inline = ["cat c/0/$NAME.sh"]',
    "part of the value": 'inline = ["x=$NAME; cat c/0/${x%%%%ad}.sh"]'.replace("%%%%", "%%"),
    "in a case pattern": 'inline = ["case $NAME in b*) cat c/0/b.sh;; a*) cat c/0/a.sh;; esac"]',
    "in a script": 'script = "say.sh"',
    "by a child with a conditional value": 'inline = ["if test -e x; then NAME=a; fi", "export NAME", "sh say.sh"]',
    "by a child with a default value": 'inline = [": ${NAME:=a}", "export NAME", "sh say.sh"]',
    "by a sourced script": 'inline = [". ./say.sh"]',
}


@pytest.mark.parametrize(
    "name", ["NPM_AUTH", "DEPLOY_PASS", "SIGNING_KEY", "DB_CREDS", "SERVICE_TOKEN", "AWS_SESSION_TOKEN"]
)
@pytest.mark.parametrize("way", SHELL)
def test_local_command_cannot_leak_the_environment(app: Harness, name: str, way: str) -> None:
    write_letters(app)
    app.write("say.sh", f"cat c/0/${name}.sh\n")
    template = BUILD.partition("build {")[0] + LOCAL % SHELL[way].replace("NAME", name)
    app.write("app.pkr.hcl", template.replace("${", "$${"))
    listed = []
    for value in ("b", "c"):
        run = app.run("inputs", "--json", environment={name: value})
        assert run.status == 0, run.stderr
        listed.append([entry["path"] for entry in run.images[0]["inputs"]])
    assert listed[0] == listed[1]


@pytest.mark.parametrize(
    "source",
    [
        "{{ lookup('env', 'NAME') }}",
        "{{ lookup('ansible.builtin.env', 'NAME') }}",
        "{{ query('env', 'NAME') | first }}",
        "{{ ansible_env.NAME }}",
        "{{ lookup('pipe', 'printenv NAME') }}",
    ],
)
@pytest.mark.parametrize("name", ["NPM_AUTH", "DEPLOY_PASS", "AWS_SESSION_TOKEN"])
def test_ansible_cannot_leak_the_environment(app: Harness, name: str, source: str) -> None:
    write_letters(app)
    source = source.replace("NAME", name)
    play = f'- hosts: all\n  tasks:\n    - copy: {{src: "c/0/{source}.sh", dest: /}}\n'
    app.write("play.yml", play)
    app.write(
        "app.pkr.hcl",
        BUILD.partition("build {")[0] + LOCAL.replace("shell-local", "ansible") % 'playbook_file = "play.yml"',
    )
    listed = []
    for value in ("b", "c"):
        run = app.run("inputs", "--json", environment={name: value})
        assert run.status == 0, run.stderr
        listed.append([entry["path"] for entry in run.images[0]["inputs"]])
    assert listed[0] == listed[1]
