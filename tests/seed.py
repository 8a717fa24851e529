"""Creates AMIs with the tags of a bake, without Packer: copies of a public AMI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mypy_boto3_ec2 import EC2Client

from ami_bakery.core.ec2.ami import COMPONENTS_TAG, DIGEST_TAG, FORMAT_TAG, FROM_TAG, IMAGE_TAG
from tests.harness import Harness

UBUNTU = "099720109477"


def public_ami(ec2: EC2Client, name: str = "*jammy-22.04-amd64*20240927") -> str:
    (found,) = ec2.describe_images(Owners=[UBUNTU], Filters=[{"Name": "name", "Values": [name]}])["Images"]
    return found["ImageId"]


def own_ami(ec2: EC2Client, name: str, tags: Mapping[str, str] | None = None) -> str:
    """Creates an AMI of this account and returns its id."""
    made = ec2.copy_image(
        Name=name,
        SourceImageId=public_ami(ec2),
        SourceRegion=ec2.meta.region_name,
        TagSpecifications=[
            {"ResourceType": "image", "Tags": [{"Key": key, "Value": value} for key, value in (tags or {}).items()]}
        ],
    )
    return made["ImageId"]


def finished(image: str, digest: str, **more: str) -> dict[str, str]:
    """Returns the tags of a verified AMI. `more`: `base` and `components`."""
    tags = {DIGEST_TAG: digest, IMAGE_TAG: image, FORMAT_TAG: "1"}
    names = {"base": FROM_TAG, "components": COMPONENTS_TAG}
    return tags | {names[key]: value for key, value in more.items()}


def seed_images(harness: Harness, clients: Iterable[EC2Client], *names: str) -> dict[str, dict[str, str]]:
    """Creates an AMI for each current definition in each client's region. Returns ids by image and region."""
    digests = {item["image"]: item["digest"] for item in harness.run("digest", "--json", *names).images}
    made: dict[str, dict[str, str]] = {}
    for ec2 in clients:
        for image, digest in digests.items():
            ami = own_ami(ec2, f"{image}-{digest[:12]}", finished(image, digest))
            made.setdefault(image, {})[ec2.meta.region_name] = ami
    return made
