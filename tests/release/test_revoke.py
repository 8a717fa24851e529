"""`revoke` and `unrevoke`: a revoked AMI never counts, is never a base, and never promoted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.local import InjectedFault
from tests.conftest import ec2_client
from tests.harness import json_template
from tests.release.channels import TWO_REGIONS, baked, made, promoted, tag_ami, values, write_app

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from ami_bakery.local import LocalAws
    from tests.harness import Harness

TAG = "ami-bakery:revoked"


def reasons(local: LocalAws, amis: dict[str, str]) -> list[str]:
    """Returns the value of the tag of each AMI; empty if it has none."""
    found = []
    for region, ami in amis.items():
        (image,) = ec2_client(local, region).describe_images(ImageIds=[ami])["Images"]
        found.append({tag["Key"]: tag["Value"] for tag in image.get("Tags", ())}.get(TAG, ""))
    return found


def test_image_is_built_again_under_the_same_digest(app: Harness, local: LocalAws) -> None:
    first = app.run("bake").answer
    revoked = app.run("revoke", "app", "--reason", "bad kernel")
    assert revoked.answer == f"app\tus-east-1\t{first}"
    (plan,) = app.run("plan", "--json").images
    assert (plan["action"], plan["amis"]) == ("bake", {})
    assert [(reason["kind"], reason["subject"]) for reason in plan["reasons"]] == [("revoked", first)]
    assert "is revoked: bad kernel" in plan["reasons"][0]["detail"]
    (image,) = app.run("bake", "--json").images
    assert (image["outcome"], image["digest"]) == ("baked", plan["digest"])
    assert image["amis"]["us-east-1"] != first
    assert app.run("bake").answer == image["amis"]["us-east-1"]
    assert app.packer_runs == 2
    assert app.run("unrevoke", first).answer == f"app\tus-east-1\t{first}"
    assert app.run("bake").answer == image["amis"]["us-east-1"], "the newer one wins"


def test_unrevoke_removes_the_tag_or_empties_it_if_that_is_denied(app: Harness, ec2: EC2Client) -> None:
    ami = app.run("bake").answer

    def tags() -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in ec2.describe_images(ImageIds=[ami])["Images"][0]["Tags"]}

    app.run("revoke", ami, "--reason", "a mistake")
    assert tags()[TAG] == "a mistake"
    assert app.run("unrevoke", ami).status == 0
    assert TAG not in tags()
    app.run("revoke", ami, "--reason", "a mistake")
    app.control.plan(InjectedFault(action="DeleteTags", code="UnauthorizedOperation", times=0))
    assert app.run("unrevoke", ami).status == 0
    assert tags()[TAG] == ""
    assert app.run("bake").answer == ami


def test_unrevoked_ami_counts_again(app: Harness) -> None:
    ami = app.run("bake").answer
    app.run("revoke", ami, "--reason", "a mistake")
    run = app.run("unrevoke", "app")
    assert run.answer == f"app\tus-east-1\t{ami}"
    assert f"app: {ami} (us-east-1): unrevoked" in run.stderr
    assert app.run("bake").answer == ami
    assert app.packer_runs == 1
    again = app.run("unrevoke", ami)
    assert again.status == 0
    assert "nothing to do" in again.stderr
    none = app.run("unrevoke", "app")
    assert none.status == 1
    assert "there is no revoked AMI of the current definition" in none.stderr


def test_copies_in_every_region_even_unconfigured_ones(harness: Harness, local: LocalAws) -> None:
    write_app(harness)
    amis = made(local, 1, ("us-east-1", "eu-west-1", "ap-south-1"))
    other = made(local, 2)
    run = harness.run("revoke", amis["eu-west-1"], "--reason", "bad", "--json")
    assert run.status == 0, run.stderr
    assert {each["region"]: each["ami"] for each in run.document["amis"]} == amis
    assert {each["outcome"] for each in run.document["amis"]} == {"revoked"}
    assert reasons(local, amis) == ["bad"] * 3
    assert reasons(local, other) == ["", ""]


def test_second_revocation_changes_nothing(harness: Harness, local: LocalAws) -> None:
    write_app(harness)
    amis = made(local, 1, ("us-east-1",))
    harness.run("revoke", amis["us-east-1"], "--reason", "bad")
    harness.control.clear_report()
    run = harness.run("revoke", amis["us-east-1"], "--reason", "bad")
    assert run.status == 0
    assert "nothing to do" in run.stderr
    assert "CreateTags" not in harness.calls()
    assert harness.run("revoke", amis["us-east-1"], "--reason", "worse").status == 0
    assert reasons(local, amis) == ["worse"]


def test_image_means_all_builds_of_its_definition(harness: Harness, local: LocalAws) -> None:
    """Otherwise, the older one would be used again."""
    write_app(harness)
    digest = harness.run("digest").answer
    builds = [made(local, number, ("us-east-1",), ami_config_checksum=digest) for number in range(2)]
    assert harness.run("plan", "--json").images[0]["action"] == "reuse"
    assert harness.run("revoke", "app", "--reason", "bad").status == 0
    assert [reasons(local, build) for build in builds] == [["bad"], ["bad"]]
    assert harness.run("plan", "--json").images[0]["action"] == "bake"


def test_descendants_are_revoked_with_their_copies(harness: Harness, local: LocalAws) -> None:
    write_app(harness, regions=TWO_REGIONS)
    base = made(local, 1, TWO_REGIONS, **{"ami-bakery:image": "base"})
    child = made(local, 2, TWO_REGIONS, **{"ami-bakery:from": base["us-east-1"]})
    other = made(local, 3)
    run = harness.run("revoke", base["us-east-1"], "--reason", "bad", "--descendants")
    assert run.status == 0, run.stderr
    assert reasons(local, base) == reasons(local, child) == ["bad", "bad"]
    assert reasons(local, other) == ["", ""]


def test_channels_are_rolled_back_on_request(harness: Harness, local: LocalAws) -> None:
    write_app(harness, regions=TWO_REGIONS)
    first, second = made(local, 1), made(local, 2)
    promoted(harness, first)
    promoted(harness, second)
    warned = harness.run("revoke", second["us-east-1"], "--reason", "bad")
    assert f"channel stable in eu-west-1 has the revoked {second['eu-west-1']}" in warned.stderr
    assert values(local) == second
    run = harness.run("revoke", second["us-east-1"], "--reason", "bad", "--rollback-channels", "--json")
    assert run.status == 0, run.stderr
    assert values(local) == first
    assert [(each["channel"], each["outcome"]) for each in run.document["channels"]] == [("stable", "rolled-back")]


def test_channel_without_another_ami_is_an_error(harness: Harness, local: LocalAws) -> None:
    write_app(harness)
    amis = made(local, 1, ("us-east-1",))
    promoted(harness, amis)
    run = harness.run("revoke", amis["us-east-1"], "--reason", "bad", "--rollback-channels")
    assert run.status == 1
    assert "no earlier AMI that can be restored" in run.stderr
    assert reasons(local, amis) == ["bad"]


def test_revoked_copy_revokes_the_build_for_plan(harness: Harness, local: LocalAws) -> None:
    """A revocation that failed in a region must not make a copy of the AMI there."""
    write_app(harness, regions=TWO_REGIONS)
    amis = baked(harness, "1")
    harness.control.plan(InjectedFault(action="CreateTags", region="eu-west-1", code="UnauthorizedOperation", times=0))
    run = harness.run("revoke", "app", "--reason", "bad")
    assert run.status == 1
    assert "ec2:CreateTags" in run.stderr
    assert amis["eu-west-1"] in run.stderr
    assert reasons(local, amis) == ["bad", ""]
    (plan,) = harness.run("plan", "--json").images
    assert plan["action"] == "bake"
    assert {reason["kind"] for reason in plan["reasons"]} == {"revoked"}
    harness.control.clear_faults()
    assert harness.run("revoke", "app", "--reason", "bad").status == 0
    assert reasons(local, amis) == ["bad", "bad"]


def test_child_is_not_built_from_a_revoked_parent(harness: Harness, local: LocalAws) -> None:
    write_app(harness)
    template = json_template(source_ami="{{user `source_ami`}}")
    del template["builders"][0]["source_ami_filter"]
    template["variables"]["source_ami"] = ""
    harness.write("child/child.json", template)
    text = (harness.folder / "bakery.toml").read_text()
    child = '\n[images.child]\ntemplate = "child/child.json"\nregions = ["us-east-1"]\nfrom = {}\n'
    harness.write("bakery.toml", text + child.format('"app"'))
    assert harness.run("bake").status == 0
    (app,) = harness.run("bake", "app", "--json").images
    old = app["amis"]["us-east-1"]
    harness.run("revoke", old, "--reason", "bad")
    plans = {plan["image"]: plan["action"] for plan in harness.run("plan", "--json").images}
    assert plans == {"app": "bake", "child": "pending"}
    harness.write("child/setup.sh", "echo changed\n")
    for source in (f'"{old}"', '{ owners = ["self"], filters = { name = "test-*", tag:ami-bakery:image = "app" } }'):
        quoted = source.replace("tag:ami-bakery:image", '"tag:ami-bakery:image"')
        harness.write("bakery.toml", text + child.format(quoted))
        run = harness.run("plan", "child")
        assert run.status == 1, run.stdout
        assert "is revoked: bad" in run.stderr or "no available AMI" in run.stderr


def test_filter_in_a_template_that_finds_a_revoked_ami_is_an_error(app: Harness, local: LocalAws) -> None:
    """Packer would use it."""
    amis = made(local, 1, ("us-east-1",))
    tag_ami(local, amis["us-east-1"], revoked="bad")
    own = {"owners": ["self"], "filters": {"name": "app-*"}, "most_recent": True}
    app.write("ami/app.json", json_template(source_ami_filter=own))
    run = app.run("plan")
    assert run.status == 1
    assert f"{amis['us-east-1']}, the newest AMI that matches the filter, is revoked: bad" in run.stderr


def test_check_warns_of_channels_and_instances(harness: Harness, local: LocalAws, ec2: EC2Client) -> None:
    write_app(harness)
    amis = made(local, 1, ("us-east-1",))
    promoted(harness, amis)
    instance = ec2.run_instances(ImageId=amis["us-east-1"], MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    assert "revoked-in-use" not in harness.run("check").stdout
    harness.run("revoke", amis["us-east-1"], "--reason", "bad")
    run = harness.run("check", "--json")
    assert run.status == 0, run.stderr
    messages = [item["message"] for item in run.images[0]["findings"] if item["code"] == "revoked-in-use"]
    assert messages == [
        f"channel stable has {amis['us-east-1']} (us-east-1), which is revoked: bad",
        f"{instance} in us-east-1 run {amis['us-east-1']}, which is revoked: bad",
    ]


def test_too_long_and_empty_reasons_are_wrong_usage(harness: Harness) -> None:
    write_app(harness)
    for reason in ("", "x" * 257, "a\nb"):
        run = harness.run("revoke", "app", "--reason", reason)
        assert run.status == 2, reason
        assert "reading --reason" in run.stderr


def test_an_ami_with_50_tags_does_not_prevent_the_others(harness: Harness, local: LocalAws) -> None:
    write_app(harness)
    full = made(local, 1, ("us-east-1",), **{f"t{number}": "x" for number in range(46)})
    child = made(local, 2, ("us-east-1",), **{"ami-bakery:from": full["us-east-1"]})
    run = harness.run("revoke", full["us-east-1"], "--reason", "bad", "--descendants")
    assert run.status == 1
    assert "TagLimitExceeded" in run.stderr
    assert (reasons(local, full), reasons(local, child)) == ([""], ["bad"])


def test_an_ami_that_is_deregistered_meanwhile_does_not_prevent_the_others(harness: Harness, local: LocalAws) -> None:
    write_app(harness)
    base = made(local, 1, ("us-east-1",))
    child = made(local, 2, ("us-east-1",), **{"ami-bakery:from": base["us-east-1"]})
    harness.control.plan(InjectedFault(action="CreateTags", code="InvalidAMIID.NotFound"))
    run = harness.run("revoke", base["us-east-1"], "--reason", "bad", "--descendants")
    assert run.status == 0, run.stderr
    assert reasons(local, base) == reasons(local, child) == ["bad"]


def test_unknown_ami_and_image(harness: Harness) -> None:
    write_app(harness)
    assert "there is no ami-0123456789abcdef0" in harness.run("revoke", "ami-0123456789abcdef0", "--reason", "x").stderr
    assert harness.run("revoke", "ap", "--reason", "x").status == 2
    missing = harness.run("revoke", "app", "--reason", "x")
    assert missing.status == 1
    assert "there is no AMI of the current definition of image app" in missing.stderr


def test_an_ami_of_another_account_is_refused(harness: Harness, ec2: EC2Client) -> None:
    write_app(harness)
    foreign = ec2.describe_images(Owners=["099720109477"])["Images"][0]["ImageId"]
    run = harness.run("revoke", foreign, "--reason", "x")
    assert run.status == 1
    assert "belongs to account 099720109477" in run.stderr
