"""A template that builds in another account is reported before Packer runs; expired credentials may come back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ami_bakery.adapters.aws.builder_account import AccountFinder, Keys
from ami_bakery.errors import AwsError
from ami_bakery.local.local_settings import ACCOUNTS
from ami_bakery.template.facts import Login
from ami_bakery.template.location import SourceLocation
from tests.conftest import ec2_client
from tests.harness import json_template
from tests.locking.bench import ended, read_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_ec2 import EC2Client

    from ami_bakery.local import LocalAws
    from tests.harness import Harness

OURS, OTHER = ACCOUNTS
ROLE = f"arn:aws:iam::{OTHER.account_id}:role/builder"
OTHER_KEYS = {"access_key": OTHER.access_key_id, "secret_key": OTHER.secret_access_key}
FILES: dict[str, str | None] = {"AWS_CONFIG_FILE": None, "AWS_SHARED_CREDENTIALS_FILE": None}
NO_KEYS: dict[str, str | None] = FILES | {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
HCL = """
source "amazon-ebs" "app" {
  region        = "us-east-1"
  instance_type = "t3.micro"
  source_ami_filter {
    owners      = ["099720109477"]
    most_recent = true
    filters     = { name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*" }
  }
  communicator  = "none"
  ami_name      = "app-{{timestamp}}"
  %s
}
build { sources = ["source.amazon-ebs.app"] }
"""


def section(name: str, account: Any) -> str:
    keys = f"aws_access_key_id = {account.access_key_id}\naws_secret_access_key = {account.secret_access_key}\n"
    return f"[{name}]\n{keys}"


def aws_files(app: Harness, *, config: str = "", credentials: str = "") -> None:
    folder = app.folder.parent / ".aws"
    folder.mkdir()
    (folder / "config").write_text(config)
    (folder / "credentials").write_text(credentials)


@pytest.mark.parametrize(
    "login",
    [
        OTHER_KEYS,
        {"assume_role": {"role_arn": ROLE}},
        {"assume_role": [{"role_arn": ROLE, "session_name": "x"}]},
        {"assume_role": {"role_arn": ROLE}, "profile": "whatever", "mfa_code": "123456"},
    ],
    ids=lambda login: " ".join(login),
)
@pytest.mark.parametrize("command", ["bake", "plan", "check"])
def test_template_that_builds_in_another_account_is_reported_before_packer(
    app: Harness, command: str, login: dict[str, Any]
) -> None:
    app.write("ami/app.json", json_template(**login))
    run = app.run(command)
    said = run.stdout + run.stderr
    assert run.status == 1
    named = "assume_role" if "assume_role" in login else "access_key"
    assert f"builds in account {OTHER.account_id} ({named}" in said
    assert f"looks for its AMI in {OURS.account_id}" in said
    assert "ami/app.json:" in said
    assert OTHER.secret_access_key not in said
    assert app.packer_runs == 0


def test_hcl_template_that_builds_in_another_account_is_reported_before_packer(app: Harness) -> None:
    app.write("ami/app.pkr.hcl", HCL % f'assume_role {{\n    role_arn = "{ROLE}"\n  }}')
    app.write("bakery.toml", (app.folder / "bakery.toml").read_text().replace("app.json", "app.pkr.hcl"))
    run = app.run("check")
    assert f"builds in account {OTHER.account_id} (assume_role)" in run.stdout


def test_drop_in_template_that_builds_in_another_account_is_reported_before_packer(drop_in: Harness) -> None:
    drop_in.write("ami/packer/ami.json", json_template(**OTHER_KEYS))
    run = drop_in.run(program="bake")
    assert run.status == 1
    assert f"{OTHER.account_id} (access_key and secret_key)" in run.stderr
    assert drop_in.packer_runs == 0


def test_drop_in_template_that_builds_in_another_region_is_reported_before_packer(drop_in: Harness) -> None:
    drop_in.write("ami/packer/ami.json", json_template(region="eu-west-1"))
    run = drop_in.run(program="bake")
    assert run.status == 1
    assert "builds in eu-west-1, but the image's first region is us-east-1" in run.stderr
    assert drop_in.packer_runs == 0


def test_template_that_copies_to_the_configured_region_is_built(drop_in: Harness) -> None:
    drop_in.write("ami/packer/ami.json", json_template(region="eu-west-1", ami_regions=["us-east-1"]))
    assert drop_in.run(program="bake").status == 0


def test_region_that_only_the_build_knows_is_a_finding(app: Harness) -> None:
    app.write("ami/app.json", json_template(region="{{build `SourceAMIName`}}"))
    assert "the region of amazon-ebs is unknown before the build" in app.run("check").stdout


@pytest.mark.parametrize(
    "login",
    [
        {"assume_role": {"role_arn": ROLE.replace(OTHER.account_id, OURS.account_id)}},
        {"access_key": "{{env `AWS_ACCESS_KEY_ID`}}", "secret_key": "{{env `AWS_SECRET_ACCESS_KEY`}}"},
        {"access_key": "", "secret_key": "", "profile": ""},
        {"token": ""},
        {"access_key": OURS.access_key_id, "secret_key": OURS.secret_access_key},
    ],
    ids=str,
)
def test_credentials_of_the_same_account_are_no_finding(app: Harness, login: dict[str, Any]) -> None:
    variables = {"a": "{{env `AWS_ACCESS_KEY_ID`}}", "s": "{{env `AWS_SECRET_ACCESS_KEY`}}"}
    if "{{env" in str(login):
        login = {"access_key": "{{user `a`}}", "secret_key": "{{user `s`}}"}
    template = json_template(**login)
    template["variables"] |= variables
    app.write("ami/app.json", template)
    said = app.run("check").stdout
    assert "account" not in said, said


def test_profile_of_another_account_is_reported(app: Harness) -> None:
    aws_files(app, credentials=section("default", OURS) + section("second", OTHER))
    app.write("ami/app.json", json_template(profile="second"))
    run = app.run("bake", environment=NO_KEYS)
    assert run.status == 1
    assert f"builds in account {OTHER.account_id} (profile)" in run.stderr
    assert app.packer_runs == 0


def test_credential_process_is_not_run_to_plan_and_the_doubt_is_reported(app: Harness) -> None:
    ran = app.folder.parent / "ran"
    config = f"[profile second]\ncredential_process = touch {ran}\n"
    aws_files(app, config=config, credentials=section("default", OURS))
    app.write("ami/app.json", json_template(profile="second"))
    assert app.run("plan", environment=NO_KEYS).status == 0
    run = app.run("check", environment=NO_KEYS)
    assert "the account of amazon-ebs is unknown before the build: profile: the profile second" in run.stdout
    assert "has a credential_process, which planning does not run" in run.stdout
    assert app.run("check", "--strict", environment=NO_KEYS).status == 1
    assert not ran.exists()


def test_ami_that_was_built_in_another_account_is_reported_with_the_account(app: Harness, local: LocalAws) -> None:
    """The build itself writes `shared_credentials_file`, so the account is not known before."""
    secrets = app.folder.parent / "later"
    aws_files(app, credentials=section("default", OURS))
    real = (app.folder.parent / "bin/packer").read_text()
    written = section("second", OTHER).replace("\n", "\\n")
    exported = f"export AWS_SHARED_CREDENTIALS_FILE={secrets}"
    app.program("packer", real.replace("exec ", f"printf '{written}' > {secrets}; {exported}\nexec "))
    app.write("ami/app.json", json_template(profile="second"))
    run = app.run("bake", environment=NO_KEYS, timeout=200)
    assert run.status == 1
    assert "the account of amazon-ebs is unknown before the build" in run.stderr
    assert f"it does not exist in the account {OURS.account_id}: the builder has its own credentials" in run.stderr
    assert len(ec2_client(local, account=1).describe_images(Owners=["self"])["Images"]) == 1


def finder(tmp_path: Path, *, keys: bool = False, config: str = "") -> AccountFinder:
    (tmp_path / "config").write_text(config)
    environment = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    if keys:
        environment |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}

    def of_keys(asked: Keys) -> str:
        if asked.access_key == "refused":
            raise AwsError("asking", "STS answered InvalidClientTokenId", "Correct it.")
        return f"of {asked.access_key}"

    return AccountFinder(environment=environment, own_account=lambda: "ours", account_of_keys=of_keys)


def login(**fields: Any) -> Login:
    return Login(location=SourceLocation(file="app.json", line=1), named=tuple(fields) or ("profile",), **fields)


WITH_ROLE = f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\n"
WITH_KEYS = "[profile p]\naws_access_key_id = k\naws_secret_access_key = s\n"


@pytest.mark.parametrize(
    ("config", "keys", "packer", "found", "unknown"),
    [
        (WITH_ROLE, False, "1.6.6", {OTHER.account_id}, False),
        (WITH_ROLE, True, "1.6.6", {"ours"}, False),
        (WITH_ROLE, True, "1.16.0", {OTHER.account_id}, False),
        (WITH_ROLE, True, "1.9.4", {OTHER.account_id, "ours"}, True),
        (WITH_KEYS, False, "1.9.4", {"of k"}, False),
        ("[profile p]\nsso_account_id = 123456789012\nsso_role_name = r\n", False, "1.16.0", {"123456789012"}, False),
        ("[profile p]\ncredential_process = x\n", False, "1.16.0", set(), True),
        ("[profile p]\nrole_arn = nonsense\n", False, "1.16.0", set(), True),
        ("[profile p]\naws_access_key_id = refused\naws_secret_access_key = s\n", False, "1.16.0", set(), True),
        ("[profile other]\n", False, "1.16.0", set(), True),
        ("garbage\n", False, "1.16.0", set(), True),
    ],
)
def test_account_of_a_profile(
    tmp_path: Path, config: str, keys: bool, packer: str, found: set[str], unknown: bool
) -> None:
    account = finder(tmp_path, keys=keys, config=config).find(login(profile="p"), packer)
    assert account.accounts == found
    assert bool(account.unknown) is unknown


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"access_key": "k", "secret_key": "s"}, {"of k"}),
        ({"access_key": "k", "secret_key": "s", "profile": "p"}, {"of k"}),
        ({"role": ROLE, "access_key": "refused", "secret_key": "s"}, {OTHER.account_id}),
        ({"role": ROLE, "unknown": "profile: it is of a data source"}, {OTHER.account_id}),
        ({"access_key": "refused", "secret_key": "s"}, set()),
        ({"unknown": "vault_aws_engine: Vault gives the credentials"}, set()),
        ({"role": "${var.role}"}, set()),
    ],
    ids=str,
)
def test_account_of_other_credentials(tmp_path: Path, fields: Mapping[str, str], found: set[str]) -> None:
    account = finder(tmp_path).find(login(**fields), "1.16.0")
    assert account.accounts == found
    assert bool(account.unknown) is not bool(found)


# Credentials that expire during a bake.


@pytest.fixture
def logged_in(app: Harness) -> Harness:
    """ami-bakery's credentials come from a process; Packer has its own keys.

    The process fails while a file `logged-out` exists.
    """
    out = app.folder.parent / "logged-out"
    keys = {
        "Version": 1,
        "AccessKeyId": OURS.access_key_id,
        "SecretAccessKey": OURS.secret_access_key,
        # Expires so soon that botocore requests credentials before each call.
        "Expiration": (datetime.now(UTC) + timedelta(minutes=9)).isoformat(),
    }
    program = app.program(
        "login", f"#!/bin/sh\n[ -e {out} ] && echo please log in >&2 && exit 1\necho '{json.dumps(keys)}'\n"
    )
    aws_files(app, config=f"[default]\ncredential_process = {program}\n")
    packer = (app.folder.parent / "bin/packer").read_text()
    exported = f"export AWS_ACCESS_KEY_ID={OURS.access_key_id} AWS_SECRET_ACCESS_KEY={OURS.secret_access_key}\nexec "
    app.program("packer", packer.replace("exec ", exported))
    app.environment = {name: value for name, value in app.environment.items() if name not in NO_KEYS}
    return app


def logging_out_once(app: Harness) -> Path:
    """Logs out once, at the end of the first build."""
    out, ran = app.folder.parent / "logged-out", app.folder.parent / "ran"
    post = [{"type": "shell-local", "inline": [f"[ -e {ran} ] || touch {ran} {out}"]}]
    app.write("ami/app.json", json_template() | {"post-processors": post})
    return out


def test_credentials_that_come_back_within_the_retries_lose_no_bake(logged_in: Harness, ec2: EC2Client) -> None:
    out = logging_out_once(logged_in)
    process = logged_in.start("bake")
    read_until(process, "the credentials failed, retrying: the credential_process of the profile default")
    out.unlink()
    run = ended(process)
    assert run.status == 0, run.stderr
    assert logged_in.run("bake").answer == run.stdout
    assert logged_in.packer_runs == 1


def test_credentials_that_stay_expired_are_reported_with_the_ami_and_the_next_run_is_free(logged_in: Harness) -> None:
    out = logging_out_once(logged_in)
    run = logged_in.run("bake", environment={"AMI_BAKERY_LOCK_TTL_SECONDS": "4"}, timeout=200)
    assert run.status == 1
    assert "please log in" in run.stderr
    assert "credential_process of the profile default" in run.stderr
    assert "bug" not in run.stderr
    out.unlink()
    assert logged_in.run("bake", environment={"AMI_BAKERY_LOCK_TTL_SECONDS": "4"}).status == 0


def test_missing_login_is_reported_at_once(logged_in: Harness) -> None:
    (logged_in.folder.parent / "logged-out").touch()
    run = logged_in.run("bake", timeout=30)
    assert run.status == 1
    assert "retrying" not in run.stderr
    assert logged_in.packer_runs == 0
