"""In every environment, a direct call of EC2 equals botocore's call, or is not made."""

from __future__ import annotations

import calendar
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import botocore.awsrequest
import pytest

from ami_bakery.adapters.aws.ec2_direct import StaticSettings, encode, signed_headers, static_settings
from ami_bakery.adapters.aws.session import AwsSession
from ami_bakery.errors import BakeryError

REGION = "eu-west-1"
HOST = f"ec2.{REGION}.amazonaws.com"
ASKED = {"Owners": ["self"], "Filters": [{"Name": "tag:ä b", "Values": ["1~*", "2/+"]}]}
PROXY = "http://proxy.local:3128"
CA = "{home}/ca.pem"
PLAIN: list[dict[str, str | None]] = [
    {},
    {"AWS_SESSION_TOKEN": "token/+=="},
    {"AWS_SESSION_TOKEN": ""},
    {"AWS_REGION": "us-east-1"},
    {"AWS_DEFAULT_REGION": "us-east-1"},
    {"AWS_EC2_METADATA_DISABLED": "true"},
    {"AWS_PAGER": ""},
    {"AWS_EXECUTION_ENV": "CI"},
    {"AWS_CA_BUNDLE": CA},
    {"REQUESTS_CA_BUNDLE": CA},
    {"AWS_CA_BUNDLE": CA, "REQUESTS_CA_BUNDLE": "{home}/other.pem"},
    {"CURL_CA_BUNDLE": CA},
    {"SSL_CERT_FILE": CA},
    {"HTTPS_PROXY": PROXY},
    {"https_proxy": PROXY},
    {"https_proxy": "", "HTTPS_PROXY": PROXY},
    {"https_proxy": PROXY, "HTTPS_PROXY": "http://other.local:1"},
    {"http_proxy": PROXY},
    {"ALL_PROXY": PROXY},
    {"HTTPS_PROXY": f"{PROXY}/"},
    {"HTTPS_PROXY": PROXY, "NO_PROXY": "localhost,127.0.0.1"},
    {"HTTPS_PROXY": PROXY, "no_proxy": "", "NO_PROXY": "*"},
    {"NO_PROXY": "localhost"},
    {"AWS_CONFIG_FILE": "{home}/empty", "AWS_SHARED_CREDENTIALS_FILE": "{home}/nothing"},
    {"HOME": None, "AWS_CONFIG_FILE": "{home}/empty", "AWS_SHARED_CREDENTIALS_FILE": "{home}/nothing"},
    {"AWS_MAX_ATTEMPTS": "3"},
    {"AWS_RETRY_MODE": "adaptive"},
    {"AWS_SECRET_ACCESS_KEY": "a/b+c=="},
    {"aws_session_token": "nobody reads this"},
    {"BOTO_CONFIG": "/nobody"},
]
"""Environments that allow direct calls."""
NOT_PLAIN: list[dict[str, str | None]] = [
    {"AWS_CA_BUNDLE": ""},
    {"AWS_CA_BUNDLE": " "},
    {"REQUESTS_CA_BUNDLE": ""},
    {"AWS_CA_BUNDLE": "", "REQUESTS_CA_BUNDLE": CA},
    {"AWS_CA_BUNDLE": CA, "REQUESTS_CA_BUNDLE": ""},
    {"HOME": None},
    {"HOME": ""},
    {"HOME": "relative"},
    {"Https_Proxy": PROXY},
    {"HTTPS_proxy": PROXY},
    {"https_PROXY": PROXY, "HTTPS_PROXY": "http://other.local:1"},
    {"HTTPS_PROXY": PROXY, "No_Proxy": ".amazonaws.com"},
    {"HTTPS_PROXY": PROXY, "No_Proxy": "*"},
    {"HTTPS_PROXY": PROXY, "no_proxy": "amazonaws.com"},
    {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"},
    {"HTTPS_PROXY": PROXY, "NO_PROXY": HOST},
    {"HTTPS_PROXY": PROXY, "NO_PROXY": ".EU-WEST-1.AMAZONAWS.COM"},
    {"HTTPS_PROXY": "proxy.local:3128"},
    {"HTTPS_PROXY": "http://proxy.local"},
    {"HTTPS_PROXY": "https://proxy.local:3128"},
    {"HTTPS_PROXY": "http://user:word@proxy.local:3128"},
    {"HTTPS_PROXY": "socks5://proxy.local:1080"},
    {"HTTPS_PROXY": "http://[::1]:3128"},
    {"HTTPS_PROXY": f"{PROXY}/path"},
    {"HTTPS_PROXY": f"{PROXY} "},
    {"AWS_PROFILE": "other"},
    {"AWS_DEFAULT_PROFILE": "other"},
    {"AWS_CONFIG_FILE": "{home}/config"},
    {"AWS_SHARED_CREDENTIALS_FILE": "{home}/config"},
    {"AWS_CONFIG_FILE": ""},
    {"AWS_CONFIG_FILE": "~/config"},
    {"AWS_ENDPOINT_URL": "https://ec2.example.com"},
    {"AWS_ENDPOINT_URL_EC2": "https://ec2.example.com"},
    {"AWS_USE_FIPS_ENDPOINT": "true"},
    {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
    {"AWS_SECURITY_TOKEN": "older"},
    {"AWS_CREDENTIAL_EXPIRATION": "2099-01-01T00:00:00Z"},
    {"AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/x", "AWS_WEB_IDENTITY_TOKEN_FILE": "/nobody"},
    {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ENDPOINT_URL": "https://ec2.example.com"},
    {"AWS_SDK_UA_APP_ID": "ci"},
    {"AWS_DATA_PATH": "/nobody"},
    {"AWS_SESSION_TOKEN": "token\r"},
    {"AWS_ACCESS_KEY_ID": "AKIA\n"},
    {"AWS_ACCESS_KEY_ID": "ÄKIA"},
    {"AWS_SECRET_ACCESS_KEY": " secret"},
    {"AWS_ACCESS_KEY_ID": None},
    {"AWS_SECRET_ACCESS_KEY": ""},
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    import certifi

    authorities = Path(certifi.where()).read_text()
    (tmp_path / "ca.pem").write_text(authorities)
    (tmp_path / "other.pem").write_text(authorities)
    (tmp_path / "empty").touch()
    (tmp_path / "config").write_text("[default]\nec2 =\n  endpoint_url = https://ec2.example.com\n")
    return tmp_path


def environment_of(changes: dict[str, str | None], home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Sets the process's environment, too, which botocore reads."""
    for name in [
        name for name in os.environ if name.startswith("AWS_") or name.lower().endswith(("_proxy", "_bundle"))
    ]:
        monkeypatch.delenv(name)
    base: dict[str, str | None] = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret", "HOME": str(home)}
    merged = {name: value and value.replace("{home}", str(home)) for name, value in (base | changes).items()}
    for name, value in merged.items():
        monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)
    return {name: value for name, value in merged.items() if value is not None}


class _Answer:
    status_code, content, text = 200, b"<DescribeImagesResponse xmlns='e'/>", ""
    headers: dict[str, str] = {}  # noqa: RUF012
    raw = None


def of_botocore(environment: dict[str, str]) -> dict[str, Any]:
    """Returns botocore's request and connection settings, caught by a hook before it is sent."""
    session = AwsSession(environment)
    client = session.client("ec2", REGION)
    sent: list[botocore.awsrequest.AWSPreparedRequest] = []

    def catch(request: botocore.awsrequest.AWSPreparedRequest, **_: Any) -> Any:
        sent.append(request)
        return _Answer()

    client.meta.events.register("before-send.ec2", catch)
    client.describe_images(**ASKED)
    (request,) = sent
    http = client._endpoint.http_session
    names = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token", "Content-Type")
    return {
        "url": request.url,
        "body": request.body if isinstance(request.body, bytes) else str(request.body).encode(),
        "trusted": http._verify if isinstance(http._verify, str) else None,
        "proxy": http._proxy_config.proxy_url_for(request.url),
        **{name.lower(): _text(request.headers.get(name)) for name in names},
    }


def of_ours(plain: StaticSettings, date: str) -> dict[str, Any]:
    body = encode({"Action": "DescribeImages", "Version": "2016-11-15", **ASKED})
    seconds = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    headers = signed_headers(plain, HOST, REGION, body, seconds)
    return {
        "url": f"https://{HOST}/",
        "body": body,
        "trusted": None if plain.trusted.endswith("certifi/cacert.pem") else plain.trusted,
        "proxy": f"http://{plain.proxy[0]}:{plain.proxy[1]}" if plain.proxy else None,
        **{name: headers.get(name) for name in ("authorization", "x-amz-date", "x-amz-security-token", "content-type")},
    }


def _text(value: Any) -> str | None:
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize("changes", PLAIN, ids=str)
def test_a_direct_request_equals_botocores_request(
    changes: dict[str, str | None], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = environment_of(changes, home, monkeypatch)
    plain = static_settings(environment)
    assert plain is not None
    theirs = of_botocore(environment)
    ours = of_ours(plain, theirs["x-amz-date"])
    assert sorted(parse_qsl(ours.pop("body").decode())) == sorted(parse_qsl(theirs.pop("body").decode()))
    # The order of parameters and the encoding of spaces differ, and so does the signature.
    mine, other = (side.pop("authorization").partition(", Signature=")[0] for side in (ours, theirs))
    assert mine == other
    theirs["proxy"] = theirs["proxy"] and theirs["proxy"].rstrip("/")
    assert ours == theirs


@pytest.mark.parametrize("changes", NOT_PLAIN, ids=str)
def test_an_environment_whose_request_could_differ_uses_botocore(
    changes: dict[str, str | None], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = environment_of(changes, home, monkeypatch)
    assert static_settings(environment) is None


def test_at_least_60_environments_are_compared() -> None:
    assert len(PLAIN) + len(NOT_PLAIN) >= 60


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_an_empty_ca_bundle_variable_is_named_in_the_error(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = environment_of({name: ""}, home, monkeypatch)
    with pytest.raises(BakeryError) as caught:
        of_botocore(environment)
    assert name in f"{caught.value} {caught.value.todo}"
