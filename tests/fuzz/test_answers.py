"""Every response to an EC2 call gives valid values, or an error that users can act on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.adapters.aws import ec2_xml
from ami_bakery.adapters.aws.ec2 import BotoEc2
from ami_bakery.adapters.aws.ec2_clock import Ec2Clocks
from ami_bakery.adapters.aws.ec2_direct import Ec2Query, StaticSettings
from ami_bakery.adapters.aws.ec2_xml import Ec2Response
from ami_bakery.adapters.aws.session import AwsSession
from ami_bakery.core.ec2.ami import Ami, AmiState
from ami_bakery.errors import BakeryError
from ami_bakery.ports import CopyRequest
from tests.fuzz.mutate import FUZZ, mutated

IMAGES = b"""\
<?xml version="1.0" encoding="UTF-8"?>
<DescribeImagesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId><imagesSet><item>
<imageId>ami-0123456789abcdef0</imageId><name>app-1</name><imageState>available</imageState>
<creationDate>2026-01-31T12:00:00.000Z</creationDate><imageOwnerId>111122223333</imageOwnerId>
<sourceImageId>ami-1</sourceImageId><blockDeviceMapping><item><deviceName>/dev/sda1</deviceName>
<ebs><snapshotId>snap-1</snapshotId><volumeSize>8</volumeSize></ebs></item></blockDeviceMapping>
<tagSet><item><key>ami_config_checksum</key><value>abc</value></item></tagSet></item></imagesSet></DescribeImagesResponse>
"""
ERROR = b"""\
<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>No.</Message></Error></Errors>
<RequestID>1</RequestID></Response>
"""
COPY = b"""\
<CopyImageResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId>
<imageId>ami-0fedcba9876543210</imageId></CopyImageResponse>
"""


class FixedResponseServer(ThreadingHTTPServer):
    """Returns the same response to every request; `status` and `body` can be changed."""

    daemon_threads = True
    status, body = 200, b""


class _Handler(BaseHTTPRequestHandler):
    server: FixedResponseServer

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/xml;charset=UTF-8")
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[FixedResponseServer]:
    server = FixedResponseServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def ec2(server: FixedResponseServer) -> Iterator[BotoEc2]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            patch.setenv(name, value)
        yield BotoEc2(AwsSession({}))


ASKED: dict[str, tuple[bytes, Callable[[BotoEc2], object]]] = {
    "by digest": (IMAGES, lambda ec2: ec2.find_by_digest("us-east-1", ["abc"], ["self"])),
    "by id": (IMAGES, lambda ec2: ec2.find_by_id("us-east-1", ["ami-0123456789abcdef0"])),
    "copy": (COPY, lambda ec2: ec2.copy(order())),
}


def order() -> CopyRequest:
    source = Ami(id="ami-1", region="eu-west-1", name="n", state=AmiState.AVAILABLE, created=None, owner="1")
    return CopyRequest(source=source, region="us-east-1", name="name", tags={}, snapshot_tags={})


@pytest.mark.parametrize("asked", ASKED)
@FUZZ
@given(data=st.data(), status=st.sampled_from([200, 200, 200, 400, 403, 404]))
def test_every_response_is_parsed_or_refused(
    server: FixedResponseServer, ec2: BotoEc2, asked: str, data: st.DataObject, status: int
) -> None:
    good, ask = ASKED[asked]
    server.status, server.body = status, data.draw(mutated([good, ERROR]))
    check(ec2, ask)


@pytest.mark.parametrize("body", [b"", b"<html>captive portal</html>", b"{}", b"<a/>", b"\xff\xfe", IMAGES[:300]])
@pytest.mark.parametrize("asked", ASKED)
def test_a_response_that_is_not_from_ec2_is_an_error(
    server: FixedResponseServer, ec2: BotoEc2, asked: str, body: bytes
) -> None:
    server.status, server.body = 200, body
    with pytest.raises(BakeryError):
        ASKED[asked][1](ec2)


def answer_of(action: str, content: bytes) -> bytes:
    head = b'<?xml version="1.0" encoding="UTF-8"?>\n<%bResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
    return head % action.encode() + content + b"</%bResponse>" % action.encode()


PLAIN: dict[str, tuple[bytes, Callable[[Ec2Response], list[Any]]]] = {
    "DescribeImages": (IMAGES, ec2_xml.image_dicts),
    "DescribeSnapshots": (
        answer_of(
            "DescribeSnapshots",
            b"<snapshotSet><item><snapshotId>snap-1</snapshotId><tagSet><item><key>k</key><value>v</value></item>"
            b"</tagSet></item></snapshotSet><nextToken>t</nextToken>",
        ),
        ec2_xml.snapshots,
    ),
    "DescribeSecurityGroups": (
        answer_of(
            "DescribeSecurityGroups",
            b"<securityGroupInfo><item><groupId>sg-1</groupId><groupName>n</groupName><tagSet/></item>"
            b"</securityGroupInfo>",
        ),
        ec2_xml.security_groups,
    ),
    "CreateKeyPair": (
        answer_of("CreateKeyPair", b"<keyPairId>key-1</keyPairId><keyMaterial>m</keyMaterial>"),
        ec2_xml.key_pair,
    ),
    "CreateTags": (answer_of("CreateTags", b"<requestId>1</requestId><return>true</return>"), ec2_xml.done),
}
IDS = ("ImageId", "SnapshotId", "GroupId")


@pytest.mark.parametrize("action", PLAIN)
@FUZZ
@given(data=st.data(), status=st.sampled_from([200, 200, 200, 400, 503]))
def test_a_direct_query_is_parsed_or_repeated_by_botocore(action: str, data: st.DataObject, status: int) -> None:
    good, read = PLAIN[action]
    query = Ec2Query({}, Ec2Clocks())
    query._pool = FixedConnection(status, data.draw(mutated([good, ERROR])))  # type: ignore[assignment]
    found = query.call("us-east-1", action, {}, read)
    assert status == 200 or found is None
    for one in found or ():
        assert one is True or isinstance(one, str) or any(one.get(name) for name in IDS)


@pytest.mark.parametrize("action", PLAIN)
def test_a_valid_response_is_parsed(action: str) -> None:
    good, read = PLAIN[action]
    query = Ec2Query({}, Ec2Clocks())
    query._pool = FixedConnection(200, good.replace(b"<nextToken>t</nextToken>", b""))  # type: ignore[assignment]
    assert len(query.call("us-east-1", action, {}, read) or ()) == 1


def test_a_page_that_repeats_forever_is_repeated_by_botocore() -> None:
    good, read = PLAIN["DescribeSnapshots"]
    query = Ec2Query({}, Ec2Clocks())
    query._pool = FixedConnection(200, good)  # type: ignore[assignment]
    assert query.call("us-east-1", "DescribeSnapshots", {}, read) is None


class FixedConnection:
    """Replaces the connections to EC2: always the same response."""

    settings = StaticSettings(access_key="key", secret_key="secret", token="", trusted="", proxy=None)

    def __init__(self, status: int, body: bytes) -> None:
        self.status, self.body = status, body

    def post(self, *_: Any, **__: Any) -> tuple[bytes, str | None]:
        if self.status != 200:
            raise OSError
        return self.body, None


def check(ec2: BotoEc2, ask: Callable[[BotoEc2], object]) -> None:
    try:
        answer = ask(ec2)
    except BakeryError as error:
        assert error.doing
        assert error.wrong
        assert error.todo
        return
    if isinstance(answer, str):
        assert answer.startswith("ami-")
        return
    assert isinstance(answer, tuple)
    for ami in answer:
        assert isinstance(ami, Ami)
        assert ami.id.startswith("ami-"), ami
        assert all(isinstance(value, str) for pair in ami.tags.items() for value in pair)
