"""Known problems of Packer versions, plugins and Ansible. They are reported before a build."""

from __future__ import annotations

from pathlib import Path

import pytest

from ami_bakery.core.packer.plugins import is_gone_from_github
from ami_bakery.template.facts import Plugin
from ami_bakery.template.location import SourceLocation
from tests.harness import TOML, Harness, json_template

OTHER_PACKER = """#!/bin/sh
case "$1" in
  version) echo "Packer v{version}";;
  *) exit 0;;
esac
"""
HCL = """\
packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "%s"
    }
  }
}
source "amazon-ebs" "app" {
  region        = "us-east-1"
  source_ami_filter {
    owners      = ["099720109477"]
    filters     = { name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*" }
    most_recent = true
  }
  instance_type = "t3.micro"
  ami_name      = "app-{{timestamp}}"
}
build {
  sources = ["source.amazon-ebs.app"]
}
"""
WITHOUT_VERSIONS = 'digest_exclude = ["packer-version", "plugin-versions"]\n'


def hcl(harness: Harness, constraint: str, version: str) -> tuple[str, ...]:
    """Returns options for a fake Packer of this version."""
    harness.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl") + WITHOUT_VERSIONS)
    harness.write("ami/app.pkr.hcl", HCL % constraint)
    return ("--packer", str(harness.program("another-packer", OTHER_PACKER.format(version=version))))


def codes(harness: Harness, *options: str, **environment: str | None) -> dict[str, tuple[int, str]]:
    run = harness.run("check", "--json", *options, environment=environment)
    assert run.status in (0, 1), run.stderr
    return {each["code"]: (each["line"], each["message"] + each["todo"]) for each in run.images[0]["findings"]}


@pytest.mark.parametrize(
    ("constraint", "gone"),
    [
        ("", True),
        (">= 1.2.8", True),
        ("~> 1.3", True),
        ("~> 1", True),
        ("~> 1.3.0", True),
        (">= 1.0.0, < 2.0.0", True),
        ("1.8.2", True),
        (">= 1.2.8, < 1.3.10", False),
        ("= 1.3.9", False),
        ("~> 1.2.8", False),
        ("< 1.3.10", False),
    ],
)
def test_version_constraints_that_select_a_plugin_missing_on_github(constraint: str, gone: bool) -> None:
    plugin = Plugin(
        name="amazon", source="hashicorp/amazon", version=constraint, location=SourceLocation(file="a", line=1)
    )
    assert (is_gone_from_github(plugin) != "") is gone


@pytest.mark.parametrize(
    ("version", "expected"), [("1.7.0", True), ("1.13.1", True), ("1.14.0", False), ("1.16.0", False)]
)
def test_unpinned_amazon_plugin_with_an_old_packer_is_a_finding(app: Harness, version: str, expected: bool) -> None:
    found = codes(app, *hcl(app, ">= 1.2.8", version))
    assert ("plugin-not-on-github" in found) is expected
    if expected:
        line, words = found["plugin-not-on-github"]
        assert line == 3
        assert 'version = ">= 1.2.8, < 1.3.10"' in words


FAILING_INIT = """#!/bin/sh
case "$1" in
  version) echo "Packer v1.9.4";;
  init)
    printf 'Failed getting the "github.com/hashicorp/amazon" plugin:\\n'
    printf '1 error occurred:\\n\\t* GET https://x: 404\\n\\n'
    exit 1;;
esac
"""


def test_failed_packer_init_is_explained_with_the_version_to_pin(app: Harness) -> None:
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    app.write("ami/app.pkr.hcl", HCL % ">= 1.2.8")
    options = ("--init", "--packer", str(app.program("another-packer", FAILING_INIT)))
    (line,) = [text for text in app.run("check", *options).stdout.splitlines() if "404" in text and "init)" in text]
    assert '"github.com/hashicorp/amazon" plugin: 1 error occurred: * GET https://x: 404' in line
    assert "\\n" not in line
    assert 'Write version = ">= 1.2.8, < 1.3.10" for amazon' in app.run("plan", *options).stderr
    without = app.run("plan", "--packer", options[2])
    assert "--init" in without.stderr
    assert 'Write version = ">= 1.2.8, < 1.3.10" for amazon' in without.stderr


def test_pinned_amazon_plugin_is_no_finding(app: Harness) -> None:
    assert codes(app, *hcl(app, ">= 1.2.8, < 1.3.10", "1.9.4")) == {}


@pytest.mark.parametrize(
    ("version", "environment", "expected"),
    [
        ("1.15.2", {"HCP_PACKER_BUCKET_NAME": "golden"}, True),
        ("1.16.0", {"HCP_PACKER_REGISTRY": "on"}, True),
        ("1.16.0", {"HCP_PACKER_BUCKET_NAME": "golden", "HCP_PACKER_REGISTRY": "off"}, False),
        ("1.16.0", {}, False),
        ("1.15.1", {"HCP_PACKER_BUCKET_NAME": "golden"}, False),
    ],
)
def test_hcp_enforced_provisioners_are_a_finding_if_hcp_is_enabled(
    app: Harness, version: str, environment: dict[str, str], expected: bool
) -> None:
    options = hcl(app, ">= 1.2.8", version)
    assert ("enforced-provisioners" in codes(app, *options, **environment)) is expected
    assert (
        "they are not in the digest, so a change" in app.run("plan", *options, environment=environment).stderr
    ) is expected


def test_template_that_enables_hcp_is_a_finding_unless_enforcement_is_skipped(app: Harness) -> None:
    options = hcl(app, ">= 1.2.8", "1.16.0")
    app.write("ami/app.pkr.hcl", (HCL % ">= 1.2.8").replace("  sources", "  hcp_packer_registry {\n  }\n  sources"))
    assert codes(app, *options)["enforced-provisioners"][0] == 20
    assert "enforced-provisioners" not in codes(app, *options, "--", "-skip-enforcement")


def ansible(harness: Harness, **fields: object) -> None:
    template = json_template(communicator="ssh", ssh_username="ubuntu")
    template["provisioners"] = [{"type": "ansible", "playbook_file": "site.yml", **fields}]
    harness.write("ami/app.json", template)
    harness.write("ami/site.yml", "- hosts: all\n")


def ssh(harness: Harness, algorithms: str) -> None:
    harness.program("ssh", f'#!/bin/sh\necho "user x"\necho "hostkeyalgorithms {algorithms}"\n')


NEW, OLD = "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512", "ssh-ed25519,rsa-sha2-512,ssh-rsa"
IN_AN_ACCOUNT = {"AMI_BAKERY_LOCAL_URL": None}


def test_ansible_with_old_packer_and_current_openssh_is_a_finding(app: Harness) -> None:
    ansible(app)
    ssh(app, NEW)
    found = codes(app, **IN_AN_ACCOUNT)
    assert set(found) == {"ansible-host-key"}
    assert "Their offer: ssh-rsa" in found["ansible-host-key"][1]
    assert "Their offer: ssh-rsa" in app.run("plan", environment=IN_AN_ACCOUNT).stderr
    ssh(app, OLD)
    assert codes(app, **IN_AN_ACCOUNT) == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"ansible_ssh_extra_args": ["-oHostKeyAlgorithms=+ssh-rsa"]},
        {"ansible_env_vars": ["ANSIBLE_SSH_ARGS=-oHostKeyAlgorithms=+ssh-rsa"]},
        {"extra_arguments": ["--ssh-extra-args", "-oHostKeyAlgorithms=+ssh-rsa"]},
        {"use_proxy": False},
    ],
)
def test_ansible_that_accepts_the_host_key_is_no_finding(app: Harness, fields: dict[str, object]) -> None:
    ansible(app, **fields)
    ssh(app, NEW)
    assert "ansible-host-key" not in codes(app, **IN_AN_ACCOUNT)


def test_ansible_cfg_that_accepts_the_host_key_is_honored(app: Harness) -> None:
    ansible(app)
    ssh(app, NEW)
    app.write("ami/ansible.cfg", "[ssh_connection]\nssh_args = -o HostKeyAlgorithms=+ssh-rsa\n")
    assert codes(app, **IN_AN_ACCOUNT) == {}


def test_newer_packer_with_another_host_key_is_no_finding(app: Harness) -> None:
    ansible(app)
    ssh(app, NEW)
    app.write("bakery.toml", TOML + WITHOUT_VERSIONS)
    another = app.program("another-packer", OTHER_PACKER.format(version="1.9.4"))
    assert codes(app, "--packer", str(another), **IN_AN_ACCOUNT) == {}


def test_program_in_the_current_folder_is_not_run(app: Harness, tmp_path: Path) -> None:
    ansible(app)
    trap = app.write("ssh", f"#!/bin/sh\ntouch {tmp_path}/started\n")
    trap.chmod(0o755)
    codes(app, PATH=f".:{app.environment['PATH']}", **IN_AN_ACCOUNT)
    assert not (tmp_path / "started").exists()


def test_ansible_in_the_embedded_ec2_is_a_finding(app: Harness) -> None:
    ansible(app, use_proxy=False)
    line, words = codes(app)["ansible-not-executed"]
    assert '"type": "ansible"' in (app.folder / "ami/app.json").read_text().splitlines()[line]
    assert "only records commands" in words
    assert "only records commands" in app.run("plan").stderr
