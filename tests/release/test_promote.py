"""`promote`: the AMI is in the channel in every region, or the message says why not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ami_bakery.local import InjectedFault
from tests.conftest import ec2_client
from tests.processes import wait_until
from tests.release.channels import NAME, TWO_REGIONS, baked, ssm_client, value_in, values, write_app

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from ami_bakery.local import LocalAws
    from tests.harness import Harness, Run


def promote(harness: Harness, *more: str, channel: str = "stable") -> Run:
    return harness.run("promote", "app", "--to", channel, *more)


def test_promote_writes_an_image_parameter_and_prints_the_id(app: Harness, local: LocalAws) -> None:
    ami = app.run("bake").answer
    run = promote(app)
    assert run.answer == ami
    parameter = ssm_client(local).get_parameter(Name=NAME)["Parameter"]
    assert (parameter["Value"], parameter["DataType"], parameter["Version"]) == (ami, "aws:ec2:image", 1)
    assert f"promoted: channel stable: new -> {ami} (us-east-1, version 1)" in run.stderr
    assert ec2_client(local).describe_key_pairs()["KeyPairs"] == []


def test_second_promotion_writes_nothing_and_says_so(app: Harness, local: LocalAws) -> None:
    ami = app.run("bake").answer
    promote(app)
    app.control.clear_report()
    run = promote(app)
    assert run.answer == ami
    assert f"nothing to do: channel stable has {ami} (us-east-1) already" in run.stderr
    assert "PutParameter" not in app.calls()


def test_each_region_gets_its_own_ami(harness: Harness, local: LocalAws) -> None:
    write_app(harness, regions=TWO_REGIONS)
    amis = baked(harness, "1")
    run = promote(harness)
    assert run.answer == "\n".join(f"app\t{region}\t{ami}" for region, ami in amis.items())
    assert values(local) == amis
    assert len(set(amis.values())) == 2


def test_json_has_every_region(harness: Harness, local: LocalAws) -> None:
    write_app(harness, regions=TWO_REGIONS)
    amis = baked(harness, "1")
    (image,) = promote(harness, "--json").images
    assert (image["image"], image["channel"], image["outcome"], image["amis"]) == ("app", "stable", "promoted", amis)
    assert image["parameter"] == NAME
    assert [(each["region"], each["version"], each["previous"]) for each in image["regions"]] == [
        (region, 1, None) for region in TWO_REGIONS
    ]


def test_image_that_is_not_built_is_not_promoted(app: Harness, local: LocalAws) -> None:
    run = promote(app)
    assert run.status == 1
    assert "no finished AMI of the current definition in us-east-1" in run.stderr
    assert "Build it first: ami-bakery bake app" in run.stderr
    assert value_in(local) == ""


def test_a_changed_definition_is_not_promoted(app: Harness, local: LocalAws) -> None:
    app.run("bake")
    app.write("ami/setup.sh", "echo changed\n")
    assert promote(app).status == 1
    assert value_in(local) == ""


def test_from_another_channel(harness: Harness, local: LocalAws) -> None:
    write_app(harness, regions=TWO_REGIONS)
    amis = baked(harness, "1")
    assert promote(harness, channel="beta").status == 0
    baked(harness, "2")
    assert promote(harness, "--from", "beta").status == 0
    assert values(local) == amis


def test_from_a_channel_whose_regions_differ_is_refused(harness: Harness, local: LocalAws) -> None:
    write_app(harness, regions=TWO_REGIONS)
    first = baked(harness, "1")
    promote(harness, channel="beta")
    baked(harness, "2")
    promote(harness, channel="beta")
    ssm = ssm_client(local, "eu-west-1")
    ssm.put_parameter(Name="/ami-bakery/app/beta", Value=first["eu-west-1"], Overwrite=True)
    harness.control.change(validation_seconds=0)
    run = promote(harness, "--from", "beta")
    assert run.status == 1
    assert "its regions have AMIs of different builds" in run.stderr
    assert value_in(local) == ""


def test_from_an_empty_channel_is_refused(app: Harness, local: LocalAws) -> None:
    app.run("bake")
    run = promote(app, "--from", "beta")
    assert run.status == 1
    assert "/ami-bakery/app/beta does not exist" in run.stderr


def test_an_older_ami_and_its_copies(harness: Harness, local: LocalAws) -> None:
    write_app(harness, regions=TWO_REGIONS)
    first = baked(harness, "1")
    baked(harness, "2")
    for region in TWO_REGIONS:
        assert promote(harness, "--ami", first[region], channel=region).status == 0
        assert values(local, name=f"/ami-bakery/app/{region}") == first


def test_an_ami_that_does_not_exist_is_refused(app: Harness, local: LocalAws) -> None:
    run = promote(app, "--ami", "ami-0123456789abcdef0")
    assert run.status == 1
    assert "no AMI of this account with this id in us-east-1" in run.stderr


def test_an_ami_of_another_account_is_refused(app: Harness, ec2: EC2Client) -> None:
    foreign = ec2.describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]
    run = promote(app, "--ami", foreign)
    assert run.status == 1
    assert "it belongs to account 099720109477" in run.stderr


def test_an_ami_without_the_format_is_refused(app: Harness, ec2: EC2Client) -> None:
    ami = app.run("bake").answer
    ec2.delete_tags(Resources=[ami], Tags=[{"Key": "ami-bakery:format"}])
    run = promote(app, "--ami", ami)
    assert run.status == 1
    assert "ami-bakery did not finish it (it has no tag ami-bakery:format)" in run.stderr


def test_an_ami_of_another_image_is_refused(app: Harness, ec2: EC2Client) -> None:
    ami = app.run("bake").answer
    ec2.create_tags(Resources=[ami], Tags=[{"Key": "ami-bakery:image", "Value": "other"}])
    run = promote(app, "--ami", ami)
    assert run.status == 1
    assert "it is an AMI of image other, not of app" in run.stderr


def test_a_revoked_ami_is_refused(app: Harness, ec2: EC2Client) -> None:
    ami = app.run("bake").answer
    ec2.create_tags(Resources=[ami], Tags=[{"Key": "ami-bakery:revoked", "Value": "bad\nkernel"}])
    run = promote(app, "--ami", ami)
    assert run.status == 1
    assert "it is revoked: bad\\nkernel" in run.stderr


def test_a_disabled_ami_is_refused(app: Harness, ec2: EC2Client) -> None:
    ami = app.run("bake").answer
    ec2.disable_image(ImageId=ami)
    run = promote(app, "--ami", ami)
    assert run.status == 1
    assert "disabled" in run.stderr or "no AMI of this account" in run.stderr


def test_an_untested_ami_is_refused_if_the_image_has_a_test(app: Harness, local: LocalAws) -> None:
    ami = app.run("bake").answer
    write_app(app, more='test = "ami/test.json"\n')
    app.write("ami/setup.sh", "echo set up\n")
    app.write("ami/test.json", {"builders": [{"type": "null", "communicator": "none"}]})
    run = promote(app, "--ami", ami)
    assert run.status == 1
    assert "it did not pass a test" in run.stderr
    assert value_in(local) == ""


def test_a_parameter_of_another_program_is_not_overwritten(app: Harness, local: LocalAws) -> None:
    ami = app.run("bake").answer
    ssm = ssm_client(local)
    app.control.change(validation_seconds=0)
    other = ec2_client(local).describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]
    ssm.put_parameter(Name=NAME, Value=other, Type="String", DataType="aws:ec2:image")
    run = promote(app)
    assert run.status == 1
    assert f"writing {ami} to {NAME} in us-east-1" in run.stderr
    assert "ami-bakery did not create the parameter that has this name" in run.stderr
    assert value_in(local) == other
    assert promote(app, "--adopt").answer == ami
    assert promote(app).status == 0


def test_a_parameter_of_another_type_is_never_overwritten(app: Harness, local: LocalAws) -> None:
    app.run("bake")
    ssm_client(local).put_parameter(Name=NAME, Value="a secret", Type="SecureString")
    run = promote(app, "--adopt")
    assert run.status == 1
    assert "a parameter of another type has this name: SecureString, text" in run.stderr
    assert "aws ssm delete-parameter --region us-east-1 --name /ami-bakery/app/stable" in run.stderr
    assert "a secret" not in run.stderr


def test_no_region_is_written_if_one_is_blocked(harness: Harness, local: LocalAws) -> None:
    write_app(harness, regions=TWO_REGIONS)
    baked(harness, "1")
    ssm_client(local, "eu-west-1").put_parameter(Name=NAME, Value="text", Type="String")
    assert promote(harness).status == 1
    assert values(local) == {"us-east-1": "", "eu-west-1": "text"}


def test_a_region_that_fails_is_named_and_repaired_by_running_again(harness: Harness, local: LocalAws) -> None:
    write_app(harness, regions=TWO_REGIONS)
    amis = baked(harness, "1")
    harness.control.plan(
        InjectedFault(action="PutParameter", region="eu-west-1", code="AccessDeniedException", times=0)
    )
    run = promote(harness)
    assert run.status == 1
    assert "Allow the action ssm:PutParameter" in run.stderr
    assert f"writing the SSM parameter {NAME} in eu-west-1" in run.stderr
    assert "us-east-1 has the AMI already" in run.stderr
    assert values(local) == {**amis, "eu-west-1": ""}
    harness.control.clear_faults()
    assert promote(harness).status == 0
    assert values(local) == amis


def test_a_value_that_ssm_drops_is_an_error(app: Harness, ec2: EC2Client) -> None:
    """SSM answers 200, and finds later that there is no such AMI."""
    ami = app.run("bake").answer
    app.control.change(validation_seconds=600)
    process = app.start("promote", "app", "--to", "stable", "--timeout", "8s")
    assert wait_until(lambda: "PutParameter" in app.calls())
    ec2.deregister_image(ImageId=ami)
    app.control.change(validation_seconds=0)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "SSM accepted version 1, but after 8 s it does not exist" in stderr
    assert "us-east-1" in stderr


def test_a_label_on_the_oldest_of_100_versions_is_explained(app: Harness, local: LocalAws) -> None:
    first = app.run("bake").answer
    app.write("ami/setup.sh", "echo 2\n")
    app.run("bake")
    ssm = ssm_client(local)
    app.control.change(validation_seconds=0)
    assert promote(app, "--ami", first).status == 0
    for _ in range(99):
        ssm.put_parameter(Name=NAME, Value=first, Overwrite=True)
        ssm.get_parameter(Name=NAME)
    ssm.label_parameter_version(Name=NAME, ParameterVersion=1, Labels=["golden"])
    run = promote(app)
    assert run.status == 1
    assert "cannot delete the oldest, version 1, because it has a label: golden" in run.stderr
    assert "aws ssm unlabel-parameter-version --region us-east-1" in run.stderr
    ssm.unlabel_parameter_version(Name=NAME, ParameterVersion=1, Labels=["golden"])
    assert promote(app).status == 0


def test_channels_that_are_not_allowed_are_wrong_usage(app: Harness) -> None:
    app.write("bakery.toml", (app.folder / "bakery.toml").read_text() + '\n[channels]\nnames = ["beta", "stable"]\n')
    run = promote(app, channel="stabel")
    assert run.status == 2
    assert "channel 'stabel' is not in `names` of [channels]; did you mean 'stable'?" in run.stderr
    assert promote(app, channel="a/b").status == 2


def test_prefix_is_configurable(app: Harness, local: LocalAws) -> None:
    ami = app.run("bake").answer
    app.write("bakery.toml", (app.folder / "bakery.toml").read_text() + '\n[channels]\nprefix = "/golden/images"\n')
    assert promote(app).status == 0
    assert value_in(local, name="/golden/images/app/stable") == ami


def test_several_images_one_fails(app: Harness, local: LocalAws) -> None:
    app.run("bake")
    text = (app.folder / "bakery.toml").read_text()
    app.write("bakery.toml", text + '\n[images.web]\ntemplate = "ami/app.json"\nregions = ["us-east-1"]\n')
    run = app.run("promote", "app", "web", "--to", "stable", "--json")
    assert run.status == 1
    assert [(image["image"], image["outcome"]) for image in run.images] == [("app", "promoted"), ("web", "failed")]


def test_output_for_github_and_annotations(app: Harness, local: LocalAws) -> None:
    ami = app.run("bake").answer
    output, summary = app.folder.parent / "output", app.folder.parent / "summary"
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary)}
    for path in (output, summary):
        path.touch()
    run = app.run("promote", "app", "--to", "stable", "--output", str(output), environment=environment)
    assert run.status == 0, run.stderr
    assert f"ami-id={ami}\n" in output.read_text()
    assert "outcome=promoted\n" in output.read_text()
    assert "ami-bakery promote: 1 promoted" in summary.read_text()
    app.write("ami/setup.sh", "echo changed\n")
    failed = app.run("promote", "app", "--to", "stable", environment=environment)
    assert "::error" in failed.stderr


def test_two_promotions_at_once_end_in_one_build(harness: Harness, local: LocalAws) -> None:
    write_app(harness, regions=TWO_REGIONS)
    builds = [baked(harness, "1"), baked(harness, "2")]
    running = [
        harness.start("promote", "app", "--to", "stable", "--ami", build["us-east-1"], "--json") for build in builds
    ]
    answers = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    assert [answer["images"][0]["outcome"] for answer in answers] == ["promoted", "promoted"]
    assert values(local) in builds


def test_another_job_that_changes_the_channel(app: Harness, local: LocalAws) -> None:
    app.run("bake")
    app.control.change(validation_seconds=600)
    process = app.start("promote", "app", "--to", "stable", "--timeout", "20s")
    assert wait_until(lambda: "PutParameter" in app.calls())
    run = promote(app, "--no-wait")
    assert run.status == 75
    assert "another runner is changing this channel" in run.stderr
    process.kill()
    process.communicate()
