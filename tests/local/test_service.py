"""Key pairs, credentials, faults, refusals and the report of the embedded EC2."""

from __future__ import annotations

import concurrent.futures
import http.server
import socket
import struct
import subprocess
import sys
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ProxyConnectionError

from ami_bakery.local import Control, FaultKind, InjectedFault, LocalAws, LocalSettings
from ami_bakery.local.http import endpoint

from .conftest import Client, bake, client_of, launch
from .test_images import refusal

_CUT = (ConnectionClosedError, ProxyConnectionError)
"""botocore's errors for a closed connection; the second one is for a new connection."""


def test_one_of_two_simultaneous_key_pairs_with_one_name_is_refused(client: Client) -> None:
    clients = [client() for _ in range(4)]
    for number in range(3):

        def create(one: Any, name: str = f"same-{number}") -> str:
            try:
                one.create_key_pair(KeyName=name)
            except ClientError as error:
                return str(error.response["Error"]["Code"])
            return "created"

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert sorted(pool.map(create, clients)) == ["InvalidKeyPair.Duplicate"] * 3 + ["created"]


def test_key_pair_is_deleted_by_its_id(ec2: Any) -> None:
    first = ec2.create_key_pair(KeyName="lock", TagSpecifications=[_tagged("key-pair")])["KeyPairId"]
    assert ec2.delete_key_pair(KeyPairId=first)["KeyPairId"] == first
    second = ec2.create_key_pair(KeyName="lock")["KeyPairId"]
    assert "KeyPairId" not in ec2.delete_key_pair(KeyPairId=first)
    assert "KeyPairId" not in ec2.delete_key_pair(KeyName="never-was")
    (left,) = ec2.describe_key_pairs()["KeyPairs"]
    assert left["KeyPairId"] == second
    assert refusal(ec2.describe_key_pairs, KeyNames=["nobody"])[0] == "InvalidKeyPair.NotFound"
    assert refusal(ec2.describe_key_pairs, KeyPairIds=[first])[0] == "InvalidKeyPair.NotFound"
    assert refusal(ec2.run_instances, ImageId="ami-9bc25ed5138ed75cf", MinCount=1, MaxCount=1, KeyName="x") == (
        "InvalidKeyPair.NotFound",
        "The key pair 'x' does not exist",
    )


def _tagged(resource_type: str) -> dict[str, Any]:
    return {"ResourceType": resource_type, "Tags": [{"Key": "a", "Value": "1"}]}


def test_unknown_credentials_are_refused_with_each_services_error(client: Client) -> None:
    key = "AKIAIOSFODNN7EXAMPLE"
    assert refusal(client(key=key).describe_images)[0] == "AuthFailure"
    assert refusal(client("sts", key=key).get_caller_identity)[0] == "InvalidClientTokenId"
    assert refusal(client("ssm", key=key).get_parameter, Name="/a")[0] == "UnrecognizedClientException"


def test_wrong_secret_is_refused(client: Client) -> None:
    assert refusal(client(secret="wrong").describe_images)[0] == "AuthFailure"
    assert refusal(client("sts", secret="wrong").get_caller_identity)[0] == "InvalidClientTokenId"


def test_two_accounts_and_an_assumed_role_are_distinguished(client: Client) -> None:
    assert client("sts").get_caller_identity()["Account"] == "111122223333"
    assert client("sts", account=1).get_caller_identity()["Account"] == "444455556666"
    role = client("sts", account=1).assume_role(
        RoleArn="arn:aws:iam::444455556666:role/builder", RoleSessionName="test"
    )["Credentials"]
    bake(client(account=1), "theirs")
    assumed = client(key=role["AccessKeyId"])
    assert [one["Name"] for one in assumed.describe_images(Owners=["self"])["Images"]] == ["theirs"]


@pytest.mark.parametrize(
    ("code", "status"),
    [("RequestLimitExceeded", 503), ("InternalError", 500), ("UnauthorizedOperation", 403), ("RequestExpired", 400)],
)
def test_injected_error_affects_only_the_matching_call(
    code: str, status: int, ec2: Any, client: Client, control: Control
) -> None:
    control.plan(InjectedFault(action="DescribeImages", code=code, region="us-east-1", skip=1, times=2))
    client(region="eu-west-1").describe_images(Owners=["self"])
    ec2.describe_key_pairs()
    ec2.describe_images(Owners=["self"])
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            ec2.describe_images(Owners=["self"])
        assert caught.value.response["Error"]["Code"] == code
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    ec2.describe_images(Owners=["self"])
    assert code != "UnauthorizedOperation" or "ec2:DescribeImages" in str(caught.value)


def test_dropped_connection_loses_the_call_or_only_its_answer(ec2: Any, control: Control) -> None:
    control.plan(InjectedFault(action="CreateKeyPair", kind=FaultKind.DROP_BEFORE))
    control.plan(InjectedFault(action="CreateKeyPair", kind=FaultKind.DROP_AFTER))
    with pytest.raises(_CUT):
        ec2.create_key_pair(KeyName="a")
    assert ec2.describe_key_pairs()["KeyPairs"] == []
    with pytest.raises(_CUT):
        ec2.create_key_pair(KeyName="a")
    assert [pair["KeyName"] for pair in ec2.describe_key_pairs()["KeyPairs"]] == ["a"]


def test_hanging_call_changes_nothing_and_is_counted(ec2: Any, control: Control) -> None:
    control.plan(InjectedFault(action="CreateKeyPair", kind=FaultKind.HANG, seconds=600, agent="boto"))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(ec2.create_key_pair, KeyName="hangs")
        while control.triggered() == 0:
            time.sleep(0.05)
        assert not hanging.done()
        assert control.triggered() == 1
        control.clear_faults()
        with pytest.raises(_CUT):
            hanging.result()
    assert ec2.describe_key_pairs()["KeyPairs"] == []
    control.plan(InjectedFault(action="CreateKeyPair", agent="packer"))
    ec2.create_key_pair(KeyName="another program's fault")
    assert control.triggered() == 0
    assert all("Boto" in call.agent for call in control.report().calls)


def test_delayed_answer_does_not_delay_other_calls(ec2: Any, client: Client, control: Control) -> None:
    control.plan(InjectedFault(action="DescribeKeyPairs", kind=FaultKind.DELAY, seconds=600))
    other = client()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        late = pool.submit(ec2.describe_key_pairs)
        other.describe_images(Owners=["self"])
        assert not late.done()
        control.clear_faults()
        late.result()


def test_fault_can_skip_calls_and_be_removed(ec2: Any, control: Control) -> None:
    control.plan(InjectedFault(action="*", skip=1, times=0))
    ec2.describe_images(Owners=["self"])
    assert refusal(ec2.describe_key_pairs)[0] == refusal(ec2.describe_images)[0] == "InternalError"
    control.clear_faults()
    ec2.describe_key_pairs()


def test_invalid_control_requests_are_refused(control: Control) -> None:
    with pytest.raises(ValueError, match="image_outcome"):
        control.change(image_outcome="lost")
    with pytest.raises(ValueError, match="page_cap"):
        control.change(page_cap=0)


def test_report_has_every_call_with_its_outcome(ec2: Any, client: Client, control: Control) -> None:
    ec2.describe_images(Owners=["self"])
    client(region="eu-west-1", account=1).describe_images(Owners=["self"])
    refusal(ec2.describe_images, ImageIds=["ami-12345678"])
    report = control.report()
    assert report.count("DescribeImages") == 3
    assert report.count("DescribeImages", region="eu-west-1", account="444455556666") == 1
    assert [call.error for call in report.calls] == ["", "", "InvalidAMIID.NotFound"]
    control.clear_report()
    assert control.report().calls == ()


def test_unsupported_call_is_refused_and_noted_once(capsys: pytest.CaptureFixture[str]) -> None:
    with LocalAws() as local:
        ec2, s3, table = client_of(local), client_of(local, "s3"), client_of(local, "dynamodb")
        for _ in range(2):
            code, message = refusal(ec2.get_image_ancestry, ImageId="ami-1")
            assert code == "UnsupportedOperation"
            assert "The embedded EC2 does not support ec2:GetImageAncestry" in message
        assert refusal(s3.list_buckets)[0] == "UnsupportedOperation"
        assert refusal(table.list_tables)[0] == "UnsupportedOperation"
        for one in (ec2, s3, table):
            one.close()
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if "GetImageAncestry" in line]) == 1
    assert len(lines) == 3


def test_unknown_region_fails_like_a_missing_host(client: Client, capfd: Any) -> None:
    with pytest.raises(ProxyConnectionError):
        client(region="eu-mars-1").describe_images()
    assert "there is no region 'eu-mars-1'" in capfd.readouterr().err


def test_connections_are_kept_open(ec2: Any, local: LocalAws) -> None:
    ec2.describe_images(Owners=["self"])
    before = {thread.ident for thread in threading.enumerate()}
    for _ in range(5):
        ec2.describe_images(Owners=["self"])
    assert {thread.ident for thread in threading.enumerate()} == before


def test_client_that_disconnects_before_the_handshake_leaks_no_socket() -> None:
    """A leaked socket is a ResourceWarning in a thread, which fails this test (see pyproject.toml)."""
    with LocalAws() as local:  # a new region: its first certificate takes long enough for the client to disconnect
        port = urlsplit(local.url).port
        for region in sorted(endpoint.regions())[:10]:
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() sends a reset
                client.sendall(f"CONNECT ec2.{region}.amazonaws.com:443 HTTP/1.1\r\n\r\n".encode())
                assert client.recv(12) == b"HTTP/1.1 200"


def test_requests_to_other_hosts_are_forwarded_unchanged(environment: dict[str, str]) -> None:
    class Hello(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        threading.Thread(target=server.serve_forever).start()
        script = (
            "import http.client, os, urllib.parse as u; proxy = u.urlsplit(os.environ['HTTP_PROXY'])\n"
            "c = http.client.HTTPConnection(proxy.hostname, proxy.port)\n"
            f"c.set_tunnel('127.0.0.1', {server.server_port})\n"
            "c.request('GET', '/'); print(c.getresponse().read()); c.close()\n"
            f"c = http.client.HTTPConnection(proxy.hostname, proxy.port); c.request('GET', 'http://127.0.0.1:{server.server_port}/')\n"
            "print(c.getresponse().read())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        server.shutdown()
    assert done.stdout.split() == ["b'hello'", "b'hello'"]


def test_child_environment_hides_the_users_aws_configuration(local: LocalAws) -> None:
    mine = {
        "AWS_PROFILE": "prod",
        "AWS_SESSION_TOKEN": "real",
        "AWS_ENDPOINT_URL_EC2": "http://elsewhere",
        "AWS_ROLE_ARN": "arn",
        "NO_PROXY": ".amazonaws.com",
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "HOME": "/home/me",
    }
    theirs = local.environment(mine)
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_EC2", "AWS_ROLE_ARN"} & theirs.keys()
    assert theirs["AWS_ACCESS_KEY_ID"] == LocalSettings().accounts[0].access_key_id
    assert (theirs["AWS_DEFAULT_REGION"], theirs["HOME"]) == ("eu-west-1", "/home/me")
    assert "amazonaws" not in theirs["NO_PROXY"]
    assert theirs["AMI_BAKERY_LOCAL_URL"] == local.url


def test_two_embedded_ec2s_in_one_process_share_nothing(local: LocalAws, ec2: Any) -> None:
    with LocalAws() as second:
        other = client_of(second)
        bake(ec2, "here")
        bake(other, "there")
        assert [one["Name"] for one in ec2.describe_images(Owners=["self"])["Images"]] == ["here"]
        assert [one["Name"] for one in other.describe_images(Owners=["self"])["Images"]] == ["there"]
        assert launch(ec2)["PrivateIpAddress"] != launch(other)["PrivateIpAddress"]
        other.close()
    assert len(ec2.describe_instances()["Reservations"]) == 2


def test_reset_restores_the_initial_state(ec2: Any, control: Control) -> None:
    bake(ec2, "app")
    control.reset()
    assert ec2.describe_images(Owners=["self"])["Images"] == []
    assert ec2.describe_instances()["Reservations"] == []
    assert control.report().count("RunInstances") == 0


def test_request_from_before_a_reset_does_not_change_the_new_state(ec2: Any, control: Control) -> None:
    control.plan(InjectedFault(action="DescribeImages", kind=FaultKind.HANG, seconds=600))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        before = pool.submit(ec2.describe_images, Owners=["self"])
        while not control.triggered():
            assert not before.done()
        control.reset()
        with pytest.raises(_CUT):
            before.result()
    ec2.describe_key_pairs()
    assert [call.action for call in control.report().calls] == ["DescribeKeyPairs"]
