"""The image in a Docker Engine: drop-in mode, users, owners, signals and contents."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from mypy_boto3_ec2 import EC2Client

from tests.docker.engine import Engine
from tests.docker.image import IMAGE_ARGUMENTS, build_options, built_of, words_of
from tests.docker.stage import Stage
from tests.documents import ROOT
from tests.harness import json_template, leftover_resources

MOUNTS = "--mount type=bind,source=$(pwd),target=$(pwd) --mount type=bind,source=$HOME/.aws/,target=/root/.aws"
DROP_IN = (
    "-e AWS_DEFAULT_REGION -e AWS_SUBNET_ID -e PACKER_JSON_PATH=$(pwd)/ami/packer/ami.json "
    f"-e AMI_DEFINITION_DIRS=$(pwd)/ami {MOUNTS}"
)
ORIGINAL = f"docker run --rm -t {DROP_IN} ami-bakery"
IN_FOLDER = f"docker run --rm -e AWS_DEFAULT_REGION -w $(pwd) {MOUNTS}"


def test_the_originals_docker_command_bakes_once(stage: Stage) -> None:
    first = stage.shell(ORIGINAL)
    assert first.status == 0, first.stdout
    lines = first.stdout.splitlines()
    ami = lines[-1]
    assert re.fullmatch(r"ami-[0-9a-f]{17}", ami)
    assert "default: building with Packer" in first.stdout
    assert "\x1b[2K" not in first.stdout, "no live view, which would clutter a pipeline's log"
    assert (stage.folder / "ami/packer/.ami_id.json").read_text() == f'{{"ami_id": "{ami}"}}'
    assert stage.of_others() == []

    second = stage.shell(ORIGINAL)
    assert second.stdout.splitlines()[-1] == ami
    assert stage.packer_runs == 1


def test_a_container_runs_any_command_of_the_program_and_other_programs(stage: Stage) -> None:
    assert "+ bake" in stage.shell(f"{ORIGINAL} plan").stdout
    ami = stage.shell(f"docker run --rm {DROP_IN} ami-bakery bake default").answer
    assert stage.shell(f"docker run --rm {DROP_IN} ami-bakery bake").answer == ami
    assert stage.shell(f"docker run --rm {DROP_IN} ami-bakery ami-bakery plan --detailed-exitcode").status == 0
    assert stage.packer_runs == 1
    assert stage.shell("docker run --rm ami-bakery --version").answer == "ami-bakery 1.2.3"
    assert stage.shell("docker run --rm ami-bakery packer version").answer.startswith("Packer v1.")
    assert stage.shell("docker run --rm ami-bakery sh -c 'exit 7'").status == 7
    mistyped = stage.shell("docker run --rm ami-bakery paln")
    assert mistyped.status == 2
    assert "unknown command 'paln'; did you mean 'plan'?" in mistyped.stderr


def test_a_container_bakes_the_images_of_a_bakery_toml(stage: Stage, ec2: EC2Client) -> None:
    ami = stage.shell(f"{IN_FOLDER} ami-bakery bake --output ami.env").answer
    assert (stage.folder / "ami.env").read_text().count(ami)
    assert stage.of_others() == []
    tags = {tag["Key"]: tag["Value"] for tag in ec2.describe_images(ImageIds=[ami])["Images"][0]["Tags"]}
    assert tags["ami-bakery:commit"] == stage.head()
    named = f"docker run --rm -e AWS_DEFAULT_REGION {MOUNTS} ami-bakery -C $(pwd)/bakery.toml bake"
    assert stage.shell(named).answer == ami


@pytest.fixture
def leaving(stage: Stage) -> Stage:
    """A template whose local command creates a file and a folder."""
    template = json_template()
    script = "mkdir -p left/behind && id -u > left/behind/by"
    template["provisioners"] = [{"type": "shell-local", "inline": [script]}]
    stage.write("ami/packer/ami.json", json.dumps(template))
    return stage


def test_files_that_packer_creates_belong_to_the_folders_owner(leaving: Stage) -> None:
    assert leaving.shell(ORIGINAL).status == 0
    left = leaving.folder / "ami/packer/left/behind/by"
    assert left.read_text() == f"{leaving.user[0]}\n"
    assert leaving.of_others() == []


def test_a_container_can_be_told_to_run_as_root(leaving: Stage) -> None:
    assert leaving.shell(ORIGINAL.replace("-t", "-t -e AMI_BAKERY_AS_ROOT=1", 1)).status == 0
    left = leaving.folder / "ami/packer/left/behind/by"
    assert left.read_text() == "0\n"
    leaving.shell(f"docker run --rm {MOUNTS} -e AMI_BAKERY_AS_ROOT=1 ami-bakery rm -r $(pwd)/ami/packer")


@pytest.mark.parametrize("extra", ["", "--read-only --tmpfs /tmp", "--cap-drop ALL"])
def test_a_container_runs_as_any_user(stage: Stage, ec2: EC2Client, extra: str) -> None:
    """The user is the owner of the credentials, and has no name in the image."""
    uid, gid = stage.user
    run = f"{IN_FOLDER} --user {uid}:{gid} {extra} ami-bakery"
    ami = stage.shell(f"{run} bake").answer
    tags = {tag["Key"]: tag["Value"] for tag in ec2.describe_images(ImageIds=[ami])["Images"][0]["Tags"]}
    assert tags["ami-bakery:commit"] == stage.head(), "git reads a repository of any owner"
    assert stage.of_others() == []
    assert stage.shell(f"{run} id -un").answer == "bakery"


def test_the_home_folder_is_writable_for_every_user(stage: Stage) -> None:
    write = "ami-bakery sh -c 'touch $HOME/file && echo $HOME'"
    assert stage.shell(f"docker run --rm --user 4321:4321 {write}").answer == "/root"
    assert stage.shell(f"docker run --rm --user 4321:4321 -e HOME=/home/not-there {write}").answer == "/root"


def test_a_container_without_capabilities_runs_as_root(stage: Stage) -> None:
    """Root cannot change to another user there."""
    assert stage.shell(f"docker run --rm --cap-drop ALL {MOUNTS} -w $(pwd) ami-bakery id -u").answer == "0"


@pytest.mark.parametrize("by", ["docker stop", "its client's end"])
def test_stopping_the_container_leaves_no_resource_in_ec2(stage: Stage, ec2: EC2Client, by: str) -> None:
    """Docker's client passes on signals, such as that of a cancelled pipeline."""
    template = json_template()
    template["provisioners"] = [{"type": "shell-local", "inline": ["touch begun; sleep 600"]}]
    stage.write("ami/packer/ami.json", json.dumps(template))
    name = f"bake-{stage.folder.parent.name}"
    process = stage.start(ORIGINAL.replace("-t ", f"-t --name {name} "))
    _until_there(stage, process)
    if by == "docker stop":
        stage.docker.answer("stop", "-t", "120", name, timeout=180)
    else:
        process.terminate()
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "Interrupted by SIGTERM" in said
    assert leftover_resources(ec2) == []
    assert ec2.describe_images(Owners=["self"])["Images"] == []


def _until_there(stage: Stage, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not (stage.folder / "ami/packer/begun").exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "Packer does not reach the provisioner"
        time.sleep(0.1)


def test_a_failed_bake_is_the_containers_exit_status(stage: Stage) -> None:
    template = json_template()
    template["provisioners"] = [{"type": "shell-local", "inline": ["echo no luck; exit 3"]}]
    stage.write("ami/packer/ami.json", json.dumps(template))
    failed = stage.shell(ORIGINAL)
    assert failed.status == 1
    assert "no luck" in failed.stdout


def test_the_image_has_labels_and_no_health_check(docker: Engine, image: str) -> None:
    (about,) = json.loads(docker.answer("image", "inspect", image))
    labels = about["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "AMI Bakery"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.version"] == "1.2.3"
    assert labels["org.opencontainers.image.revision"] == "f" * 40
    assert about["Config"].get("Healthcheck") is None


def test_the_image_contains_no_build_arguments_and_tools(docker: Engine, image: str) -> None:
    history = docker.answer("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    assert "PIP_" not in history
    assert "secret" not in history
    unwanted = (
        "-name pip",
        "-name pip.conf",
        "-path '/run/secrets/*'",
        "-path '/var/lib/apt/lists/*_*'",
        "-name '*.deb'",
    )
    assert docker.answer("run", "--rm", image, "sh", "-c", f"find / -xdev {' -o '.join(unwanted)}") == ""


def test_a_second_build_has_the_same_layers(docker: Engine, image: str, tmp_path: Path) -> None:
    """The second build uses no cache, and a clone with other timestamps and modes."""
    clone = tmp_path / "clone"
    for name in (".dockerignore", "Dockerfile", "LICENSE", "README.md", "pyproject.toml", "docker", "docs/man", "src"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, clone / name)
    for path in clone.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
        os.utime(path, (1e9, 1e9))
    options = (*build_options(docker, tmp_path), *words_of(IMAGE_ARGUMENTS), "--no-cache")
    with built_of(docker, clone, *options) as again:
        assert layers(docker, again) == layers(docker, image)


def layers(docker: Engine, image: str) -> list[str]:
    """Returns the layers' digests, which include timestamps, owners and modes."""
    (about,) = json.loads(docker.answer("image", "inspect", image))
    return list(about["RootFS"]["Layers"])


def test_a_bake_with_ansible_in_the_images_own_ec2(stage: Stage, everything: str) -> None:
    """`LOCAL` and `ANSIBLE` suffice: there is no network, and only the repository is mounted."""
    template = json_template(communicator="ssh", ssh_username="ubuntu")
    here = {"type": "ansible", "playbook_file": "playbook.yml", "extra_arguments": ["--connection=local"]}
    template["provisioners"] = [here]
    copy = {"content": "{{ ansible_facts.user_id }}", "dest": "{{ playbook_dir }}/../../played"}
    stage.write("ami/packer/ami.json", json.dumps(template))
    stage.write("ami/packer/playbook.yml", json.dumps([{"hosts": "all", "tasks": [{"name": "play", "copy": copy}]}]))
    options = (f"--mount=type=bind,source={stage.folder},target={stage.folder}", f"--workdir={stage.folder}")
    bake = ("local", "--", "ami-bakery", "bake", "--verbose")
    done = stage.docker.run("run", "--rm", "--network=none", *options, everything, *bake, timeout=300)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"ami-[0-9a-f]{17}", done.stdout.strip())
    assert (stage.folder / "played").read_text() == "bakery"
    assert stage.of_others() == []


def test_packer_can_come_from_another_image(stage: Stage, current: str) -> None:
    """The plugins come from a Dockerfile that is based on this image."""
    stage.environment["TESTED_IMAGE"] = current
    stage.copy(ROOT / "tests/end_to_end/modern")
    uid, gid = stage.user
    bake = f"{IN_FOLDER} --user {uid}:{gid} ami-bakery bake"
    ami = stage.shell(bake).answer
    assert stage.shell(bake).answer == ami
    assert stage.packer_runs == 1
    assert stage.shell("docker run --rm ami-bakery packer version").answer.startswith("Packer v1.16")
