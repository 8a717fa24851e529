"""Current Packer, with plugins as separate programs, and a modern template.

scripts/current-packer builds it; if that is not possible, these tests are reported as skipped.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.core.ec2.ami import DIGEST_TAG, FROM_TAG, IMAGE_TAG
from ami_bakery.local import LocalAws
from tests.documents import ROOT
from tests.harness import TOML, Harness, json_template, leftover_resources

MODERN = ROOT / "tests/end_to_end/modern"
AMAZON = "github.com/hashicorp/amazon"


@pytest.fixture
def modern(tmp_path: Path, local: LocalAws, current_packer: Path) -> Harness:
    """A template with required_plugins, a data source, locals and dynamic blocks."""
    harness = Harness(tmp_path, local, current_packer)
    shutil.copytree(MODERN, harness.folder, dirs_exist_ok=True)
    return harness


def versions(packer: Path) -> tuple[str, str]:
    """Returns the versions of Packer and of the plugin, from the names of the folder and of the plugin's program."""
    (plugin,) = (packer / "plugins" / AMAZON).glob("packer-plugin-amazon_v*_linux_*[!M]")
    return packer.name.split("-")[1], plugin.name.split("_v")[1].split("_")[0]


def test_modern_template_is_baked_once(modern: Harness, ec2: EC2Client) -> None:
    ami = modern.run("bake").answer
    assert modern.run("bake").answer == ami
    assert modern.packer_runs == 1
    (image,) = ec2.describe_images(ImageIds=[ami])["Images"]
    tags = {tag["Key"]: tag["Value"] for tag in image["Tags"]}
    assert (tags[IMAGE_TAG], tags[DIGEST_TAG]) == ("web", modern.run("digest").answer)
    assert (tags["Team"], "jammy" in tags["Base"]) == ("shop", True), "written by the template's dynamic block"
    assert leftover_resources(ec2) == []
    (plan,) = modern.run("plan", "--json").images
    assert (plan["action"], plan["amis"]) == ("reuse", {"us-east-1": ami})


def test_file_named_by_a_local_is_found_and_changes_the_digest(modern: Harness) -> None:
    (inputs,) = modern.run("inputs", "--json").images
    assert [entry["path"] for entry in inputs["inputs"]] == ["files/setup.sh", "web.pkr.hcl"]
    assert inputs["unresolved"] == []
    ami = modern.run("bake").answer
    modern.write("files/setup.sh", "#!/bin/sh\necho set up otherwise\n")
    time.sleep(1.1)
    assert modern.run("bake").answer != ami
    assert modern.packer_runs == 2


def test_source_ami_of_a_data_source_is_in_the_digest(modern: Harness, ec2: EC2Client) -> None:
    assert "not in the digest" not in modern.run("check").stdout + modern.run("plan").stderr
    ami = modern.run("bake").answer
    (image,) = ec2.describe_images(ImageIds=[ami])["Images"]
    tags = {tag["Key"]: tag["Value"] for tag in image["Tags"]}
    (base,) = ec2.describe_images(ImageIds=[tags[FROM_TAG]])["Images"]
    assert (tags[FROM_TAG], tags["Base"]) == (image.get("SourceImageId"), base["Name"])


def test_packers_version_is_reported(modern: Harness, current_packer: Path) -> None:
    packer, _ = versions(current_packer)
    assert f"web: building with Packer {packer}\n" in modern.run("bake").stderr


@pytest.mark.parametrize("file", ["web.json", "web.pkr.hcl"])
def test_message_for_a_missing_amazon_plugin_has_the_command_that_installs_it(modern: Harness, file: str) -> None:
    """Packer does not include it since 1.10."""
    install = "packer plugins install github.com/hashicorp/amazon"
    modern.write("bakery.toml", f'version = 1\n[images.web]\ntemplate = "{file}"\nregions = ["us-east-1"]\n')
    template = json_template()
    modern.write("web.json", template)
    modern.write(
        "web.pkr.hcl",
        'source "amazon-ebs" "web" {\n  region = "us-east-1"\n}\nbuild {\n  sources = ["amazon-ebs.web"]\n}\n',
    )
    none = {"PACKER_PLUGIN_PATH": str(modern.make_folder(modern.folder.parent / "no-plugins"))}
    check = modern.run("check", environment=none)
    assert (check.status, install in check.stdout, "Fix the template" in check.stdout) == (1, True, False)
    bake = modern.run("bake", environment=none)
    assert (bake.status, bake.stdout, install in bake.stderr) == (1, "", True)


def newer_plugin(modern: Harness, packer: Path, version: str) -> None:
    """Installs the same plugin again, as a later `version`."""
    plugins = modern.folder.parent / "plugins"
    shutil.copytree(packer / "plugins", plugins)
    modern.environment["PACKER_PLUGIN_PATH"] = str(plugins)
    (real,) = (plugins / AMAZON).glob("packer-plugin-amazon_v*_linux_*[!M]")
    _, old = versions(packer)
    wrapper = modern.program(
        real.name.replace(old, version),
        f'#!/bin/sh\nif [ "$1" = describe ]; then {real} describe | sed s/{old}/{version}/; exit; fi\n'
        f'echo {version} >> {modern.folder.parent}/plugin-used\nexec {real} "$@"\n',
        plugins / AMAZON,
    )
    digest = hashlib.sha256(wrapper.read_bytes()).hexdigest()
    wrapper.with_name(f"{wrapper.name}_SHA256SUM").write_text(digest)


def test_newer_plugin_is_a_new_definition_and_is_what_packer_uses(modern: Harness, current_packer: Path) -> None:
    ami = modern.run("bake").answer
    newer_plugin(modern, current_packer, "1.99.0")
    (plan,) = modern.run("plan", "--json").images
    assert plan["action"] == "bake"
    assert any(reason["kind"] == "tools-changed" for reason in plan["reasons"]), plan["reasons"]
    time.sleep(1.1)
    assert modern.run("bake").answer != ami
    assert "1.99.0" in (modern.folder.parent / "plugin-used").read_text()


def test_newer_plugin_that_the_template_does_not_allow_changes_nothing(modern: Harness, current_packer: Path) -> None:
    digest = modern.run("digest").answer
    newer_plugin(modern, current_packer, "2.0.0")
    assert modern.run("digest").answer == digest
    modern.run("bake")
    assert not (modern.folder.parent / "plugin-used").exists(), "Packer sees it in the same way"


def test_plugin_version_is_in_the_digest_of_a_template_that_requires_none(
    modern: Harness, current_packer: Path
) -> None:
    template = (MODERN / "web.pkr.hcl").read_text()
    modern.write("web.pkr.hcl", "variable" + template.partition("\nvariable")[2])
    digest = modern.run("digest").answer
    newer_plugin(modern, current_packer, "2.0.0")
    assert modern.run("digest").answer != digest
    modern.run("bake")
    assert "2.0.0" in (modern.folder.parent / "plugin-used").read_text()


TEST_OF_AMI = """\
variable "source_ami" {}

source "amazon-ebs" "test" {
  region          = "us-east-1"
  source_ami      = var.source_ami
  instance_type   = "t3.micro"
  communicator    = "none"
  ami_name        = "none"
  skip_create_ami = true
}

build {
  sources = ["source.amazon-ebs.test"]
  provisioner "shell-local" { inline = ["COMMAND"] }
}
"""


def test_ami_test(modern: Harness) -> None:
    """A test makes no AMI (`skip_create_ami`). A failure keeps the AMI, and the next run tests it again."""
    modern.write("bakery.toml", f'{TOML}test = "tests/app.pkr.hcl"\n')
    modern.write("ami/app.json", json_template())
    modern.write("tests/app.pkr.hcl", TEST_OF_AMI.replace("COMMAND", "exit 1"))
    failed = modern.run("bake")
    assert failed.status == 1
    assert "is kept without the digest" in failed.stderr
    modern.write("tests/app.pkr.hcl", TEST_OF_AMI.replace("COMMAND", "true"))
    assert modern.run("bake").answer.startswith("ami-")
    assert modern.packer_runs == 3
    assert modern.calls()["CreateImage"] == 1


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_audit_follows_plugins(modern: Harness) -> None:
    """Also if the folder with their sockets is in the repository. Short names, because Linux limits their paths."""
    modern.write("bakery.toml", (modern.folder / "bakery.toml").read_text() + "inputs = []\n")
    inside = {"TMPDIR": str(modern.make_folder(modern.folder / "t"))}
    complete = modern.run("bake", "--audit=strict", "--json", environment=inside)
    assert complete.status == 0, complete.stderr
    assert complete.images[0]["audit"]["findings"] == []
    modern.write("shared/motd", "hello\n")
    reader = modern.program("hidden-read", f"#!/bin/sh\ncat {modern.folder}/shared/motd\n")
    template = (modern.folder / "web.pkr.hcl").read_text().rstrip().removesuffix("}")
    modern.write("web.pkr.hcl", f'{template}  provisioner "shell-local" {{\n    inline = ["{reader}"]\n  }}\n}}\n')
    done = modern.run("audit", "--json")
    assert done.status == 1, done.stderr
    missed = [each for each in done.images[0]["findings"] if each["kind"] == "not-in-digest"]
    assert [(each["path"], each["process"]) for each in missed] == [("shared/motd", "cat")]
