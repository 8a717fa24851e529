"""Locks that a test creates in EC2 for another runner. Helpers for several runners follow."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ami_bakery.core.ec2.ami import DIGEST_TAG, FORMAT_TAG
from ami_bakery.core.lock.inherited import InheritedAmis
from ami_bakery.core.lock.lock import EXPIRES_TAG, Timing, expiry, lock_name, new_lock_tags, past_expiry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_ec2 import EC2Client

    from tests.harness import Harness

WHO = "build-7 (pid 42)"
JOB = "https://ci.example/job/7"
DAY = Timing(lifetime_seconds=24 * 60 * 60)


def hold_lock(ec2: EC2Client, digest: str, *, expired: bool = False, image: str = "app", **notes: str) -> str:
    """Creates a lock of another runner. Returns its id."""
    now = datetime.now(UTC)
    tags = new_lock_tags(
        digest=digest,
        image=image,
        run="20260131T120000Z-0a",
        holder=WHO,
        job=JOB,
        now=now,
        timing=DAY,
        inherited=InheritedAmis(),
    )
    tags |= notes | {EXPIRES_TAG: past_expiry(now - timedelta(minutes=1)) if expired else expiry(now, DAY)}
    tagged: Any = [{"ResourceType": "key-pair", "Tags": _pairs(tags)}]
    made = ec2.create_key_pair(KeyName=lock_name(digest), KeyType="ed25519", TagSpecifications=tagged)
    return made["KeyPairId"]


def locks(ec2: EC2Client) -> dict[str, str]:
    """Returns lock ids by name."""
    pairs = ec2.describe_key_pairs()["KeyPairs"]
    return {pair["KeyName"]: pair["KeyPairId"] for pair in pairs if pair["KeyName"].startswith("ami-bakery-lock-")}


def tags_of(ec2: EC2Client, resource: str) -> dict[str, str]:
    reported = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [resource]}])["Tags"]
    return {tag["Key"]: tag["Value"] for tag in reported}


def finished(ec2: EC2Client, digest: str) -> list[str]:
    """Returns the finished AMIs of the digest."""
    asked = [{"Name": f"tag:{DIGEST_TAG}", "Values": [digest]}, {"Name": "tag-key", "Values": [FORMAT_TAG]}]
    return [image["ImageId"] for image in ec2.describe_images(Owners=["self"], Filters=asked)["Images"]]  # type: ignore[arg-type]


def unfinish(ec2: EC2Client, ami: str) -> None:
    """Removes the tags of a finished AMI."""
    ec2.delete_tags(Resources=[ami], Tags=[{"Key": name} for name in tags_of(ec2, ami) if name != "Name"])


@dataclass(frozen=True, kw_only=True)
class Ended:
    status: int
    stdout: str
    stderr: str


def all_at_once(
    harness: Harness, count: int, *arguments: str, environment: Mapping[str, str | None] | None = None
) -> list[Ended]:
    processes = [harness.start("bake", *arguments, environment=environment) for _ in range(count)]
    return [ended(process, 500) for process in processes]


def ended(process: subprocess.Popen[str], seconds: float = 300) -> Ended:
    stdout, stderr = process.communicate(timeout=seconds)
    assert "Traceback" not in stderr, stderr
    return Ended(status=process.returncode, stdout=stdout.removesuffix("\n"), stderr=stderr)


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Reads stderr up to the line with these words. Returns it."""
    assert process.stderr is not None
    said = ""
    while words not in (line := process.stderr.readline()):
        assert line, f"it ended before it said {words!r}:\n{said}"
        said += line
    return said + line


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]
