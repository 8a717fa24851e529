"""Reasons of a plan: the parts that changed since the newest AMI, and, by git, the changed files and variables."""

from __future__ import annotations

import subprocess
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client

from ami_bakery.core.ec2.ami import COMMIT_TAG, DIGEST_TAG, IMAGE_TAG
from ami_bakery.local import LocalAws
from tests.conftest import aws_client, ec2_client
from tests.harness import PROGRAMS, TOML, Harness, json_template
from tests.seed import own_ami, seed_images


def git(harness: Harness, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments],
        cwd=harness.folder,
        env=harness.environment | {"GIT_CONFIG_GLOBAL": "/dev/null"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def commit(harness: Harness) -> str:
    git(harness, "add", "--all")
    git(harness, "commit", "--quiet", "--message", "x")
    return git(harness, "rev-parse", "HEAD")


@pytest.fixture
def repository(app: Harness) -> Harness:
    for name in ("changed.sh", "removed.sh", "mode.sh", "link-me"):
        app.write(f"ami/{name}", f"{name}\n")
    (app.folder / "ami/link").symlink_to("changed.sh")
    app.write("bakery.toml", TOML + 'vars = { size = "t3.small" }\n')
    git(app, "init", "--quiet", "--initial-branch=main")
    commit(app)
    return app


def reasons(harness: Harness) -> dict[str, list[str]]:
    """Returns subjects by kind."""
    (plan,) = harness.run("plan", "--json", "--steps").images
    found: dict[str, list[str]] = {}
    for reason in plan["reasons"]:
        found.setdefault(reason["kind"], []).append(reason["subject"])
    return found


def test_changed_files_and_variables_are_named_by_git(repository: Harness, ec2: EC2Client) -> None:
    head = git(repository, "rev-parse", "HEAD")
    ami = repository.run("bake").answer
    (image,) = ec2.describe_images(ImageIds=[ami])["Images"]
    assert {"Key": COMMIT_TAG, "Value": head} in image["Tags"]

    repository.write("ami/changed.sh", "other\n")
    repository.write("ami/added.sh", "new\n")
    (repository.folder / "ami/removed.sh").unlink()
    (repository.folder / "ami/mode.sh").chmod(0o755)
    (repository.folder / "ami/link").unlink()
    (repository.folder / "ami/link").symlink_to("mode.sh")
    repository.write("bakery.toml", TOML + 'salt = "2"\nvars = { size = "t3.large", aws_subnet_id = "x" }\n')
    commit(repository)
    found = reasons(repository)
    assert found == {
        "definition-changed": [ami],
        "files-changed": ["files"],
        "file-added": ["ami/added.sh"],
        "file-changed": ["ami/changed.sh"],
        "file-removed": ["ami/removed.sh"],
        "file-mode-changed": ["ami/mode.sh"],
        "file-target-changed": ["ami/link"],
        "variables-changed": ["variables"],
        "variable-added": ["aws_subnet_id"],
        "variable-changed": ["size"],
        "settings-changed": ["settings"],
        "salt-changed": ["salt"],
        "no-ami": found["no-ami"],
    }
    assert "t3.large" not in repository.run("plan").stdout, "values of variables are never told"
    assert git(repository, "status", "--porcelain") == "", "nothing was checked out"


def test_dirty_tree_at_the_time_of_the_bake_is_reported(repository: Harness) -> None:
    repository.write("ami/changed.sh", "not committed\n")
    repository.run("bake")
    repository.write("ami/changed.sh", "again\n")
    assert "tree-was-dirty" in reasons(repository)
    head = git(repository, "rev-parse", "HEAD")
    assert f"uncommitted changes: showing changes since {head[:12]}\n" in repository.run("plan").stdout


def test_files_that_bakes_write_do_not_make_the_tree_dirty(repository: Harness, ec2: EC2Client) -> None:
    repository.write("ami/.ami_id.json", "{}")
    repository.write("ami/packer_cache/part", "kept by Packer")
    repository.write("ami/packer-manifest.json", "{}")
    ami = repository.run("bake").answer
    (image,) = ec2.describe_images(ImageIds=[ami])["Images"]
    assert {"Key": COMMIT_TAG, "Value": git(repository, "rev-parse", "HEAD")} in image["Tags"]


def test_missing_commit_is_reported(repository: Harness) -> None:
    repository.run("bake")
    git(repository, "commit", "--quiet", "--amend", "--message", "another")
    git(repository, "reflog", "expire", "--expire=now", "--all")
    git(repository, "gc", "--quiet", "--prune=now")
    repository.write("ami/changed.sh", "other\n")
    assert {"files-changed", "commit-unknown"} <= set(reasons(repository))


def test_files_that_git_ignores_are_reported_as_missing_from_the_comparison(repository: Harness) -> None:
    repository.write(".gitignore", "built.bin\n")
    repository.write("ami/built.bin", "1")
    commit(repository)
    repository.run("bake")
    repository.write("ami/built.bin", "2")
    (plan,) = repository.run("plan", "--json").images
    (caveat,) = (reason["detail"] for reason in plan["reasons"] if reason["kind"] == "commit-incomplete")
    assert "(ami/built.bin)" in caveat


def test_unchanged_files_that_git_ignores_are_not_reported(repository: Harness) -> None:
    repository.write(".gitignore", "built.bin\nout/\n")
    repository.write("ami/built.bin", "1")
    repository.write("ami/out/deep/built.sh", "1")
    commit(repository)
    repository.run("bake")
    repository.write("ami/changed.sh", "other\n")
    found = reasons(repository)
    assert found.keys() == {"definition-changed", "files-changed", "file-changed", "no-ami"}
    assert found["file-changed"] == ["ami/changed.sh", "ami/link"], "the link leads to it"


def test_files_that_differ_from_git_only_by_its_filters_are_not_reported(repository: Harness) -> None:
    repository.write(".gitattributes", "mode.sh text eol=crlf\n")
    commit(repository)
    (repository.folder / "ami/mode.sh").unlink()
    git(repository, "checkout", "--", "ami/mode.sh")
    assert (repository.folder / "ami/mode.sh").read_bytes() == b"mode.sh\r\n"
    repository.run("bake")
    repository.write("ami/changed.sh", "other\n")
    found = reasons(repository)
    assert found.keys() == {"definition-changed", "files-changed", "file-changed", "no-ami"}
    assert found["file-changed"] == ["ami/changed.sh", "ami/link"], "the link leads to it"


def test_without_git_the_changed_parts_are_named_and_why_no_file_is(app: Harness) -> None:
    ami = app.run("bake").answer
    app.write("ami/setup.sh", "other\n")
    assert set(reasons(app)) == {"definition-changed", "files-changed", "commit-missing", "no-ami"}
    why = f"the detailed changes are unknown: {ami} has no commit tag, so it was built outside of git"
    assert why in app.run("plan").stdout


def test_packer_of_another_version_is_a_reason(app: Harness) -> None:
    app.run("bake")
    other = app.program("other-packer", '#!/bin/sh\n[ "$1" = version ] && echo Packer v1.99.0 || exec packer "$@"\n')
    (plan,) = app.run("plan", "--json", "--packer", str(other)).images
    (reason,) = (reason for reason in plan["reasons"] if reason["kind"] == "tools-changed")
    assert "1.99.0" in reason["detail"]
    app.write("bakery.toml", TOML + 'digest_exclude = ["packer-version"]\n')
    app.run("bake")
    (plan,) = app.run("plan", "--json", "--packer", str(other)).images
    assert plan["action"] == "reuse"


def test_filter_with_commas_is_a_list_for_a_packer_that_splits_it(app: Harness, ec2: EC2Client) -> None:
    """packer-plugin-amazon splits a filter's value at commas since 1.0.7; Packer 1.6.6 does not."""
    other = app.program("other-packer", '#!/bin/sh\n[ "$1" = version ] && echo Packer v1.99.0 || exec packer "$@"\n')
    golden = {"owners": ["self"], "filters": {"name": 'bronze-*, "silver-*"'}, "most_recent": True}
    app.write("ami/app.json", json_template(source_ami_filter=golden))
    own_base(ec2, "silver-1")
    (plan,) = app.run("plan", "--json", "--packer", str(other)).images
    assert plan["action"] == "bake"
    run = app.run("plan")
    assert run.status == 1
    assert 'no available AMI of self has name = bronze-*, "silver-*"' in run.stderr


def test_deprecated_source_ami_counts_if_its_filter_includes_it(app: Harness, local: LocalAws) -> None:
    """EC2 rounds to minutes: in the first half of one, an immediate deprecation is already effective."""
    golden: dict[str, Any] = {"owners": ["444455556666"], "filters": {"name": "golden-*"}, "most_recent": True}
    with closing(ec2_client(local, account=1)) as other:
        ami = own_base(other, "golden-1")
        other.get_waiter("image_available").wait(ImageIds=[ami], WaiterConfig={"Delay": 1})
        other.modify_image_attribute(ImageId=ami, LaunchPermission={"Add": [{"Group": "all"}]})
        app.write("ami/app.json", json_template(source_ami_filter=golden))
        assert app.run("plan").status == 0
        while datetime.now(UTC).second > 24:
            time.sleep(0.5)
        other.enable_image_deprecation(ImageId=ami, DeprecateAt=datetime.now(UTC) + timedelta(seconds=2))
    assert "no available AMI of 444455556666 has name = golden-*" in app.run("plan").stderr
    app.write("ami/app.json", json_template(source_ami_filter={**golden, "include_deprecated": True}))
    assert app.run("plan").status == 0


def test_changed_source_ami_is_named_with_both_ids(app: Harness, ec2: EC2Client) -> None:
    name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20240927"
    (jammy,) = ec2.describe_images(Filters=[{"Name": "name", "Values": [name]}])["Images"]
    source: Any = {"SourceImageId": jammy["ImageId"], "SourceRegion": "us-east-1"}
    app.write("bakery.toml", TOML + 'from = { owners = ["self"], filters = { name = "golden-*" } }\n')
    template = json_template(source_ami="{{user `source_ami`}}")
    del template["builders"][0]["source_ami_filter"]
    template["variables"]["source_ami"] = ""
    app.write("ami/app.json", template)
    old = ec2.copy_image(Name="golden-1", **source)["ImageId"]
    ami = app.run("bake").answer
    new = ec2.copy_image(Name="golden-2", **source)["ImageId"]
    ec2.deregister_image(ImageId=old)
    (plan,) = app.run("plan", "--json", "--steps").images
    (reason,) = (reason for reason in plan["reasons"] if reason["kind"] == "base-changed")
    assert reason["detail"] == f"the source AMI changed from {old} to {new}"
    assert {reason["kind"] for reason in plan["reasons"]} == {"definition-changed", "base-changed", "no-ami"}
    assert app.run("bake").answer != ami


def test_copy_that_has_replaced_its_source_is_as_old_as_the_bake(app: Harness, ec2: EC2Client, local: LocalAws) -> None:
    """EC2 gives a copy the date of the copy."""
    app.write("bakery.toml", TOML.replace('["us-east-1"]', '["us-east-1", "eu-west-1"]'))
    (outcome,) = app.run("bake", "--json").images
    first = outcome["amis"]
    with closing(ec2_client(local, "eu-west-1")) as abroad:
        ran = [{"Key": "ami-bakery:run", "Value": "20250101T000000Z-00000000"}]
        abroad.create_tags(Resources=[first["eu-west-1"]], Tags=ran)  # type: ignore[arg-type]
    ec2.deregister_image(ImageId=first["us-east-1"])
    (outcome,) = app.run("bake", "--json").images
    assert (outcome["outcome"], outcome["amis"]["eu-west-1"]) == ("copied", first["eu-west-1"])
    aged = TOML.replace('["us-east-1"]', '["us-east-1", "eu-west-1"]') + 'max_age = "30d"\n'
    app.write("bakery.toml", aged)
    assert reasons(app) == {"too-old": [outcome["amis"]["us-east-1"]]}


def test_ami_that_is_younger_than_max_age_is_reused(app: Harness) -> None:
    app.run("bake")
    app.write("bakery.toml", TOML + 'max_age = "1m"\n')
    assert "unchanged" in reasons(app)


def test_reasons_take_a_few_lines(repository: Harness) -> None:
    repository.run("bake")
    for number in range(30):
        repository.write(f"ami/{number:02}.sh", "x")
    text = repository.run("plan").answer
    assert "ami/00.sh was added" in text
    assert "and 20 more" in text
    assert len(text.splitlines()) < 20


def pinned(harness: Harness, base: str) -> None:
    template = json_template(source_ami="{{user `source_ami`}}")
    del template["builders"][0]["source_ami_filter"]
    template["variables"]["source_ami"] = ""
    harness.write("ami/app.json", template)
    harness.write("bakery.toml", f'{TOML}from = "{base}"\n')


def own_base(ec2: EC2Client, name: str) -> str:
    (ubuntu, *_) = ec2.describe_images(Owners=["099720109477"])["Images"]
    return ec2.copy_image(Name=name, SourceImageId=ubuntu["ImageId"], SourceRegion="us-east-1")["ImageId"]


def test_source_ami_with_a_future_deprecation_is_no_reason_yet(app: Harness, ec2: EC2Client) -> None:
    """EC2 counts in minutes. So tests/core tests a past deprecation with plain values."""
    base = own_base(ec2, "golden")
    pinned(app, base)
    app.run("bake")
    ec2.enable_image_deprecation(ImageId=base, DeprecateAt=datetime.now(UTC) + timedelta(hours=1))
    assert set(reasons(app)) == {"unchanged"}
    assert app.packer_runs == 1


def test_missing_source_ami_is_reported_before_packer_runs(app: Harness, ec2: EC2Client) -> None:
    base = own_base(ec2, "golden")
    pinned(app, base)
    app.run("bake")
    ec2.deregister_image(ImageId=base)
    assert reasons(app) == {"base-missing": [base]}
    run = app.run("bake")
    assert (run.status, run.stdout, app.packer_runs) == (1, "", 1)
    assert f"{base} does not exist" in run.stderr


BY_DATA_SOURCE = """\
data "amazon-ami" "golden" {
  region      = "us-east-1"
  owners      = ["self"]
  filters     = { name = "golden-*" }
  most_recent = true
}

locals {
  base = data.amazon-ami.golden.id
}

source "amazon-ebs" "app" {
  region        = "us-east-1"
  source_ami    = local.base
  instance_type = "t3.micro"
  communicator  = "none"
  ami_name      = "app-${formatdate("YYYYMMDDhhmmss", timestamp())}"
}

build {
  sources = ["source.amazon-ebs.app"]
}
"""


def test_source_ami_of_a_data_source_is_looked_up_and_hashed(app: Harness, ec2: EC2Client) -> None:
    app.write("ami/app.pkr.hcl", BY_DATA_SOURCE)
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    run = app.run("plan")
    assert (run.status, "no available AMI of self has name = golden-*" in run.stderr) == (1, True)
    own_base(ec2, "golden-1")
    seed_images(app, [ec2])
    run = app.run("plan", "--json")
    assert (run.images[0]["action"], run.stderr) == ("reuse", "")
    time.sleep(1.1)
    own_base(ec2, "golden-2")
    assert app.run("plan", "--json", "--steps").images[0]["action"] == "bake"


def test_deleted_ami_is_distinguished_from_one_never_baked(app: Harness, ec2: EC2Client) -> None:
    assert "never-baked" in reasons(app)
    ec2.deregister_image(ImageId=app.run("bake").answer)
    assert set(reasons(app)) == {"ami-deleted", "no-ami"}


def test_ami_without_its_digest_is_not_reported_as_deleted(app: Harness, ec2: EC2Client) -> None:
    """Its snapshot has the digest already: that is written before the AMI's."""
    digest = app.run("digest").answer
    left = own_ami(ec2, "left", {IMAGE_TAG: "app"})
    (image,) = ec2.describe_images(ImageIds=[left])["Images"]
    snapshot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    ec2.create_tags(Resources=[snapshot], Tags=[{"Key": DIGEST_TAG, "Value": digest}])
    assert set(reasons(app)) == {"never-baked", "no-ami"}
    ec2.deregister_image(ImageId=left)
    assert set(reasons(app)) == {"ami-deleted", "no-ami"}


def test_source_ami_by_an_ssm_parameter_is_resolved_and_used(app: Harness, ec2: EC2Client) -> None:
    pinned(app, "x")
    parameter = "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id"
    app.write("bakery.toml", f'{TOML}from = {{ ssm = "{parameter}" }}\n')
    ami = app.run("bake").answer
    (image,) = ec2.describe_images(ImageIds=[ami])["Images"]
    (base,) = ec2.describe_images(ImageIds=[str(image.get("SourceImageId"))])["Images"]
    assert "jammy-22.04" in base["Name"]


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ('{ ssm = "/not/there" }', "ParameterNotFound"),
        ('{ owners = ["self"], filters = { name = "nothing-*" } }', "no available AMI of self has name = nothing-*"),
    ],
)
def test_source_ami_that_cannot_be_resolved_is_reported_with_its_location(app: Harness, base: str, said: str) -> None:
    pinned(app, "x")
    app.write("bakery.toml", f"{TOML}from = {base}\n")
    run = app.run("plan")
    assert (run.status, run.stdout) == (1, "")
    assert said in run.stderr


def test_ssm_parameter_without_an_ami_is_reported(app: Harness, local: LocalAws) -> None:
    ssm = aws_client(local, "ssm")
    ssm.put_parameter(Name="/x", Value="hello", Type="String")
    ssm.close()
    pinned(app, "x")
    app.write("bakery.toml", f'{TOML}from = {{ ssm = "/x" }}\n')
    run = app.run("digest")
    assert (run.status, run.stdout) == (1, "")
    assert "its value is not an AMI id: 'hello'" in run.stderr


def test_ami_from_another_source_ami_than_was_hashed_gets_no_digest(app: Harness, ec2: EC2Client) -> None:
    """This Packer uses another AMI than it gets. A template's own filter may do so between two moments."""
    wanted, other = own_base(ec2, "golden-1"), own_base(ec2, "golden-2")
    pinned(app, wanted)
    swap = app.program(
        "swapping-packer",
        f'#!/bin/bash\nset -- "${{@/{wanted}/{other}}}"\nexec packer "$@"\n',
    )
    run = app.run("bake", "--packer", str(swap))
    assert (run.status, run.stdout, app.packer_runs) == (1, "", 1)
    assert f"its source AMI is {other}, but the digest covers {wanted}" in run.stderr
    (image,) = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["test-*"]}])["Images"]
    assert not {tag["Key"] for tag in image.get("Tags", [])} & {"ami_config_checksum", "ami-bakery:format"}


def test_ami_that_packer_encrypts_is_a_copy_of_one_that_is_gone(app: Harness, ec2: EC2Client) -> None:
    app.write("ami/app.json", json_template(encrypt_boot=True))
    ami = app.run("bake").answer
    (image,) = ec2.describe_images(Owners=["self"])["Images"]
    assert (image["ImageId"], app.run("bake").answer) == (ami, ami)


def test_encrypted_ami_whose_source_ami_changed_during_the_build_gets_no_digest(app: Harness, ec2: EC2Client) -> None:
    """Its source is unknown: the intermediate AMI is gone."""
    own_base(ec2, "golden-1")
    golden = {"owners": ["self"], "filters": {"name": "golden-*"}, "most_recent": True}
    template = json_template(encrypt_boot=True, source_ami_filter=golden)
    move = """
import boto3
ec2 = boto3.client("ec2")
(base,) = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["golden-1"]}])["Images"]
ec2.copy_image(Name="golden-2", SourceImageId=base["ImageId"], SourceRegion="us-east-1")
"""
    app.write("move.py", move)
    # EC2's creation dates have seconds: the second one must be newer.
    template["provisioners"] = [
        {"type": "shell-local", "inline": [f"sleep 1.1; {PROGRAMS}/python {app.folder}/move.py"]}
    ]
    app.write("ami/app.json", template)
    run = app.run("bake")
    assert (run.status, run.stdout, app.packer_runs) == (1, "", 1)
    assert "If the source AMI changed during the build, bake again" in run.stderr


def family(harness: Harness, base: str = "", app: str = "") -> None:
    """Configures `app`, whose parent `base` is in two regions."""
    pinned = json_template(source_ami="{{user `source_ami`}}")
    del pinned["builders"][0]["source_ami_filter"]
    pinned["variables"]["source_ami"] = ""
    harness.write("app/app.json", pinned)
    harness.write(
        "bakery.toml",
        f"""version = 1
[defaults]
regions = ["us-east-1"]
[images.base]
template = "ami/app.json"
regions = ["us-east-1", "eu-west-1"]
{base}
[images.app]
template = "app/app.json"
from = "base"
{app}
""",
    )


def plan_of(harness: Harness, name: str) -> dict[str, Any]:
    return {plan["image"]: plan for plan in harness.run("plan", "--json", "--steps").images}[name]


def test_known_facts_about_a_child_of_an_image_to_be_baked_are_reported(app: Harness) -> None:
    def reported(base: str = "", table: str = "") -> list[tuple[str, str]]:
        family(app, base, table)
        plan = plan_of(app, "app")
        assert (plan["action"], plan["digest"]) == ("pending", None)
        return [(reason["kind"], reason["subject"]) for reason in plan["reasons"]]

    assert reported() == [("base-to-be-baked", "base"), ("never-baked", "app")]
    assert app.run("bake").status == 0
    ami = plan_of(app, "app")["amis"]["us-east-1"]
    another = 'salt = "2"'
    assert reported(another) == [("base-to-be-baked", "base"), ("otherwise-unchanged", ami)]
    changed = [("base-to-be-baked", "base"), ("definition-changed", ami), ("variables-changed", "variables")]
    changed.append(("commit-missing", ami))
    assert reported(another, 'vars = { size = "t3.small" }') == changed
    (step,) = plan_of(app, "app")["steps"]
    assert step == {"step": "bake", "region": "us-east-1", "certain": False}
    app.control.clear_report()
    family(app, another)
    app.run("plan")
    assert app.calls()["DescribeImages"] == 2 + 1 + 1, "both are explained in one call"


def test_child_of_an_image_whose_ami_is_to_be_copied_home_says_so(app: Harness, ec2: EC2Client) -> None:
    family(app)
    amis = {item["image"]: item["amis"] for item in app.run("bake", "--json").images}
    ec2.deregister_image(ImageId=amis["base"]["us-east-1"])
    assert plan_of(app, "base")["action"] == "copy"
    plan = plan_of(app, "app")
    assert [(reason["kind"], reason["subject"]) for reason in plan["reasons"]] == [
        ("base-to-be-copied", "base"),
        ("otherwise-unchanged", amis["app"]["us-east-1"]),
    ]
    text = app.run("plan").answer
    assert "waiting for the copy of parent image 'base' to us-east-1, which has a new id\n" in text
    outcomes = {item["image"]: item["outcome"] for item in app.run("bake", "--json").images}
    assert (outcomes, app.packer_runs) == ({"base": "copied", "app": "baked"}, 3)
