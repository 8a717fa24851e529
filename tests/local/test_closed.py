"""The embedded EC2's port refuses web pages of other sites, and requests to metadata services."""

from __future__ import annotations

import http.client
import socket
from urllib.parse import urlsplit

import pytest

from ami_bakery.local import LocalAws
from ami_bakery.local.http import endpoint


def ask(local: LocalAws, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
    at = urlsplit(local.url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


CONTROL = [("POST", "/reset"), ("GET", "/report"), ("DELETE", "/faults"), ("PUT", "/policy"), ("POST", "/images")]


@pytest.mark.parametrize(("method", "path"), CONTROL)
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:1"},
        {"Host": "127.0.0.1.nip.io:{port}"},
        {"Host": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_control_url_refuses_pages_of_other_sites(
    local: LocalAws, method: str, path: str, headers: dict[str, str]
) -> None:
    port = str(urlsplit(local.url).port)
    status, said = ask(local, method, path, {name: value.format(port=port) for name, value in headers.items()})
    assert status == 403
    assert "control URL" in said


@pytest.mark.parametrize(
    "headers",
    [{}, {"Host": "localhost:{port}"}, {"Origin": "http://127.0.0.1:{port}"}, {"Sec-Fetch-Site": "none"}],
    ids=str,
)
def test_control_url_answers_local_clients(local: LocalAws, headers: dict[str, str]) -> None:
    port = str(urlsplit(local.url).port)
    assert ask(local, "GET", "/report", {name: value.format(port=port) for name, value in headers.items()})[0] == 200


def test_two_host_headers_are_refused(local: LocalAws) -> None:
    at = urlsplit(local.url)
    with socket.create_connection((at.hostname, at.port)) as client:
        client.sendall(f"POST /reset HTTP/1.1\r\nHost: {at.netloc}\r\nHost: evil.example\r\n\r\n".encode())
        assert client.recv(12) == b"HTTP/1.1 403"


METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "169.254.1.1",
    "2852039166",
    "0xa9fea9fe",
    "0XA9.0xFE.0xa9.0xfe",
    "0251.0376.0251.0376",
    "169.16689662",
    "169.254.43518",
    "169.254.169.254.",
    "[fd00:ec2::254]",
    "[fd00:ec2::23]",
    "[FD00:EC2:0:0:0:0:0:254]",
    "[fe80::a9fe:a9fe%eth0]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::169.254.169.254]",
    "[2002:a9fe:a9fe::]",
    "instance-data",
    "instance-data.ec2.internal",
    "Metadata.Google.Internal",
    "168.63.129.16",
    "100.100.100.200",
    "0.0.0.0",
    "0",
    "[::]",
]


@pytest.mark.parametrize("host", METADATA)
def test_metadata_services_are_unreachable(local: LocalAws, capfd: pytest.CaptureFixture[str], host: str) -> None:
    at = urlsplit(local.url)
    with socket.create_connection((at.hostname, at.port)) as client:
        client.sendall(f"CONNECT {host}:80 HTTP/1.1\r\nHost: {host}:80\r\n\r\n".encode())
        assert client.recv(12) == b"HTTP/1.1 403"
    for method in ("GET", "PUT"):
        assert ask(local, method, f"http://{host}/latest/api/token", {"Host": host})[0] == 403
    assert "metadata service" in capfd.readouterr().err


@pytest.mark.parametrize(
    "host",
    ["10.0.0.1", "127.0.0.1", "pypi.org", "8.8.8.8", "[2001:db8::1]", "ec2.us-east-1.amazonaws.com", "a.b.", "[::1]"],
)
def test_other_hosts_are_not_metadata_services(host: str) -> None:
    assert not endpoint.is_metadata(host)


def test_host_name_of_a_metadata_address_is_refused(local: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attacker's name server may return any address; only the look-up is replaced here."""
    real = socket.getaddrinfo

    def look_up(host: str, *arguments: object, **more: object) -> object:
        return real("169.254.169.254" if host == "rebound.example" else host, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    at = urlsplit(local.url)
    with socket.create_connection((at.hostname, at.port)) as client:
        client.sendall(b"CONNECT rebound.example:80 HTTP/1.1\r\n\r\n")
        answer = client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 502")
    assert b"metadata service" in answer
    assert ask(local, "GET", "http://rebound.example/", {"Host": "rebound.example"})[0] == 502
