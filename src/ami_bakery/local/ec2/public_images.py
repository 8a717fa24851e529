"""The public AMIs of the embedded EC2, and their SSM parameters."""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass

CANONICAL = "099720109477"
DEBIAN = "136693071363"
AMAZON = "137112412989"

PARAMETER_DATE = datetime.datetime(2024, 10, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicImage:
    ami_id: str
    name: str
    owner_id: str
    owner_alias: str | None
    description: str
    architecture: str
    root_device_name: str
    size_gib: int
    created: datetime.datetime
    parameter: str
    """The SSM parameter with this AMI's id; empty for superseded AMIs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _CatalogueEntry:
    """A public AMI without its id, which differs by region."""

    name: str
    owner_id: str
    created: str
    description: str
    architecture: str = "x86_64"
    root_device_name: str = "/dev/sda1"
    size_gib: int = 8
    parameter: str = ""


def _ubuntu(
    name: str, version: str, created: str, *, current: bool = True, storage: str = "ebs-gp2"
) -> _CatalogueEntry:
    machine = "arm64" if "-arm64-" in name else "amd64"
    path = f"/aws/service/canonical/ubuntu/server/{version}/stable/current/{machine}/hvm/{storage}/ami-id"
    return _CatalogueEntry(
        name=f"ubuntu/images/{name}",
        owner_id=CANONICAL,
        created=created,
        description=f"Canonical, Ubuntu, {version} LTS, {machine} image",
        architecture="arm64" if machine == "arm64" else "x86_64",
        parameter=path if current else "",
    )


_CATALOGUE = (
    _ubuntu("hvm-ssd/ubuntu-xenial-16.04-amd64-server-20210928", "16.04", "2021-09-29T00:34:19Z"),
    _ubuntu("hvm-ssd/ubuntu-bionic-18.04-amd64-server-20230607", "18.04", "2023-06-07T20:34:08Z"),
    _ubuntu("hvm-ssd/ubuntu-focal-20.04-amd64-server-20240830", "20.04", "2024-08-30T06:20:41Z"),
    _ubuntu("hvm-ssd/ubuntu-jammy-22.04-amd64-server-20240614", "22.04", "2024-06-14T07:53:24Z", current=False),
    _ubuntu("hvm-ssd/ubuntu-jammy-22.04-amd64-server-20240927", "22.04", "2024-09-27T05:42:44Z"),
    _ubuntu("hvm-ssd/ubuntu-jammy-22.04-arm64-server-20240927", "22.04", "2024-09-27T05:49:02Z"),
    _ubuntu("hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20240927", "24.04", "2024-09-27T06:11:12Z", storage="ebs-gp3"),
    _CatalogueEntry(
        name="debian-12-amd64-20240901-1857",
        owner_id=DEBIAN,
        created="2024-09-01T22:13:30Z",
        description="Debian 12 (20240901-1857)",
        root_device_name="/dev/xvda",
        parameter="/aws/service/debian/release/12/latest/amd64",
    ),
    _CatalogueEntry(
        name="debian-11-amd64-20240813-1838",
        owner_id=DEBIAN,
        created="2024-08-13T20:05:51Z",
        description="Debian 11 (20240813-1838)",
        root_device_name="/dev/xvda",
        parameter="/aws/service/debian/release/11/latest/amd64",
    ),
    _CatalogueEntry(
        name="amzn2-ami-hvm-2.0.20240916.0-x86_64-gp2",
        owner_id=AMAZON,
        created="2024-09-12T01:13:36Z",
        description="Amazon Linux 2 AMI 2.0.20240916.0 x86_64 HVM gp2",
        root_device_name="/dev/xvda",
        parameter="/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2",
    ),
    _CatalogueEntry(
        name="al2023-ami-2023.5.20240916.0-kernel-6.1-x86_64",
        owner_id=AMAZON,
        created="2024-09-13T18:27:01Z",
        description="Amazon Linux 2023 AMI 2023.5.20240916.0 x86_64 HVM kernel-6.1",
        root_device_name="/dev/xvda",
        parameter="/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
    ),
)


def public_images(region: str) -> tuple[PublicImage, ...]:
    """Returns the public AMIs of a region. Ids are derived from region and name."""
    return tuple(
        PublicImage(
            ami_id="ami-" + hashlib.sha256(f"{region}/{listed.name}".encode()).hexdigest()[:17],
            name=listed.name,
            owner_id=listed.owner_id,
            owner_alias="amazon" if listed.owner_id in (AMAZON, CANONICAL) else None,
            description=listed.description,
            architecture=listed.architecture,
            root_device_name=listed.root_device_name,
            size_gib=listed.size_gib,
            created=datetime.datetime.fromisoformat(listed.created),
            parameter=listed.parameter,
        )
        for listed in _CATALOGUE
    )


def parameters(region: str) -> dict[str, str]:
    """Returns the public SSM parameters of a region: AMI ids by name."""
    return {image.parameter: image.ami_id for image in public_images(region) if image.parameter}
