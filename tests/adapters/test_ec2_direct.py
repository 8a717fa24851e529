"""Direct calls of EC2 return botocore's results, and fall back to botocore for everything unusual."""

from __future__ import annotations

import calendar
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from mypy_boto3_ec2 import EC2Client

from ami_bakery.adapters.aws.ec2 import BotoEc2
from ami_bakery.adapters.aws.ec2_clock import Ec2Clocks
from ami_bakery.adapters.aws.ec2_direct import Ec2Query, StaticSettings, encode, signed_headers, static_settings
from ami_bakery.adapters.aws.ec2_lock import KeyPairLocks
from ami_bakery.adapters.aws.ec2_xml import (
    Ec2Response,
    done,
    image_dicts,
    key_pair,
    resource_tags,
    security_groups,
    snapshots,
)
from ami_bakery.adapters.aws.session import AwsSession
from ami_bakery.adapters.aws.temporary_resources import BotoTemporaryResources
from ami_bakery.core.ec2.ami import DIGEST_TAG, IMAGE_TAG, Ami
from ami_bakery.core.lock.lock import LOCK_TAG
from ami_bakery.local import LocalAws
from ami_bakery.local.faults import FaultKind, InjectedFault
from tests.counting_proxy import CountingProxy
from tests.harness import Harness

KEYS = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret", "HOME": "/nobody"}
UBUNTU = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*"


@pytest.mark.parametrize("token", ["", "a session's/token=="])
def test_a_request_is_signed_as_botocore_signs_it(token: str) -> None:
    body = encode({"Action": "DescribeImages", "Filters": [{"Name": "tag:ä b", "Values": ["1~*", "2/+"]}]})
    host = "ec2.eu-west-1.amazonaws.com"
    theirs = AWSRequest("POST", f"https://{host}/", data=body)
    theirs.headers["content-type"] = "application/x-www-form-urlencoded; charset=utf-8"
    SigV4Auth(Credentials("AKIA", "secret", token or None), "ec2", "eu-west-1").add_auth(theirs)
    seconds = calendar.timegm(time.strptime(theirs.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
    settings = StaticSettings(access_key="AKIA", secret_key="secret", token=token, trusted="", proxy=None)
    assert (
        signed_headers(settings, host, "eu-west-1", body, seconds)["authorization"] == (theirs.headers["Authorization"])
    )


class Both:
    """The same EC2, called directly and through botocore."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.plain_session, self.session = AwsSession(environment), AwsSession({})
        self.plain, self.botocore = BotoEc2(self.plain_session), BotoEc2(self.session)
        assert static_settings(environment) is not None


@pytest.fixture
def both(local: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    environment = local.environment({"HOME": "/nobody"})
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    made = Both(environment)
    yield made
    made.plain_session.close()


def test_images_are_the_same_as_botocores(both: Both, ec2: EC2Client) -> None:
    filters = [{"Name": "name", "Values": [UBUNTU]}]
    base = ec2.describe_images(Owners=["099720109477"], Filters=filters)["Images"][0]["ImageId"]  # type: ignore[arg-type]
    instance = ec2.run_instances(ImageId=base, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    made = [ec2.create_image(InstanceId=instance, Name=f"app-({n})", NoReboot=True)["ImageId"] for n in range(3)]
    ec2.create_tags(
        Resources=made, Tags=[{"Key": DIGEST_TAG, "Value": "ab" * 32}, {"Key": IMAGE_TAG, "Value": "<äpp> & co"}]
    )
    ec2.enable_image_deprecation(ImageId=made[0], DeprecateAt="2031-01-01T00:00:00Z")
    region, owners = "us-east-1", ("self",)
    asks: tuple[Callable[[BotoEc2], tuple[Ami, ...]], ...] = (
        lambda side: side.find_by_digest(region, ["ab" * 32, "cd" * 32], owners),
        lambda side: side.find_with_any_digest(region, owners),
        lambda side: side.find_by_image(region, ["<äpp> & co"], owners),
        lambda side: side.find_by_id(region, made),
        lambda side: side.find_by_name(region, ["app-(1)"]),
        lambda side: side.find_matching(region, ("099720109477", "amazon"), [("state", ("available",))]),
    )
    for ask in asks:
        plain = sorted(ask(both.plain), key=lambda ami: ami.id)
        assert plain
        assert plain == sorted(ask(both.botocore), key=lambda ami: ami.id)


def test_snapshots_are_the_same_as_botocores(both: Both, ec2: EC2Client) -> None:
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    made = sorted(ec2.create_snapshot(VolumeId=volume)["SnapshotId"] for _ in range(3))
    ec2.create_tags(Resources=made[:2], Tags=[{"Key": DIGEST_TAG, "Value": "ab" * 32}, {"Key": "<ä>", "Value": ""}])
    found = both.plain.find_snapshots_by_digest("us-east-1", ["ab" * 32, "cd" * 32])
    assert found == {"ab" * 32: tuple(made[:2])}
    assert found == both.botocore.find_snapshots_by_digest("us-east-1", ["ab" * 32, "cd" * 32])


def test_security_groups_are_the_same_as_botocores(both: Both, ec2: EC2Client) -> None:
    tags: Any = [{"ResourceType": "security-group", "Tags": [{"Key": "<ä>", "Value": "1"}]}]
    made = ec2.create_security_group(GroupName="packer_1", Description="d", TagSpecifications=tags)["GroupId"]
    plain, botocore = BotoTemporaryResources(both.plain_session), BotoTemporaryResources(both.session)
    (found,) = plain.security_groups("us-east-1", names=["packer_1", "packer_2"])
    assert (found.id, found.name, found.tags) == (made, "packer_1", {"<ä>": "1"})
    assert botocore.security_groups("us-east-1", names=["packer_1"]) == (found,)
    assert plain.security_groups("us-east-1", ids=[made]) == (found,)
    assert plain.security_groups("us-east-1") == ()


def test_locks_are_the_same_as_botocores(both: Both) -> None:
    plain, botocore = KeyPairLocks(both.plain_session), KeyPairLocks(both.session)
    assert plain.of_digests("us-east-1", ["ab"]) == ()
    made = plain.acquire("us-east-1", "lock-1", {LOCK_TAG: "ab", "<ä>": "", "other": "a & b"})
    (found,) = plain.of_digests("us-east-1", ["ab", "cd"])
    assert (found.id, found.tags) == (made, {LOCK_TAG: "ab", "<ä>": "", "other": "a & b"})
    (theirs,) = botocore.of_digests("us-east-1", ["ab", "cd"])
    assert (theirs.id, theirs.tags) == (found.id, found.tags)


def test_tags_are_set_as_botocore_sets_them(both: Both, ec2: EC2Client) -> None:
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    both.plain.tag("us-east-1", [volume], {"<ä>": "a b/+~", "empty": ""})
    (seen,) = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    assert {tag["Key"]: tag["Value"] for tag in seen["Tags"]} == {"<ä>": "a b/+~", "empty": ""}


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (image_dicts, "<DescribeImagesResponse xmlns='e'><imagesSet><item><name>n</name></item></imagesSet>"),
        (snapshots, "<DescribeImagesResponse xmlns='e'><snapshotSet><item/></snapshotSet>"),
        (key_pair, "<DescribeImagesResponse xmlns='e'><keyName>n</keyName>"),
        (security_groups, "<DescribeImagesResponse xmlns='e'><securityGroupInfo><item/></securityGroupInfo>"),
        (resource_tags, "<DescribeImagesResponse xmlns='e'><tagSet><item><key>k</key></item></tagSet>"),
        (done, "<DescribeImagesResponse xmlns='e'><return>false</return>"),
        (image_dicts, "<ErrorResponse xmlns='e'>"),
        (image_dicts, "<html>"),
    ],
)
def test_an_incomplete_response_is_an_error(read: Callable[[Ec2Response], list[Any]], body: str) -> None:
    end = f"</{body[1:].split('>')[0].split()[0]}>"
    with pytest.raises(ValueError):
        read(Ec2Response.of("DescribeImages", (body + end).encode()))


def test_all_pages_are_read(both: Both, app: Harness) -> None:
    app.control.change(page_cap=2)
    found = both.plain.find_matching("us-east-1", ("099720109477", "amazon"), [("state", ("available",))])
    assert len(found) > 4
    assert len(found) == len({ami.id for ami in found})
    assert app.calls()["DescribeImages"] == (len(found) + 1) // 2


@pytest.mark.parametrize("kind", [FaultKind.ERROR, FaultKind.DROP_BEFORE, FaultKind.DROP_AFTER])
def test_a_failed_call_is_repeated_with_botocore(both: Both, app: Harness, kind: FaultKind) -> None:
    app.control.plan(InjectedFault(action="DescribeImages", kind=kind, code="RequestLimitExceeded"))
    assert both.plain.find_matching("us-east-1", ("099720109477",), [("name", (UBUNTU,))])
    assert both.plain_session.query.call("us-east-1", "DescribeImages", {}, image_dicts) is None


def test_after_an_error_of_ec2_only_that_call_uses_botocore(both: Both, app: Harness) -> None:
    query = both.plain_session.query
    assert query.call("us-east-1", "DescribeImages", {"ImageIds": ["ami-0123456789abcdef0"]}, image_dicts) is None
    assert query.call("us-east-1", "DescribeImages", {"Owners": ["self"]}, image_dicts) == []


def test_a_connection_that_the_server_closed_is_replaced(both: Both, app: Harness) -> None:
    query = both.plain_session.query
    assert query.call("us-east-1", "DescribeImages", {"Owners": ["self"]}, image_dicts) == []
    ((connection,),) = query._pool._idle.values()  # type: ignore[union-attr]
    ours = socket.fromfd(connection.sock.fileno(), socket.AF_INET, socket.SOCK_STREAM)
    ours.shutdown(socket.SHUT_RD)
    ours.close()
    assert query.call("us-east-1", "DescribeImages", {"Owners": ["self"]}, image_dicts) == []
    assert connection.sock is None


def test_no_connection_stays_open_after_close(both: Both, app: Harness) -> None:
    query = both.plain_session.query
    assert query.call("us-east-1", "DescribeImages", {"Owners": ["self"]}, image_dicts) == []
    query.close()
    assert query.call("us-east-1", "DescribeImages", {"Owners": ["self"]}, image_dicts) == []
    assert not any(query._pool._idle.values())  # type: ignore[union-attr]


def test_an_unknown_ami_id_does_not_hide_the_others(both: Both) -> None:
    (base,) = both.plain.find_matching("us-east-1", ("099720109477",), [("name", (UBUNTU,))])[:1]
    assert [ami.id for ami in both.plain.find_by_id("us-east-1", [base.id, "ami-0123456789abcdef0"])] == [base.id]


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1", "us-iso-east-1", "eusc-de-east-1", "evil.org/#"])
def test_regions_of_other_partitions_use_botocore(region: str) -> None:
    assert Ec2Query(KEYS, Ec2Clocks()).call(region, "DescribeImages", {}, image_dicts) is None


def test_access_keys_alone_allow_direct_calls_with_the_default_ca_bundle() -> None:
    plain = static_settings(KEYS)
    assert plain is not None
    assert plain.proxy is None
    assert Path(plain.trusted).name == "cacert.pem"
    assert Path(plain.trusted).is_file()


def test_a_proxy_without_a_password_allows_direct_calls() -> None:
    plain = static_settings({**KEYS, "HTTPS_PROXY": "http://proxy.local:3128", "NO_PROXY": "localhost,10.0.0.0/8"})
    assert plain is not None
    assert plain.proxy == ("proxy.local", 3128)


@pytest.mark.parametrize(
    "change",
    [
        {"AWS_ACCESS_KEY_ID": ""},
        {"AWS_SECRET_ACCESS_KEY": ""},
        {"AWS_PROFILE": "work"},
        {"AWS_DEFAULT_PROFILE": "work"},
        {"AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/ci"},
        {"AWS_ENDPOINT_URL": "http://localhost:4566"},
        {"AWS_ENDPOINT_URL_EC2": "http://localhost:4566"},
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
        {"AWS_SECURITY_TOKEN": "old"},
        {"AWS_SOMETHING_NEW": "1"},
        {"HTTPS_PROXY": "http://user:password@proxy.local:3128"},
        {"HTTPS_PROXY": "https://proxy.local:3128"},
        {"https_proxy": "proxy.local:3128"},
        {"HTTPS_PROXY": "http://proxy.local:3128", "NO_PROXY": ".amazonaws.com"},
        {"HTTPS_PROXY": "http://proxy.local:3128", "no_proxy": "*"},
    ],
    ids=str,
)
def test_unusual_settings_use_botocore(change: dict[str, str]) -> None:
    assert static_settings({**KEYS, **change}) is None


@pytest.mark.parametrize("name", ["config", "credentials"])
def test_a_configuration_file_that_is_not_empty_uses_botocore(tmp_path: Path, name: str) -> None:
    folder = tmp_path / ".aws"
    folder.mkdir()
    file = folder / name
    file.touch()
    assert static_settings({**KEYS, "HOME": str(tmp_path)}) is not None
    file.write_text("[default]\nendpoint_url = http://localhost:4566\n")
    assert static_settings({**KEYS, "HOME": str(tmp_path)}) is None
    elsewhere = {"AWS_CONFIG_FILE": str(file), "AWS_SHARED_CREDENTIALS_FILE": "/nobody/credentials"}
    assert static_settings({**KEYS, **elsewhere}) is None


@pytest.mark.packer
def test_an_unchanged_image_is_found_without_botocore(drop_in: Harness) -> None:
    first = drop_in.run("bake").answer
    looked_up = drop_in.run("bake", environment={"PYTHONPROFILEIMPORTTIME": "1"})
    assert looked_up.answer == first
    assert "botocore" not in looked_up.stderr


@pytest.mark.packer
def test_an_unchanged_image_is_found_with_botocore_if_a_setting_is_unsupported(drop_in: Harness) -> None:
    first = drop_in.run("bake").answer
    assert drop_in.run("bake", environment={"AWS_SDK_UA_APP_ID": "ci"}).answer == first


@pytest.fixture
def counting(both: Both) -> Iterator[CountingProxy]:
    proxy = CountingProxy(both.environment["https_proxy"])
    yield proxy
    proxy.close()


def behind(both: Both, proxy: CountingProxy) -> BotoEc2:
    address = {"https_proxy": proxy.address, "HTTPS_PROXY": proxy.address}
    both.plain_session.close()
    both.plain_session = AwsSession({**both.environment, **address})
    return BotoEc2(both.plain_session)


HOME, ABROAD = "ec2.us-east-1.amazonaws.com", "ec2.eu-west-1.amazonaws.com"


def test_calls_to_a_region_share_a_connection(both: Both, counting: CountingProxy) -> None:
    ec2 = behind(both, counting)
    for _ in range(2):
        assert ec2.find_by_image("eu-west-1", ["app"], ("self",)) == ()
    assert ec2.find_by_image("us-east-1", ["app"], ("self",)) == ()
    assert counting.asked == [ABROAD, HOME]
