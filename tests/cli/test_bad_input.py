"""User errors: each has a message of three parts and the right exit status, and leaves nothing half done."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.core.ec2.ami import DIGEST_TAG
from ami_bakery.local import InjectedFault
from tests.harness import PROGRAMS, TOML, Harness, Run, json_template


def error_parts(run: Run, *words: str, status: int = 1) -> list[str]:
    """Returns the parts of the error: operation, cause and advice. Asserts that stdout is empty."""
    assert run.status == status, run.stderr
    assert run.stdout == ""
    lines = run.stderr.splitlines()
    (start,) = (number for number, line in enumerate(lines) if re.match(r"(\S+: )?error: ", line))
    # After an empty line comes the table of all images.
    parts = list(itertools.takewhile(bool, lines[start:]))
    assert len(parts) >= 3, run.stderr
    assert all(line.startswith("  ") for line in parts[1:]), run.stderr
    for word in words:
        assert word in run.stderr
    return parts


def nothing_baked(harness: Harness) -> None:
    assert harness.packer_runs == 0
    assert "RunInstances" not in harness.calls()


# The definition

_BUILD = 'source "amazon-ebs" "a" {\n  region = "us-east-1"\n}\nbuild {\n  sources = ["source.amazon-ebs.a"]\n}\n'


def test_missing_input_folder_is_an_error(app: Harness, drop_in: Harness) -> None:
    absent = {"AMI_DEFINITION_DIRS": f"{drop_in.folder}/absent"}
    error_parts(drop_in.run(program="bake", environment=absent), "there is no folder", "/absent", "mount")
    nothing_baked(drop_in)
    app.write("bakery.toml", TOML.replace('inputs = ["ami"]', 'inputs = ["ami", "absent"]'))
    without = {"PACKER_JSON_PATH": None}
    error_parts(app.run("bake", environment=without), "absent", "bakery.toml:5", "no such file or folder")
    nothing_baked(app)


def test_running_out_of_memory_is_reported_as_an_error(app: Harness) -> None:
    """Twelve texts of 32 MiB exceed the limit of 500 MB."""
    (app.folder / "ami/large").write_bytes(b"x" * (1 << 25))
    values = "".join(f'  v{number} = file("${{path.root}}/large")\n' for number in range(12))
    app.write("ami/app.pkr.hcl", f"locals {{\n{values}}}\n{_BUILD}")
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))

    error_parts(app.run("inputs", prefix=["sh", "-c", 'ulimit -v 500000 && exec "$@"', "sh"]), "out of memory")


@pytest.fixture
def unprivileged() -> Iterator[tuple[Path, list[str]]]:
    """Returns a folder accessible to all users, and a command prefix. The prefix drops root's permissions."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
    yield folder, prefix
    shutil.rmtree(folder)


def test_unreadable_input_is_an_error(unprivileged: tuple[Path, list[str]]) -> None:
    folder, prefix = unprivileged
    (folder / "ami.json").write_text("{}")
    (folder / "secret.sh").write_text("x")
    (folder / "secret.sh").chmod(0)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/",
        "PACKER_JSON_PATH": f"{folder}/ami.json",
        "AMI_DEFINITION_DIRS": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [*prefix, str(PROGRAMS / "ami-bakery"), "digest"],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if "Permission denied" in done.stderr and "secret.sh" not in done.stderr:
        pytest.skip(f"another user may not run the program here: {done.stderr.strip()}")
    error_parts(Run(status=done.returncode, stdout=done.stdout, stderr=done.stderr), "secret.sh", "Permission denied")


def test_definition_without_files_is_an_error(app: Harness, drop_in: Harness) -> None:
    drop_in.make_folder(drop_in.folder / "empty")
    drop_in.write("empty/.hidden", "x")
    error_parts(
        drop_in.run(environment={"AMI_DEFINITION_DIRS": "empty"}, program="bake"), "there is no file whose name"
    )
    error_parts(
        drop_in.run(environment={"AMI_DEFINITION_DIRS": " , "}, program="bake"),
        "AMI_DEFINITION_DIRS is empty",
        status=2,
    )
    error_parts(drop_in.run(environment={"AMI_DEFINITION_DIRS": None}, program="bake"), "DIRS is empty", status=2)
    app.write("bakery.toml", TOML.replace('inputs = ["ami"]', 'inputs = ["nothing/*.sh"]'))
    error_parts(
        app.run("bake", environment={"PACKER_JSON_PATH": None}), "nothing/*.sh", "nothing matches", "bakery.toml:5"
    )
    nothing_baked(app)


def test_missing_or_invalid_template_is_an_error(app: Harness, drop_in: Harness) -> None:
    without = {"PACKER_JSON_PATH": None}
    app.write("ami/app.json", '{\n  "builders": [\n    {"type": }\n  ]\n}')
    error_parts(app.run("bake", environment=without), "ami/app.json", "3")
    app.write("bakery.toml", TOML.replace("ami/app.json", "ami/absent.json"))
    error_parts(app.run("bake", environment=without), "ami/absent.json")
    app.write("ami/app.pkr.hcl", 'source "amazon-ebs" "x" {\n  region = = "x"\n}\n')
    app.write("bakery.toml", TOML.replace("ami/app.json", "ami/app.pkr.hcl"))
    error_parts(app.run("bake", environment=without), "ami/app.pkr.hcl:2")
    drop_in.write("ami/packer/ami.json", "[")
    error_parts(drop_in.run(program="bake"), "ami/packer/ami.json")
    (drop_in.folder / "ami/packer/ami.json").unlink()
    error_parts(drop_in.run(program="bake"), "ami/packer/ami.json")
    nothing_baked(app)


def test_invalid_bakery_toml_builds_nothing(app: Harness) -> None:
    app.write("bakery.toml", TOML.replace("inputs", "inptus").replace("regions", "regoins"))
    error_parts(app.run("bake"), "bakery.toml:5: images.app.inptus", "did you mean 'inputs'?", "bakery.toml:6")
    error_parts(app.run("bake", "-C", "absent.toml"), "absent.toml", status=2)
    error_parts(app.run("bake", cwd=app.folder.parent), "looking for bakery.toml", status=2)
    nothing_baked(app)


def test_undeclared_variable_is_an_error(app: Harness) -> None:
    app.write("bakery.toml", f'{TOML}vars = {{ sise = "t3.small" }}\n')
    error_parts(app.run("bake"), "bakery.toml:7", "vars.sise", "did you mean 'size'?")
    app.write("bakery.toml", f'{TOML}from = "ami-0123456789abcdef0"\n')
    error_parts(app.run("bake"), "must declare the variable 'source_ami'")
    nothing_baked(app)


def test_missing_source_ami_is_reported_before_a_build(app: Harness) -> None:
    gone = "ami-0123456789abcdef0 does not exist, or is not shared"
    template = json_template(source_ami="{{user `source_ami`}}")
    template["variables"]["source_ami"] = ""
    del template["builders"][0]["source_ami_filter"]
    app.write("ami/app.json", template)
    app.write("bakery.toml", f'{TOML}from = "ami-0123456789abcdef0"\n')
    error_parts(app.run("plan"), "looking for the source AMI of image app in us-east-1 (bakery.toml:7)", gone)
    check = app.run("check")
    assert (check.status, gone in check.stdout) == (1, True)
    del template["variables"]["source_ami"]
    template["builders"][0]["source_ami"] = "ami-0123456789abcdef0"
    app.write("ami/app.json", template)
    app.write("bakery.toml", TOML)
    error_parts(app.run("plan"), "(ami/app.json:9)", gone)
    error_parts(app.run("bake"), gone)
    nothing_baked(app)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bake", "app", "-var", "size=t3.small"), "-var is a Packer option: write it after `--`"),
        (("bake", "-on-error=ask"), "-on-error=ask is a Packer option"),
        (
            ("plan", "-var=password=hunter2"),
            "-var is a Packer option: write it after `--`, as in `ami-bakery bake -- -var`",
        ),
        (("bake", "--jobs", "x"), "argument --jobs: expected a number of at least 1, got 'x'"),
        (("--packer", "/x", "plan"), "--packer goes after the command, as in `ami-bakery plan --packer`"),
    ],
)
def test_wrong_usage_is_explained(app: Harness, arguments: tuple[str, ...], message: str) -> None:
    run = app.run(*arguments)
    assert (run.status, run.stdout) == (2, "")
    assert message in run.stderr


def test_wrong_usage_with_detailed_exitcode_is_status_1(app: Harness) -> None:
    assert app.run("plan", "--detailed-exitcode", "--bogus").status == 1
    assert app.run("plan", "--detailed-exitcode", "-var", "x=1").status == 1
    assert app.run("plan", "--bogus").status == 2
    assert app.run("plan", "--detailed-exitcode").status == 2


def test_missing_region_error_lists_all_ways_to_set_it(app: Harness) -> None:
    app.write("bakery.toml", TOML.replace('regions = ["us-east-1"]\n', ""))
    none = {"AWS_DEFAULT_REGION": None, "AWS_REGION": None}
    error_parts(
        app.run("plan", environment=none),
        "no region is set in AWS_DEFAULT_REGION, AWS_REGION or the AWS profile",
        status=2,
    )


def test_missing_template_or_workdir_is_an_error(app: Harness, drop_in: Harness) -> None:
    without = {"PACKER_JSON_PATH": None}
    app.write("bakery.toml", TOML.replace("app.json", "ap.json"))
    error_parts(
        app.run("plan", environment=without), "reading the template ami/ap.json (bakery.toml:4)", "no such file"
    )
    app.write("bakery.toml", TOML + 'workdir = "nope"\n')
    error_parts(app.run("plan", environment=without), "bakery.toml:7: images.app.workdir: no such folder: nope")
    absent = {"PACKER_JSON_PATH": f"{drop_in.folder}/ami/nope.json"}
    error_parts(drop_in.run("plan", environment=absent), "nope.json (PACKER_JSON_PATH)", "no such file")
    nothing_baked(app)


def test_aws_error_for_a_source_ami_names_the_line_in_the_template(app: Harness) -> None:
    app.write("bakery.toml", TOML + 'from = { ssm = "/no/such/parameter" }\nfrom_variable = "size"\n')
    error_parts(app.run("plan"), "(bakery.toml:7)", "/no/such/parameter")
    app.write("bakery.toml", TOML + 'from = { owners = ["self"], filters = { nmae = "x" } }\nfrom_variable = "size"\n')
    error_parts(app.run("plan"), "(bakery.toml:7)", "nmae")
    app.write("bakery.toml", TOML + 'var_files = ["absent.json"]\n')
    error_parts(app.run("plan"), "bakery.toml:7: images.app.var_files: no such file: absent.json")
    nothing_baked(app)


def test_byte_order_mark_is_reported_as_such(app: Harness) -> None:
    """Packer also refuses it."""
    mark = b"\xef\xbb\xbf"
    template = (app.folder / "ami/app.json").read_bytes()
    app.write("ami/app.json", mark + template)
    error_parts(app.run("plan"), "ami/app.json", "it begins with a byte order mark", "as UTF-8 without one")
    app.write("ami/app.json", template)
    app.write("bakery.toml", mark + TOML.encode())
    error_parts(
        app.run("plan"), "bakery.toml", "it starts with a byte order mark", "as UTF-8 without a byte order mark"
    )


def test_unknown_image_or_option_is_an_error(app: Harness) -> None:
    error_parts(app.run("bake", "ap"), "looking for image 'ap'", "app", status=2)
    assert app.run("bake", "--nonsense").status == 2
    assert app.run("nonsense").status == 2
    assert app.run().status == 2
    error_parts(app.run("bake", "--output", "x.yaml"), "--output x.yaml", ".tfvars.json", status=2)
    nothing_baked(app)


# Packer


def test_missing_packer_is_an_error(app: Harness) -> None:
    error_parts(app.run("bake", "--packer", "no-such-packer"), "finding Packer", "no-such-packer", "1.6.6")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("echo Packer v1.5.6", "too old"),
        ("echo hello", "its output is not Packer's"),
        ("exit 3", "its output is not Packer's"),
    ],
)
def test_unsupported_packer_version_is_an_error(app: Harness, answer: str, said: str) -> None:
    program = app.program("old-packer", f"#!/bin/sh\n{answer}\n")
    error_parts(app.run("bake", "--packer", str(program)), said, "1.6.6")


def test_packer_failure_shows_the_end_and_the_path_of_the_log(app: Harness) -> None:
    template = json_template()
    template["provisioners"] = [{"type": "shell-local", "inline": ["echo the last words; exit 3"]}]
    app.write("ami/app.json", template)
    run = app.run("bake")
    error_parts(run, "building image app with Packer", "status 1", "the last words", "The whole log is in ")
    log = Path(run.stderr.rpartition("The whole log is in ")[2].partition("\n")[0])
    assert "the last words" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0
    assert app.calls()["TerminateInstances"] == 1
    document = app.run("bake", "--json")
    (image,) = document.images
    assert (document.status, image["outcome"], image["amis"]) == (1, "failed", {})
    assert "the last words" in image["error"]


def test_template_without_an_ami_builder_is_refused_before_the_build(app: Harness) -> None:
    template = json_template()
    template["builders"] = [{"type": "null", "communicator": "none"}]
    app.write("ami/app.json", template)
    error_parts(app.run("bake"), "ami/app.json:", "builder 'null' does not produce an AMI", "amazon-ebs")
    app.write("ami/app.json", json_template(skip_create_ami=True))
    error_parts(app.run("bake"), "does not produce an AMI", "skip_create_ami")
    assert "RunInstances" not in app.calls()


def test_template_for_another_region_is_refused_before_the_build(app: Harness) -> None:
    app.write("ami/app.json", json_template(region="eu-west-1"))
    error_parts(app.run("bake"), "ami/app.json:", "builds in eu-west-1", "first region is us-east-1", "Fix `regions`")
    assert "RunInstances" not in app.calls()


def test_template_with_two_amis_per_region_is_refused_before_the_build(app: Harness) -> None:
    template = json_template(name="one")
    template["builders"].append({**template["builders"][0], "name": "two"})
    app.write("ami/app.json", template)
    error_parts(app.run("bake"), "one and two each produce an AMI", "Select one with `only`")
    assert "RunInstances" not in app.calls()
    app.write("bakery.toml", f'{TOML}only = ["two"]\n')
    assert app.run("bake").status == 0


def only_packer_knows(region: str) -> str:
    return "{{strftime `" + region + "`}}"


def test_ami_in_an_unexpected_region_gets_no_digest_tag(app: Harness, ec2: EC2Client) -> None:
    app.write("ami/app.json", json_template(region=only_packer_knows("eu-west-1")))
    error_parts(app.run("bake"), "expected an AMI in us-east-1", "eu-west-1", "remains, without the digest")


def test_two_amis_in_one_region_get_no_digest_tag(app: Harness, ec2: EC2Client) -> None:
    template = json_template(name="one", region=only_packer_knows("us-east-1"))
    template["builders"].append({**template["builders"][0], "name": "two"})
    app.write("ami/app.json", template)
    error_parts(app.run("bake"), "Packer created ami-", "select one builder with `only`", "without the digest")
    assert ec2.describe_images(Filters=[{"Name": "tag-key", "Values": [DIGEST_TAG]}])["Images"] == []


def test_inputs_changed_during_the_build_give_the_ami_no_digest_tag(app: Harness, ec2: EC2Client) -> None:
    template = json_template()
    script = app.folder / "ami/setup.sh"
    template["provisioners"] = [{"type": "shell-local", "inline": [f"echo moved >> {script}"]}]
    app.write("ami/app.json", template)
    error_parts(app.run("bake"), "ami/setup.sh changed while Packer ran", "without the digest")
    assert ec2.describe_images(Filters=[{"Name": "tag-key", "Values": [DIGEST_TAG]}])["Images"] == []


# AWS


def test_missing_credentials_are_an_error(app: Harness) -> None:
    none = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    error_parts(app.run("bake", environment=none), "in us-east-1", "Unable to locate credentials", "AWS_PROFILE")


def test_unknown_credentials_are_an_error(app: Harness) -> None:
    wrong = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"}
    error_parts(
        app.run("bake", environment=wrong), "EC2 answered AuthFailure to DescribeImages", "credentials are not valid"
    )


def test_missing_region_is_an_error(app: Harness, drop_in: Harness) -> None:
    app.write("bakery.toml", TOML.replace('regions = ["us-east-1"]', ""))
    nowhere = {"AWS_DEFAULT_REGION": None, "AWS_REGION": None}
    error_parts(
        app.run("bake", environment=nowhere | {"PACKER_JSON_PATH": None}), "AWS_DEFAULT_REGION", "--region", status=2
    )
    error_parts(drop_in.run(environment=nowhere, program="bake"), "AWS_DEFAULT_REGION", status=2)
    nothing_baked(app)


def test_nonexistent_region_is_an_error(app: Harness) -> None:
    error_parts(app.run("bake", "--region", "us-easst-1"), "in us-easst-1", "did you mean 'us-east-1'?")
    nothing_baked(app)


@pytest.mark.parametrize("action", ["DescribeImages", "CreateTags"])
def test_missing_permission_error_names_the_action(app: Harness, action: str) -> None:
    template = json_template()
    del template["builders"][0]["tags"]
    app.write("ami/app.json", template)
    app.control.plan(InjectedFault(action=action, code="UnauthorizedOperation", times=0))
    error_parts(app.run("bake"), f"EC2 answered UnauthorizedOperation to {action}", f"Allow the action ec2:{action}")


@pytest.mark.parametrize("code", ["ExpiredToken", "RequestExpired"])
def test_expired_credentials_are_an_error(app: Harness, code: str) -> None:
    app.control.plan(InjectedFault(action="DescribeImages", code=code, times=0))
    error_parts(app.run("bake"), code, "new credentials")


def test_two_amis_with_one_digest_use_the_newest(app: Harness, ec2: EC2Client) -> None:
    app.run("bake")
    app.run("bake", "--force")
    run = app.run("bake")
    assert run.status == 0
    assert "2 AMIs match in us-east-1; using the newest" in run.stderr


def test_ami_in_state_failed_is_an_error(app: Harness, ec2: EC2Client) -> None:
    ami = app.run("bake").answer
    app.control.change(pending_seconds=600)
    app.control.change(image_outcome="failed")
    app.control.change(pending_seconds=0)
    run = app.run("bake", "--force")
    error_parts(run, "building image app", "failed")
    app.control.change(image_outcome="available")
    assert app.run("bake").answer == ami


def test_drop_in_mode_waits_for_a_pending_ami(drop_in: Harness, ec2: EC2Client) -> None:
    """With `run_tags`, an AMI has the tag before it is available."""
    digest = drop_in.run("digest").answer
    (base, *_) = ec2.describe_images(Owners=["099720109477"])["Images"]
    instance = ec2.run_instances(ImageId=base["ImageId"], MinCount=1, MaxCount=1)["Instances"][0]
    drop_in.control.change(pending_seconds=600)
    ami = ec2.create_image(
        InstanceId=instance["InstanceId"],
        Name="by another runner",
        TagSpecifications=[{"ResourceType": "image", "Tags": [{"Key": DIGEST_TAG, "Value": digest}]}],
    )["ImageId"]
    (plan,) = drop_in.run("plan", "--json").images
    assert plan["action"] == "wait"
    process = drop_in.start("bake")
    assert process.stderr is not None
    assert any("waiting for" in line for line in iter(process.stderr.readline, ""))
    drop_in.control.change(pending_seconds=0)
    answer, rest = process.communicate(timeout=300)
    assert (process.returncode, answer) == (0, f"{ami}\n"), rest
    assert drop_in.packer_runs == 0


# Output


def test_full_disk_while_writing_the_output_loses_no_ami(drop_in: Harness) -> None:
    """The next run finds the AMI without a build. No partial file remains."""
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this user may not mount a small disk to fill")
    small = drop_in.make_folder(drop_in.folder / "small")
    script = """
        mount -t tmpfs -o size=16k tmpfs "$1" && cp ami/packer/ami.json "$1" || exit 99
        dd if=/dev/zero of="$1/filler" bs=1k 2>/dev/null
        shift; "$@"; status=$?
        find small >&2
        exit $status
    """
    environment = drop_in.environment | {"PACKER_JSON_PATH": "small/ami.json", "AMI_DEFINITION_DIRS": "ami"}
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(small), str(PROGRAMS / "bake")]
    done = subprocess.run(
        command, env=environment, cwd=drop_in.folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1, done.stderr
    assert re.fullmatch(r"ami-[0-9a-f]{17}\n", done.stdout), "the id is printed anyway"
    assert "writing the answer to small/.ami_id.json" in done.stderr
    assert "No space left on device" in done.stderr
    assert "run the command again" in done.stderr
    assert sorted(done.stderr.splitlines()[-3:]) == ["small", "small/ami.json", "small/filler"]
    assert drop_in.run(program="bake").status == 0
    assert drop_in.packer_runs == 1


def test_unwritable_output_file_keeps_its_old_content(app: Harness) -> None:
    app.write("out/ids.json", "old")
    assert app.run("bake", "--output", "out/ids.json").status == 0
    assert "ami-" in (app.folder / "out/ids.json").read_text()
    error_parts(app.run("bake", "--output", "absent/ids.json"), "folder not found", "absent", status=2)


@pytest.mark.parametrize("command", ["bake", "plan", "check"])
def test_unwritable_output_file_is_reported_before_the_build(
    app: Harness, unprivileged: tuple[Path, list[str]], command: str
) -> None:
    folder, prefix = unprivileged
    shutil.copytree(app.folder, folder / "repository")
    (folder / "locked").mkdir(mode=0o555)
    environment = {"HOME": "/", "TMPDIR": "/", "PYTHONDONTWRITEBYTECODE": "1"}
    run = app.run(
        command,
        "--output",
        str(folder / "locked/out.json"),
        prefix=prefix,
        cwd=folder / "repository",
        environment=environment,
    )
    if "Permission denied" in run.stderr:
        pytest.skip("the program itself cannot be read by another user here")
    error_parts(run, f"{folder}/locked is not writable", "use another file", status=2)
    assert app.calls() == {}


def test_output_to_a_folder_is_an_error(app: Harness) -> None:
    app.write("ids.json/kept", "")
    error_parts(app.run("bake", "--output", "ids.json"), "--output ids.json", "it is a folder", status=2)
    nothing_baked(app)


def test_digest_tag_is_emptied_without_permission_to_delete_tags(app: Harness, ec2: EC2Client) -> None:
    """Packer's documented policy includes CreateTags, but not DeleteTags."""
    app.control.plan(InjectedFault(action="DeleteTags", code="UnauthorizedOperation", times=0))
    app.write("ami/app.json", json_template(region=only_packer_knows("eu-west-1")))
    error_parts(app.run("bake"), "remains, without the digest")
    counted = app.calls()
    assert (counted["DeleteTags"], counted["RunInstances"]) == (1, 1)
    assert app.run("plan", "--json").images[0]["action"] == "bake"


# Files over the size limit, and paths that are not regular files

LARGE = 1 << 20
TOO_LARGE = {
    "a template": ("app.pkr.hcl", _BUILD + "# " + "x" * LARGE, 'template = "app.pkr.hcl"'),
    "a JSON template": ("app.json", json.dumps({"builders": [], "x": "x" * LARGE}), 'template = "app.json"'),
    "a template of a folder": ("t/b.pkr.hcl", "# " + "x" * LARGE, 'template = "t"'),
    "a var-file": ("v.pkrvars.hcl", "# " + "x" * LARGE, 'template = "a.pkr.hcl"\nvar_files = ["v.pkrvars.hcl"]'),
    "a JSON var-file": (
        "v.pkrvars.json",
        json.dumps({"x": "x" * LARGE}),
        'template = "a.pkr.hcl"\nvar_files = ["v.pkrvars.json"]',
    ),
    "automatically loaded variables": ("t/a.auto.pkrvars.hcl", "# " + "x" * LARGE, 'template = "t"'),
}


@pytest.mark.parametrize("case", TOO_LARGE)
def test_parsed_file_over_the_size_limit_is_refused_by_name(case: str, harness: Harness) -> None:
    path, content, keys = TOO_LARGE[case]
    harness.write("t/a.pkr.hcl", _BUILD)
    harness.write("a.pkr.hcl", _BUILD)
    harness.write(path, content)
    harness.write("bakery.toml", f"version = 1\n[images.app]\n{keys}\n")

    error_parts(harness.run("digest"), f"reading {path}", "larger than 1 MiB", "Make it smaller")


def test_bakery_toml_over_the_size_limit_is_refused(app: Harness) -> None:
    app.write("bakery.toml", TOML + "#" * LARGE)

    error_parts(app.run("images"), "bakery.toml", "larger than 1 MiB", "Make it smaller")


def test_large_uploaded_file_is_accepted(app: Harness) -> None:
    (app.folder / "ami/large").write_bytes(b"x" * 40 * LARGE)

    assert app.run("digest").status == 0


def test_too_costly_template_is_not_read_again_for_other_working_directories(harness: Harness) -> None:
    """Each read would take equally long."""
    deep = "a/" * 20
    loops = "locals {\n  r = range(900)\n  v = [for a in local.r : [for b in local.r : a + b]]\n}\n"
    harness.write(f"{deep}a.pkr.hcl", _BUILD + loops)
    harness.write("bakery.toml", f'version = 1\n[images.app]\ntemplate = "{deep}a.pkr.hcl"\n')
    counted = harness.run("digest", prefix=["strace", "-f", "-e", "trace=openat", "-o", "opened"])
    error_parts(counted, "takes more than 250,000 steps")
    opened = (harness.folder / "opened").read_text()
    assert opened.count(f'{deep}a.pkr.hcl"') == 1


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "endless link", "folder"])
@pytest.mark.parametrize("option", ["--config=", "-C"])
def test_bakery_toml_that_is_not_a_regular_file_is_refused(
    kind: str, option: str, app: Harness, tmp_path: Path
) -> None:
    path = no_file(kind, tmp_path / "other.toml")
    run = app.run("images", f"{option}{path}")
    if kind == "folder":
        error_parts(run, "other.toml/bakery.toml", "no such file", status=2)
    else:
        error_parts(run, path.name, "not a regular file", "Use -C", status=2)


NO_FILE = {
    "pipe": "it is a pipe, a socket or a device",
    "socket": "it is a pipe, a socket or a device",
    "device": "it is a pipe, a socket or a device",
    "endless link": "is not a file or folder",
    "circular link": "Remove the link: it is circular",
    "/proc/self/environ": "its content is generated when it is read",
    "/proc/self/status": "its content is generated when it is read",
    "/sys/kernel/profiling": "its content is generated when it is read",
}
NAMED_BY = {
    "file()": 'provisioner "shell" {\n    inline = [file("%s")]\n  }',
    "templatefile()": 'provisioner "shell" {\n    inline = [templatefile("%s", {})]\n  }',
    "an upload": 'provisioner "file" {\n    source = "%s"\n    destination = "/x"\n  }',
    "a script": 'provisioner "shell" {\n    script = "%s"\n  }',
    "a local script": 'provisioner "shell-local" {\n    script = "%s"\n  }',
    "a playbook": 'provisioner "ansible" {\n    playbook_file = "%s"\n  }',
    "an inventory": 'provisioner "ansible" {\n    playbook_file = "p.yml"\n    inventory_file = "%s"\n  }',
    "inputs": "",
}


@pytest.mark.parametrize("kind", NO_FILE)
@pytest.mark.parametrize("named_by", NAMED_BY)
def test_pipes_sockets_and_devices_are_refused_without_hanging(
    kind: str, named_by: str, harness: Harness, tmp_path: Path
) -> None:
    path = no_file(kind, tmp_path / "special")
    if not path.is_symlink() and not path.exists():
        pytest.skip(f"there is no {path} here")
    harness.write("p.yml", "- hosts: all\n")
    block = NAMED_BY[named_by] % path if NAMED_BY[named_by] else ""
    harness.write("a.pkr.hcl", _BUILD[: _BUILD.rindex("}")] + f"  {block}\n}}\n")
    inputs = f'inputs = ["{path}"]' if named_by == "inputs" else "inputs = []"
    harness.write("bakery.toml", f'version = 1\n[images.app]\ntemplate = "a.pkr.hcl"\n{inputs}\n')
    run = harness.run("inputs")
    error_parts(run, NO_FILE[kind])
    assert "Run again" not in run.stderr
    assert "uploads the complete folder" not in run.stderr


def no_file(kind: str, path: Path) -> Path:
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(path))
        case "device":
            return Path("/dev/zero")
        case "circular link":
            path.symlink_to(path)
        case "endless link":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case _:
            return Path(kind)
    return path
