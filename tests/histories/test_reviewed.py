"""Histories that once went wrong: each was a finding of a review."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from contextlib import closing

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.adapters.packer.log import Log
from ami_bakery.core.ec2.ami import COMMIT_TAG
from ami_bakery.local import InjectedFault, LocalAws
from tests.conftest import ec2_client
from tests.harness import PROGRAMS, TOML, Harness, json_template
from tests.histories.test_why import commit, git
from tests.seed import public_ami


def test_output_that_would_be_an_input_is_refused(app: Harness) -> None:
    run = app.run("bake", "--output", "ami/ids.json")
    assert (run.status, run.stdout, app.packer_runs) == (2, "", 0)
    assert "would be an input of image app" in run.stderr


def test_old_copy_is_not_returned_after_a_forced_bake_whose_copy_failed(app: Harness, local: LocalAws) -> None:
    app.write("bakery.toml", TOML.replace('["us-east-1"]', '["us-east-1", "eu-west-1"]'))
    (first,) = app.run("bake", "--json").images
    # EC2's creation dates have seconds, and a real bake takes minutes: the second one must be newer.
    time.sleep(1.1)
    app.control.plan(InjectedFault(action="CopyImage", code="UnauthorizedOperation", times=1))
    assert app.run("bake", "--force").status == 1
    (plan,) = app.run("plan", "--json").images
    assert plan["action"] == "copy"
    (second,) = app.run("bake", "--json").images
    assert (second["outcome"], app.packer_runs) == ("copied", 2)
    assert not set(first["amis"].values()) & set(second["amis"].values())
    client = ec2_client(local, "eu-west-1")
    (image,) = client.describe_images(ImageIds=[second["amis"]["eu-west-1"]])["Images"]
    client.close()
    assert image.get("SourceImageId") == second["amis"]["us-east-1"]


def test_untagged_copy_is_taken_over(app: Harness, local: LocalAws) -> None:
    app.write("bakery.toml", TOML.replace('["us-east-1"]', '["us-east-1", "eu-west-1"]'))
    (first,) = app.run("bake", "--json").images
    copy = first["amis"]["eu-west-1"]
    with closing(ec2_client(local, "eu-west-1")) as client:
        tags = client.describe_images(ImageIds=[copy])["Images"][0]["Tags"]
        client.delete_tags(Resources=[copy], Tags=[{"Key": tag["Key"]} for tag in tags])
        (outcome,) = app.run("bake", "--json").images
        assert (outcome["outcome"], outcome["amis"]) == ("copied", first["amis"])
        assert client.describe_images(ImageIds=[copy])["Images"][0]["Tags"] == tags
    assert (app.packer_runs, app.calls()["CopyImage"]) == (1, 1)


@pytest.mark.parametrize("way", ["-q", "--quiet"])
def test_quiet_bake_that_fails_says_why(app: Harness, way: str) -> None:
    app.write("ami/app.json", json_template(region="eu-west-1"))
    run = app.run("bake", way)
    assert run.status == 1
    assert "first region is us-east-1" in run.stderr


def test_image_that_cannot_be_defined_does_not_stop_the_others(app: Harness) -> None:
    config = (app.folder / "bakery.toml").read_text()
    app.write("bakery.toml", config + '\n[images.broken]\ntemplate = "ami/absent.json"\nregions = ["us-east-1"]\n')
    run = app.run("bake", "--json")
    outcomes = {image["image"]: image["outcome"] for image in run.images}
    assert (run.status, outcomes) == (1, {"app": "baked", "broken": "failed"})


def test_later_image_is_defined_when_it_starts(app: Harness) -> None:
    """A later image includes changes made while an earlier one bakes. They are no reason to reject it."""
    app.write("second/setup.sh", "one\n")
    marker = app.folder.parent / "somebody-was-first"
    for own, other in (("ami", "second"), ("second", "ami")):
        template = json_template()
        change = f"[ -e {marker} ] || {{ touch {marker}; echo two > {app.folder}/{other}/setup.sh; }}"
        template["provisioners"] = [{"type": "shell-local", "inline": [change]}]
        app.write(f"{own}/app.json", template)
    config = (app.folder / "bakery.toml").read_text()
    app.write("bakery.toml", config + '\n[images.second]\ntemplate = "second/app.json"\nregions = ["us-east-1"]\n')
    run = app.run("bake", "--jobs", "1")
    assert run.status == 0, run.stderr
    assert marker.exists()
    assert app.run("plan", "--detailed-exitcode").status == 0


def test_template_that_does_not_use_the_source_ami_is_refused_before_the_bake(app: Harness) -> None:
    template = json_template()
    template["variables"]["source_ami"] = ""
    app.write("ami/app.json", template)
    app.write("bakery.toml", TOML + 'from = "ami-0123456789abcdef0"\n')
    run = app.run("bake")
    assert (run.status, app.packer_runs) == (1, 0)
    assert "Write the variable source_ami as its source_ami." in run.stderr


def test_sensitive_variable_of_the_environment_is_a_warning_and_hashed_on_request(app: Harness, ec2: EC2Client) -> None:
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    app.write("ami/app.pkr.hcl", HCL.replace("ami-0123456789abcdef0", public_ami(ec2)))
    run = app.run("plan", environment={"PKR_VAR_password": "one"})
    assert "PKR_VAR_password is set, but is not in the digest: the template declares it as sensitive" in run.stderr
    app.write("bakery.toml", (app.folder / "bakery.toml").read_text() + 'env = ["PKR_VAR_password"]\n')
    digests = {app.run("digest", environment={"PKR_VAR_password": value}).answer for value in ("one", "two")}
    assert len(digests) == 2
    assert "PKR_VAR_password" not in app.run("plan", environment={"PKR_VAR_password": "one"}).stderr


HCL = """\
variable "password" {
  type      = string
  sensitive = true
  default   = "x"
}
variable "zones" {
  type      = list(string)
  sensitive = true
  default   = []
}
source "amazon-ebs" "app" {
  region        = "us-east-1"
  source_ami    = "ami-0123456789abcdef0"
  instance_type = "t3.micro"
  communicator  = "none"
  ami_name      = "app-${uuidv4()}"
}
build {
  sources = ["source.amazon-ebs.app"]
  provisioner "shell-local" {
    inline = ["echo ${join("-", var.zones)}"]
  }
}
"""


def test_sensitive_list_reaches_packer_as_a_list(app: Harness, ec2: EC2Client) -> None:
    (base, *_) = ec2.describe_images(Owners=["099720109477"])["Images"]
    app.write("ami/app.pkr.hcl", HCL.replace("ami-0123456789abcdef0", base["ImageId"]))
    config = TOML.replace("app.json", "app.pkr.hcl")
    app.write("bakery.toml", config + 'vars = { zones = ["zone-one", "zone-two"], password = "p" }\n')
    run = app.run("bake", "-v")
    assert run.status == 0, run.stderr


def test_packers_own_log_is_no_input(app: Harness) -> None:
    logging = {"PACKER_LOG": "1", "PACKER_LOG_PATH": "packer.log"}
    first = app.run("bake", environment=logging)
    assert first.status == 0, first.stderr
    assert app.run("bake", environment=logging).answer == first.answer
    assert app.packer_runs == 1


def test_closed_reader_of_stderr_does_not_stop_a_bake(app: Harness) -> None:
    template = json_template()
    template["provisioners"] = [{"type": "shell-local", "inline": ["seq 1 20000"]}]
    app.write("ami/app.json", template)
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {PROGRAMS}/ami-bakery bake -v 2> >(head -2 >&2)"],
        env=app.environment,
        cwd=app.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, len(done.stdout)) == (0, len("ami-0123456789abcdef0\n"))


def test_unwritable_log_does_not_stop_a_bake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    with Log("app") as log:
        log.write("the last words")
        assert log.keep() == "Cannot write the log: No such file or directory"
        assert log.end() == "  | the last words"


@pytest.mark.parametrize(
    ("redirection", "status", "said"),
    [(">&-", 0, ""), (">/dev/full", 1, "writing to stdout"), ("2>&-", 0, "")],
)
def test_closed_and_full_streams(app: Harness, redirection: str, status: int, said: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{PROGRAMS}/ami-bakery digest {redirection}"],
        env=app.environment,
        cwd=app.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert said in done.stderr


def test_nohup_is_respected(app: Harness) -> None:
    template = json_template()
    template["provisioners"] = [{"type": "shell-local", "inline": ["sleep 2"]}]
    app.write("ami/app.json", template)
    process = subprocess.Popen(
        ["sh", "-c", f"trap '' HUP; exec {PROGRAMS}/ami-bakery bake -v"],
        env=app.environment,
        cwd=app.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "Running local shell script" not in (line := process.stderr.readline()):
        assert line, "it ended before Packer was at work"
    os.kill(process.pid, signal.SIGHUP)
    out, rest = process.communicate(timeout=300)
    assert process.returncode == 0, rest
    assert out.startswith("ami-")


@pytest.mark.parametrize(
    "line",
    ['ignore = ["!"]', 'vars = { size = "a\\u0000b" }', 'only = ["a\\u0000b"]', f"max_age = {'9' * 5000}"],
)
def test_hostile_values_are_problems_with_a_line(app: Harness, line: str) -> None:
    app.write("bakery.toml", f"{TOML}{line}\n")
    run = app.run("plan")
    assert run.status == 1
    assert "bakery.toml" in run.stderr


def test_name_cannot_forge_a_line_or_control_the_terminal(app: Harness) -> None:
    app.write("ami/a\nforged\x1b[31m", "x")
    lines = app.run("inputs").answer.splitlines()
    assert not any(line.startswith("forged") for line in lines)
    assert "\x1b" not in "".join(lines)
    (app.folder / "ami/b\x1b[31m").symlink_to("nowhere")
    assert "\x1b[31m" not in app.run("plan").stderr


def test_script_chosen_by_the_region_is_the_one_that_packer_uses(app: Harness) -> None:
    """ami-bakery passes `aws_region`. The template's default must not select the hashed file."""
    template = json_template()
    template["variables"]["aws_region"] = "us-east-1"
    template["provisioners"] = [{"type": "shell-local", "script": "../ext/{{user `aws_region`}}.sh"}]
    app.write("ami/app.json", template)
    app.write("bakery.toml", TOML.replace("us-east-1", "eu-west-1"))
    app.write("ext/us-east-1.sh", "#!/bin/sh\n").chmod(0o755)
    script = app.write("ext/eu-west-1.sh", "#!/bin/sh\n")
    script.chmod(0o755)
    listed = [item["path"] for item in app.run("inputs", "--json").images[0]["inputs"]]
    assert "ext/eu-west-1.sh" in listed
    assert "ext/us-east-1.sh" not in listed
    first = app.run("bake").answer
    script.write_text("#!/bin/sh\n# changed\n")
    assert app.run("bake").answer != first


def test_path_that_depends_on_the_digest_is_reported_as_unknown(app: Harness) -> None:
    template = json_template()
    template["provisioners"] = [{"type": "file", "source": "{{user `config_checksum`}}.sh", "destination": "/tmp"}]
    app.write("ami/app.json", template)
    assert "config_checksum" in app.run("plan").stderr


def test_source_ami_that_changes_between_two_images_of_one_run_is_looked_up_again(app: Harness, ec2: EC2Client) -> None:
    (ubuntu, *_) = ec2.describe_images(Owners=["099720109477"])["Images"]
    ec2.copy_image(Name="golden-1", SourceImageId=ubuntu["ImageId"], SourceRegion="us-east-1")
    golden = {"owners": ["self"], "filters": {"name": "golden-*"}, "most_recent": True}
    app.write("second/second.json", json_template(source_ami_filter=golden))
    template = json_template(source_ami_filter=golden)
    move = f"""
import boto3
ec2 = boto3.client("ec2")
ec2.copy_image(Name="golden-2", SourceImageId="{ubuntu["ImageId"]}", SourceRegion="us-east-1")
"""
    app.write("move.py", move)
    # EC2's creation dates have seconds: the second one must be newer.
    command = f"sleep 1.1; {PROGRAMS}/python {app.folder}/move.py"
    template["provisioners"] = [{"type": "shell-local", "inline": [command]}]
    app.write("ami/app.json", template)
    app.write("bakery.toml", TOML + '[images.second]\ntemplate = "second/second.json"\nregions = ["us-east-1"]\n')
    run = app.run("bake", "--jobs", "1")
    assert run.status == 0, run.stderr
    second = run.stdout.splitlines()[1].rpartition("\t")[2]
    (image,) = ec2.describe_images(ImageIds=[second])["Images"]
    (base,) = ec2.describe_images(ImageIds=[str(image.get("SourceImageId"))])["Images"]
    assert base["Name"] == "golden-2"


def test_copy_whose_name_is_taken_gets_a_name_of_its_own(app: Harness, ec2: EC2Client) -> None:
    """The second region has an AMI with the name of every build. The template sets this name."""
    both = TOML.replace('["us-east-1"]', '["us-east-1", "eu-west-1"]')
    app.write("bakery.toml", both)
    app.write("ami/app.json", json_template(ami_name="always-the-same"))
    (first,) = app.run("bake", "--json").images
    ec2.deregister_image(ImageId=first["amis"]["us-east-1"])
    app.write("ami/setup.sh", "changed\n")
    (second,) = app.run("bake", "--json").images
    assert second["outcome"] == "baked"
    assert second["amis"]["eu-west-1"] != first["amis"]["eu-west-1"]


def test_check_finds_builders_that_cannot_create_the_image(app: Harness) -> None:
    template = json_template(name="one", region="eu-west-1")
    template["builders"].append({**template["builders"][0], "name": "two"})
    app.write("ami/app.json", template)
    run = app.run("check", "--json")
    (image,) = run.images
    assert run.status == 1
    assert {"region-mismatch", "several-amis"} <= {finding["code"] for finding in image["findings"]}


def test_git_hook_variables_are_ignored(app: Harness, ec2: EC2Client) -> None:
    """A hook's GIT_DIR names the repository that it runs in. The images' repository may be another one."""
    git(app, "init", "--quiet")
    head = commit(app)
    elsewhere = {"GIT_DIR": "/nonexistent", "GIT_WORK_TREE": "/nonexistent"}
    ami = app.run("bake", environment=elsewhere).answer
    (image,) = ec2.describe_images(ImageIds=[ami])["Images"]
    assert {"Key": COMMIT_TAG, "Value": head} in image["Tags"]


def test_file_in_the_home_folder_is_the_same_for_every_user(app: Harness) -> None:
    template = json_template(user_data_file="{{user `home`}}/user-data")
    template["variables"]["home"] = "{{env `HOME`}}"
    app.write("ami/app.json", template)
    digests = set()
    for name in ("one", "two"):
        home = app.make_folder(app.folder.parent / name)
        (home / "user-data").write_text("#!/bin/sh\n")
        digests.add(app.run("digest", environment={"HOME": str(home)}).answer)
    assert len(digests) == 1
    (home / "user-data").write_text("#!/bin/sh\n# changed\n")
    digests.add(app.run("digest", environment={"HOME": str(home)}).answer)
    assert len(digests) == 2
    assert "input-outside" in app.run("check", environment={"HOME": str(home)}).stdout


def test_owners_without_this_account_are_refused(app: Harness) -> None:
    """EC2 shows an AMI's tags to its owner alone: each run would find nothing, and build."""
    app.write("bakery.toml", TOML + 'owners = ["444455556666"]\n')
    for command in ("plan", "bake"):
        run = app.run(command)
        assert (run.status, app.packer_runs) == (1, 0)
        assert "owners is 444455556666, but the credentials belong to 111122223333" in run.stderr
        assert "(bakery.toml:7)" in run.stderr
    app.write("bakery.toml", TOML + 'owners = ["111122223333"]\n')
    ami = app.run("bake").answer
    assert (app.run("bake").answer, app.packer_runs) == (ami, 1)
    app.write("bakery.toml", TOML + 'owners = ["self", "444455556666"]\n')
    (image,) = app.run("check", "--json").images
    assert ("owners-never-found", 7) in [(finding["code"], finding["line"]) for finding in image["findings"]]
