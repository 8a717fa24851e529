"""Output on stdout, in files and for shells; and values that must not appear in it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest
from mypy_boto3_ec2 import EC2Client

from tests.harness import PROGRAMS, TOML, Harness, json_template

AMI = re.compile(r"ami-[0-9a-f]{17}")


def test_bake_prints_only_the_id_to_stdout(app: Harness) -> None:
    for options in ((), ("-v",), ("-q",), ("--color", "always")):
        run = app.run("bake", *options)
        assert AMI.fullmatch(run.answer), run.stdout
    assert app.packer_runs == 1


def test_successful_quiet_bake_prints_nothing_to_stderr(app: Harness) -> None:
    assert app.run("bake", "-q").stderr == ""


def test_verbose_bake_shows_packers_full_log(app: Harness) -> None:
    run = app.run("bake", "-v")
    assert "app: | ==> amazon-ebs: Creating AMI" in run.stderr
    assert "Build 'amazon-ebs' finished" in run.stderr
    assert "Creating AMI" not in app.run("bake", "--force").stderr


def test_successful_bake_removes_its_log(app: Harness) -> None:
    app.run("bake")
    assert list((app.folder.parent / "tmp").iterdir()) == []


def test_common_options_are_accepted_before_and_after_the_command(app: Harness) -> None:
    config = str(app.folder / "bakery.toml")
    elsewhere = app.make_folder(app.folder.parent / "elsewhere")
    before = app.run("-C", config, "digest", cwd=elsewhere).answer
    behind = app.run("digest", "-C", config, cwd=elsewhere).answer
    assert before == behind == app.run("digest").answer


def test_bakery_toml_is_found_from_a_subfolder(app: Harness) -> None:
    assert app.run("digest", cwd=app.folder / "ami").answer == app.run("digest").answer


def test_json_documents_have_the_documented_members(app: Harness) -> None:
    (plan,) = app.run("plan", "--json").images
    assert set(plan) == {"image", "action", "digest", "reasons", "amis"}
    assert all(set(reason) == {"kind", "subject", "detail"} for reason in plan["reasons"])
    (outcome,) = app.run("bake", "--json").images
    assert set(outcome) == {"image", "outcome", "digest", "amis", "seconds"}
    (digest,) = app.run("digest", "--json").images
    assert digest == {"image": "app", "scheme": "sha256", "digest": outcome["digest"]}
    (inputs,) = app.run("inputs", "--json").images
    assert set(inputs) == {"image", "inputs", "unresolved"}
    assert set(inputs["inputs"][0]) == {"path", "type", "executable", "sha256", "named_by"}
    (listed,) = app.run("images", "--json").images
    assert listed["ami"] == outcome["amis"]["us-east-1"]
    assert listed["digest"] == outcome["digest"]


def test_every_command_works_in_drop_in_mode(drop_in: Harness) -> None:
    (plan,) = drop_in.run("plan", "--json").images
    assert (plan["image"], plan["action"]) == ("default", "bake")
    ami = drop_in.run(program="bake").answer
    (digest,) = drop_in.run("digest", "--json").images
    assert (digest["scheme"], len(digest["digest"])) == ("sha1", 40)
    (inputs,) = drop_in.run("inputs", "--json").images
    assert [Path(item["path"]).name for item in inputs["inputs"]] == ["ami.json", "setup.sh"]
    (listed,) = drop_in.run("images", "--json").images
    assert (listed["image"], listed["ami"]) == ("default", ami)


def test_config_option_overrides_drop_in_mode(app: Harness, drop_in: Harness) -> None:
    assert len(app.run("digest").answer) == 40
    assert len(app.run("digest", "-C", "bakery.toml").answer) == 64


def test_inputs_and_the_drop_in_digest_need_no_aws(app: Harness, drop_in: Harness) -> None:
    without = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_DEFAULT_REGION": None}
    assert app.run("digest", environment=without).status == 0
    assert app.run("inputs", "-C", "bakery.toml", environment=without).status == 0
    assert app.calls() == {}


def test_output_files_are_written_in_the_format_of_their_extension(app: Harness) -> None:
    app.write("bakery.toml", TOML.replace('["us-east-1"]', '["us-east-1", "eu-west-1"]'))
    (outcome,) = app.run("bake", "--json", "--output", "out.json").images
    ids = outcome["amis"]
    home = ids["us-east-1"]
    assert json.loads((app.folder / "out.json").read_text())["images"][0]["amis"] == ids
    app.run("bake", "--output", "ami.auto.tfvars.json")
    tfvars = json.loads((app.folder / "ami.auto.tfvars.json").read_text())
    assert tfvars == {"ami_id": home, "ami_ids": ids, "amis": {"app": ids}}
    app.run("bake", "--output", "ami.env")
    assert (app.folder / "ami.env").read_text().splitlines() == [
        f"AMI_ID={home}",
        f"AMI_ID_APP={home}",
        f"AMI_ID_APP_US_EAST_1={home}",
        f"AMI_ID_APP_EU_WEST_1={ids['eu-west-1']}",
    ]
    github = app.write("github_output_1234", "earlier=line\n")
    app.run("bake", "--output", str(github), environment={"GITHUB_OUTPUT": str(github)})
    assert github.read_text().splitlines() == [
        "earlier=line",
        f"ami-id={home}",
        f"amis={json.dumps({'app': ids})}",
        "outcome=reused",
    ]


def test_repeated_output_options_write_every_file(app: Harness) -> None:
    github = app.folder.parent / "github_output"
    files = ("amis.auto.tfvars.json", "amis.env", str(github))
    options = [word for name in (*files, "amis.env") for word in ("--output", name)]
    ami = app.run("bake", *options, environment={"GITHUB_OUTPUT": str(github)}).answer
    assert json.loads((app.folder / "amis.auto.tfvars.json").read_text())["amis"] == {"app": {"us-east-1": ami}}
    assert (app.folder / "amis.env").read_text().startswith(f"AMI_ID={ami}\n")
    assert github.read_text().startswith(f"ami-id={ami}\n")
    assert app.run("plan", "--output", "absent/plan.json", "--output", "plan.json").status == 2
    assert not (app.folder / "plan.json").exists(), "all files are checked first"


def test_one_unwritable_file_does_not_prevent_writing_the_others(app: Harness) -> None:
    full = {"GITHUB_OUTPUT": "/dev/full"}
    run = app.run("plan", "--output", "/dev/full", "--output", "plan.json", environment=full)
    assert run.status == 1
    assert "No space left on device\n  Fix this and run the command again.\n" in run.stderr
    assert json.loads((app.folder / "plan.json").read_text())["images"][0]["action"] == "bake"
    run = app.run("bake", "--output", "/dev/full", "--output", "ids.json", environment=full)
    assert (run.status, len(AMI.findall(run.stdout))) == (1, 1)
    assert "Fix this and run the command again. Finished AMIs are reused.\n" in run.stderr
    assert run.stdout.strip() in (app.folder / "ids.json").read_text()


def test_output_files_have_the_mode_of_the_umask(app: Harness) -> None:
    app.run("bake", "--output", "out.json")
    expected = app.write("plain", "").stat().st_mode
    assert (app.folder / "out.json").stat().st_mode == expected


SECRET = "correct-horse-battery-staple"


@pytest.mark.parametrize("form", ["json", "hcl"])
def test_sensitive_variables_appear_in_no_output_log_or_tag(app: Harness, ec2: EC2Client, form: str) -> None:
    """Searches both streams, logs, tags and Packer's command line for sensitive values."""
    if form == "json":
        template = json_template()
        template["variables"]["password"] = ""
        template["sensitive-variables"] = ["password"]
        template["provisioners"] = [{"type": "shell-local", "inline": ["echo it is {{user `password`}}; exit $FAIL"]}]
        app.write("ami/app.json", template)
    else:
        app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
        app.write("ami/app.pkr.hcl", HCL)
    seen = app.folder.parent / "command-lines"
    spy = app.program("spy", f'#!/bin/sh\necho "$@" >> {seen}\nexec packer "$@"\n')
    config = (app.folder / "bakery.toml").read_text()
    app.write("bakery.toml", f'{config}vars = {{ password = "{SECRET}" }}\n')
    for fail in ("0", "7"):
        run = app.run("bake", "-v", "--force", "--packer", str(spy), environment={"FAIL": fail})
        assert "it is <sensitive>" in run.stderr, run.stderr
        assert run.status == (fail != "0")
        assert SECRET not in run.stdout + run.stderr
    for command in ("plan", "inputs", "digest", "images"):
        run = app.run(command, "--json")
        assert SECRET not in run.stdout + run.stderr
    assert SECRET not in seen.read_text()
    assert SECRET not in str(ec2.describe_images(Owners=["self"]))
    logs = list((app.folder.parent / "tmp").iterdir())
    assert len(logs) == 1, "the failed bake keeps its log"
    assert "<sensitive>" in logs[0].read_text()
    assert SECRET not in logs[0].read_text()


HCL = """\
variable "password" {
  type      = string
  sensitive = true
}

variable "config_checksum" {
  type = string
}

source "amazon-ebs" "app" {
  region        = "us-east-1"
  instance_type = "t3.micro"
  communicator  = "none"
  ami_name      = "app-${uuidv4()}"
  source_ami_filter {
    owners      = ["099720109477"]
    most_recent = true
    filters = {
      name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*"
    }
  }
  tags = {
    ami_config_checksum = var.config_checksum
  }
}

build {
  sources = ["source.amazon-ebs.app"]
  provisioner "shell-local" {
    inline = ["echo it is ${var.password}; exit $FAIL"]
  }
}
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_interrupts_packer_and_waits_for_its_cleanup(app: Harness, ec2: EC2Client, number: int) -> None:
    template = json_template()
    template["provisioners"] = [{"type": "shell-local", "inline": ["sleep 600; echo came to its end"]}]
    app.write("ami/app.json", template)
    process = app.start("bake", "-v")
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "Running local shell script" in line:
            break
    process.send_signal(number)
    out, rest = process.communicate(timeout=300)
    assert process.returncode == 130, "".join(lines) + rest
    assert out == ""
    assert "interrupted" in rest
    assert "amazon-ebs: came to its end" not in rest
    states = {
        instance["State"]["Name"]
        for reservation in ec2.describe_instances()["Reservations"]
        for instance in reservation["Instances"]
    }
    assert states <= {"terminated"}
    assert ec2.describe_key_pairs()["KeyPairs"] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(app: Harness, shell: str) -> None:
    assert "ami-bakery" in app.run("completion", shell).answer


def test_bash_completes_commands_options_and_images(app: Harness) -> None:
    script = f"""
        eval "$({PROGRAMS}/ami-bakery completion bash)"
        complete_line() {{
            COMP_LINE="$1" COMP_POINT=${{#1}} COMP_TYPE=9 COMP_WORDS=($1) COMP_CWORD=1
            _python_argcomplete "${{1%% *}}"
            echo "${{COMPREPLY[*]}}"
        }}
        complete_line "ami-bakery pl"
        complete_line "ami-bakery plan --det"
        complete_line "ami-bakery bake a"
        complete_line "bake a"
    """
    done = subprocess.run(
        ["bash", "-c", script], env=app.environment, cwd=app.folder, capture_output=True, text=True, check=True
    )
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["plan"],
        ["--detailed-exitcode"],
        ["app"],
        ["app"],
    ]


def test_the_help_of_every_command_is_printed(app: Harness) -> None:
    for command in ("bake", "plan", "digest", "inputs", "images", "local", "completion"):
        assert "usage: ami-bakery" in app.run(command, "--help").answer
    assert "usage: bake" in app.run("--help", program="bake").answer
    assert re.fullmatch(r"ami-bakery \S+", app.run("--version").answer)


def test_closed_stdout_pipe_is_not_reported_as_an_internal_error(app: Harness) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{PROGRAMS}/ami-bakery inputs | true"],
        env=app.environment,
        cwd=app.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr


def test_known_digests_are_printed_if_another_image_waits_for_its_parent(app: Harness) -> None:
    pinned = json_template(source_ami="{{user `source_ami`}}")
    pinned["variables"]["source_ami"] = ""
    del pinned["builders"][0]["source_ami_filter"]
    app.write("child/child.json", pinned)
    app.write("bakery.toml", f'{TOML}[images.child]\ntemplate = "child/child.json"\nfrom = "app"\n')
    run = app.run("digest")
    assert run.status == 1
    assert re.fullmatch(r"app\t[0-9a-f]{64}\n", run.stdout)
    assert "the digest covers the AMI id of its parent image 'app', which has not been built yet" in run.stderr


@pytest.mark.parametrize("command", ["digest", "inputs", "plan", "bake", "check"])
def test_every_command_in_drop_in_mode_warns_about_files_outside_the_checksum(drop_in: Harness, command: str) -> None:
    drop_in.write("ami/.hidden", "not covered\n")
    run = drop_in.run(command)
    assert "ami/.hidden" in run.stderr + run.stdout
    assert "not their names and modes, variables" in run.stderr + run.stdout


@pytest.mark.parametrize("there", [True, False], ids=["target exists", "dangling"])
def test_output_to_a_symbolic_link_writes_to_its_target(app: Harness, there: bool) -> None:
    target = app.folder.parent / "target.json"
    if there:
        target.write_text("old")
    (app.folder / "out.json").symlink_to("../target.json")
    ami = app.run("bake", "--output", "out.json").answer
    assert (app.folder / "out.json").is_symlink()
    assert json.loads(target.read_text())["images"][0]["amis"] == {"us-east-1": ami}


@pytest.mark.parametrize("device", ["/dev/null", "/dev/stdout"])
def test_output_to_a_link_to_a_device_writes_to_the_device(app: Harness, device: str) -> None:
    (app.folder / "out.json").symlink_to(device)
    run = app.run("bake", "--output", "out.json")
    assert run.status == 0, run.stderr
    assert (app.folder / "out.json").is_symlink()
    assert ('"format": 1' in run.stdout) == (device == "/dev/stdout")


def test_output_to_a_link_into_the_inputs_is_refused(app: Harness) -> None:
    (app.folder / "out.json").symlink_to("ami/made.json")
    run = app.run("bake", "--output", "out.json")
    assert (run.status, app.packer_runs) == (2, 0)
    assert "it would be an input of image app" in run.stderr
