"""A run's resources are tagged with it as soon as they exist."""

from __future__ import annotations

from mypy_boto3_ec2 import EC2Client

from ami_bakery.core.ec2.run import run_began
from ami_bakery.local import FaultKind, InjectedFault
from tests.harness import Harness
from tests.processes import bake_until, provisioned, wait_until


def tags_of(ec2: EC2Client) -> dict[str, dict[str, str]]:
    """Returns the tags by kind of resource; there is one of each."""
    tags: dict[str, dict[str, str]] = {}
    for tag in ec2.describe_tags(Filters=[{"Name": "key", "Values": ["ami-bakery:*"]}])["Tags"]:
        tags.setdefault(tag["ResourceType"], {})[tag["Key"]] = tag["Value"]
    return tags


def test_resources_of_a_build_are_tagged_with_run_and_image_during_the_build(app: Harness, ec2: EC2Client) -> None:
    provisioned(app, f"echo at work; while [ ! -e {app.folder}/go ]; do sleep 0.1; done")
    process = bake_until(app, "amazon-ebs: at work")
    assert wait_until(lambda: {"instance", "security-group"} <= set(tags_of(ec2)))
    at_work = tags_of(ec2)
    (app.folder / "go").touch()
    ami, rest = process.communicate(timeout=300)
    assert process.returncode == 0, rest
    (pair,) = {tags["ami-bakery:key-pair"] for tags in at_work.values()}
    assert pair.startswith("packer_")
    (run,) = {tags["ami-bakery:run"] for tags in at_work.values()}
    assert run_began(run) is not None
    assert {tags["ami-bakery:image"] for tags in at_work.values()} == {"app"}
    (image,) = ec2.describe_images(ImageIds=[ami.strip()])["Images"]
    assert {"Key": "ami-bakery:run", "Value": run} in image["Tags"]


def test_bake_continues_if_it_may_not_tag(app: Harness, ec2: EC2Client) -> None:
    provisioned(app, f"echo at work; while [ ! -e {app.folder}/go ]; do sleep 0.1; done")
    app.environment["AMI_BAKERY_LOCK_TTL_SECONDS"] = "60"
    app.control.plan(InjectedFault(action="CreateTags", code="UnauthorizedOperation", times=0))
    process = bake_until(app, "amazon-ebs: at work", message="(not tagged with its run: tagging i-")
    app.control.clear_faults()
    assert "instance" not in tags_of(ec2)
    (app.folder / "go").touch()
    _, rest = process.communicate(timeout=300)
    assert process.returncode == 0, rest


def test_outstanding_resources_are_tagged_after_packer_has_ended(app: Harness, ec2: EC2Client) -> None:
    """Packer is faster than EC2's responses to us; and the AMI remains, because the inputs changed."""
    provisioned(app, "python3 -c \"open('setup.sh', 'a').write('moved')\"")
    app.control.plan(InjectedFault(action="CreateTags", kind=FaultKind.DELAY, seconds=0.3, times=0, agent="ami-bakery"))
    run = app.run("bake")
    assert run.status == 1
    (image,) = ec2.describe_images(Owners=["self"])["Images"]
    assert f"{image['ImageId']} of us-east-1 remains, without the digest" in run.stderr
    assert "ami-bakery:run" in {tag["Key"] for tag in image["Tags"]}
    assert image["ImageId"] in app.run("images", "--orphans").answer


def test_unfinished_ami_is_not_listed(app: Harness, ec2: EC2Client) -> None:
    ami = app.run("bake").answer
    assert ami in app.run("images").answer
    ec2.delete_tags(Resources=[ami], Tags=[{"Key": "ami-bakery:format"}])
    assert app.run("images").stdout == ""
