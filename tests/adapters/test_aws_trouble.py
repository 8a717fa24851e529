"""Errors of credentials and settings name the variable, profile or file, and show no secret."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ami_bakery.adapters.aws.ec2 import BotoEc2
from ami_bakery.adapters.aws.session import AwsSession
from ami_bakery.errors import AwsError, BakeryError, UsageError
from ami_bakery.local import Control
from ami_bakery.local.faults import InjectedFault
from ami_bakery.local.local_settings import ACCOUNTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ami_bakery.local import LocalAws

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
ROLE = "arn:aws:iam::444455556666:role/builder"


@pytest.fixture
def refusal(local: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., BakeryError]]:
    """Calls EC2 in a changed environment, and returns the error."""
    given = local.environment({"HOME": str(tmp_path)})
    sessions = []

    def ask(config: str | bytes = "", region: str = "us-east-1", *, keys: bool = False, **changes: str) -> BakeryError:
        for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
            monkeypatch.delenv(name)
        environment = {name: value for name, value in given.items() if name not in FILES and (keys or name not in KEYS)}
        environment |= {"AWS_EC2_METADATA_DISABLED": "true"} | {name: value for name, value in changes.items() if value}
        environment = {name: value for name, value in environment.items() if changes.get(name, "x")}
        if "AWS_CA_BUNDLE" not in environment:
            environment.setdefault("REQUESTS_CA_BUNDLE", given["AWS_CA_BUNDLE"])
        if config:
            (tmp_path / ".aws").mkdir()
            (tmp_path / ".aws/config").write_bytes(config if isinstance(config, bytes) else config.encode())
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "stdin", io.StringIO("input for another program\n"))
        session = AwsSession(environment)
        sessions.append(session)
        with pytest.raises(BakeryError) as caught:
            BotoEc2(session).find_by_name(region, ["x"])
        return caught.value

    yield ask
    for session in sessions:
        session.close()
        for client in session._clients.values():
            client.close()


def printed(**members: Any) -> str:
    """Returns a configuration with a credential_process that prints these members."""
    return f"[default]\ncredential_process = echo '{json.dumps({'Version': 1} | members)}'\n"


_FIRST = ACCOUNTS[0]
BASE = (
    f"[profile base]\naws_access_key_id = {_FIRST.access_key_id}\naws_secret_access_key = {_FIRST.secret_access_key}\n"
    f"[default]\nrole_arn = {ROLE}\n"
)
EXPIRED = "2020-01-01T00:00:00Z"
IN_ENVIRONMENT = {
    "expired": ({"AWS_CREDENTIAL_EXPIRATION": EXPIRED}, f"AWS_CREDENTIAL_EXPIRATION is {EXPIRED}"),
    "no date": ({"AWS_CREDENTIAL_EXPIRATION": "soon"}, "AWS_CREDENTIAL_EXPIRATION is not a date: 'soon'"),
    "a far date": ({"AWS_CREDENTIAL_EXPIRATION": "99999999999"}, "AWS_CREDENTIAL_EXPIRATION is not a date"),
    "secret missing": ({"AWS_SECRET_ACCESS_KEY": ""}, "missing: AWS_SECRET_ACCESS_KEY"),
    "role without a token": ({"AWS_PROFILE": "nobody"}, "nobody"),
}


@pytest.mark.parametrize("case", IN_ENVIRONMENT)
def test_an_error_of_credentials_in_the_environment_names_the_variable(
    refusal: Callable[..., BakeryError], case: str
) -> None:
    changes, said = IN_ENVIRONMENT[case]
    assert said in str(refusal(keys=True, **changes))


PROGRAMS = {
    "missing": ("credential_process = /nonexistent/program", "a program that does not exist: /nonexistent/program"),
    "not executable": ("credential_process = /etc/passwd", "could not be started: Permission denied: /etc/passwd"),
    "fails": ("credential_process = sh -c 'echo log in again >&2; exit 3'", "failed: log in again"),
    "fails silently": ("credential_process = false", "failed: "),
    "says nothing": ("credential_process = true", "did not print a JSON document with credentials"),
    "nonsense": ("credential_process = echo hello", "did not print a JSON document with credentials"),
    "a list": ("credential_process = echo []", "did not print a JSON document with credentials"),
    "bytes": ("credential_process = printf '\\377\\376'", "did not print a JSON document with credentials"),
    "no key": ("credential_process = echo '{\"Version\": 1}'", "AccessKeyId"),
    "another version": ("credential_process = echo '{\"Version\": 2}'", "Unsupported version"),
    "open quotation": ("credential_process = echo 'x", "an unclosed quote"),
}


@pytest.mark.parametrize("case", PROGRAMS)
def test_an_error_of_a_credential_process_names_its_profile(refusal: Callable[..., BakeryError], case: str) -> None:
    line, said = PROGRAMS[case]
    error = refusal(f"[profile ci]\n{line}\n", AWS_PROFILE="ci")
    assert "the credential_process of the profile ci (~/.aws/config)" in str(error)
    assert said in str(error)
    assert (type(error), error.exit_status) == (AwsError, 1)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (printed(AccessKeyId="a", SecretAccessKey="b", Expiration=EXPIRED), "returned expired credentials"),
        (printed(AccessKeyId="a", SecretAccessKey="b", Expiration="soon"), "returned an Expiration that is not a date"),
        (printed(AccessKeyId=None, SecretAccessKey="b"), "could not make the request"),
        (printed(AccessKeyId="a", SecretAccessKey="b", SessionToken=["HUSH"]), "could not make the request"),
        (printed(AccessKeyId="a", SecretAccessKey="b", SessionToken="HUSH\r"), "HTTP headers do not allow"),
        (printed(AccessKeyId="HUSH\n", SecretAccessKey="b"), "HTTP headers do not allow"),
    ],
)
def test_unusable_credentials_of_a_credential_process_are_reported_without_their_values(
    refusal: Callable[..., BakeryError], config: str, said: str
) -> None:
    error = refusal(config)
    assert said in str(error)
    assert "default" in f"{error} {error.todo}"
    assert "HUSH" not in f"{error} {error.todo}"


def test_a_missing_web_identity_token_names_the_file_and_the_variable(refusal: Callable[..., BakeryError]) -> None:
    error = refusal(AWS_WEB_IDENTITY_TOKEN_FILE="/gone/token", AWS_ROLE_ARN=ROLE)
    assert "No such file or directory: /gone/token (AWS_WEB_IDENTITY_TOKEN_FILE)" in str(error)


def test_a_missing_web_identity_token_of_a_profile_names_the_file_and_the_profile(
    refusal: Callable[..., BakeryError],
) -> None:
    error = refusal(f"[profile ci]\nrole_arn = {ROLE}\nweb_identity_token_file = /gone/token\n", AWS_PROFILE="ci")
    assert "/gone/token (web_identity_token_file of the profile ci (~/.aws/config))" in str(error)


FULL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({FULL: "http://127.0.0.1:1/x", f"{TOKEN}_FILE": "/gone/token"}, f"/gone/token ({TOKEN}_FILE)"),
        ({FULL: "http://127.0.0.1:1/x"}, f"the endpoint in {FULL} returned no credentials"),
        ({FULL: "http://example.com/x"}, f"the endpoint in {FULL} returned no credentials: Unsupported host"),
        ({FULL: "http://127.0.0.1:1/x", TOKEN: "HUSH\r\nx"}, f"{TOKEN} has a carriage return (\\r) in it"),
    ],
)
def test_an_error_of_container_credentials_names_the_variable(
    refusal: Callable[..., BakeryError], changes: dict[str, str], said: str
) -> None:
    error = refusal(**changes)
    assert said in str(error)
    assert "HUSH" not in str(error)
    assert error.exit_status == 1


def test_a_line_break_in_a_token_file_names_its_variable(refusal: Callable[..., BakeryError], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("HUSH\r\nmore")
    error = refusal(**{FULL: "http://127.0.0.1:1/x", f"{TOKEN}_FILE": str(tmp_path / "token")})
    assert f"{TOKEN}_FILE contains a line break" in str(error)


def test_without_a_terminal_there_is_no_prompt_for_an_mfa_code(
    refusal: Callable[..., BakeryError], capfd: pytest.CaptureFixture[str]
) -> None:
    error = refusal(f"{BASE}source_profile = base\nmfa_serial = arn:aws:iam::1:mfa/me\n")
    assert "has an mfa_serial, and there is no terminal" in str(error)
    assert "profile default" in str(error)
    assert capfd.readouterr() == ("", "")
    assert sys.stdin.read() == "input for another program\n"


PROFILES = {
    "source is missing": (f"{BASE}source_profile = nobody\n", 'The source_profile "nobody"'),
    "role without a source": (f"[default]\nrole_arn = {ROLE}\n", "source_profile or credential_source"),
    "unknown source": (f"{BASE}credential_source = Nonsense\n", 'The credential source "Nonsense"'),
    "in circles": (f"{BASE}source_profile = b\n[profile b]\nrole_arn = {ROLE}\nsource_profile = default\n", "loop"),
    "sso without its session": (
        "[default]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n",
        "sso-session does not exist",
    ),
    "sso without a login": (
        "[default]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n[sso-session s]\nsso_region = us-east-1\n"
        "sso_start_url = https://x/start\n",
        "Token for s does not exist",
    ),
    "no section": ("garbage\n", "Unable to parse config file"),
    "no text": (b"\xff\xfe", "Unable to parse config file"),
    "half a key": ("[default]\naws_access_key_id = a\n", "missing: aws_secret_access_key"),
}


@pytest.mark.parametrize("case", PROFILES)
def test_an_invalid_profile_is_explained(refusal: Callable[..., BakeryError], case: str) -> None:
    config, said = PROFILES[case]
    error = refusal(config)
    assert said in str(error)
    assert "HUSH" not in f"{error} {error.todo}"


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("AWS_SESSION_TOKEN", "HUSH\r", "a carriage return (\\r) at its end"),
        ("AWS_SESSION_TOKEN", "HUSH\n", "a line break (\\n) at its end"),
        ("AWS_SESSION_TOKEN", "SEC\x00RET".replace("\x00", "\x1b"), "the character U+001B in it"),
        ("AWS_ACCESS_KEY_ID", "HUSH\n", "a line break (\\n) at its end"),
        ("AWS_ACCESS_KEY_ID", " HUSH", "a space at its beginning"),
        ("AWS_ACCESS_KEY_ID", "HUSH\u200b", "the character U+200B at its end"),
        ("AWS_SECRET_ACCESS_KEY", "HUSH\r", "a carriage return (\\r) at its end"),
        ("AWS_SECRET_ACCESS_KEY", "SEC\tRET", "a tab (\\t) in it"),
        ("AWS_PROFILE", "work\r", "a carriage return (\\r) at its end"),
        ("AWS_ROLE_ARN", "arn\r", "a carriage return (\\r) at its end"),
        ("HTTPS_PROXY", "http://proxy:3128\r", "a carriage return (\\r) at its end"),
    ],
)
def test_an_invalid_character_names_the_variable_and_never_shows_the_value(
    refusal: Callable[..., BakeryError], name: str, value: str, what: str
) -> None:
    error = refusal(keys=True, **{name: value})
    assert str(error).endswith(f"{name} has {what}")
    assert name in error.todo
    assert "HUSH" not in f"{error} {error.todo}"
    assert error.__cause__ is None


SETTINGS = {
    "AWS_STS_REGIONAL_ENDPOINTS": "foo",
    "AWS_ENDPOINT_URL": "not a url",
    "AWS_ENDPOINT_URL_EC2": "localhost:4566",
    "AWS_DEFAULTS_MODE": "foo",
    "AWS_ACCOUNT_ID_ENDPOINT_MODE": "foo",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "foo",
    "AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES": "many",
    "AWS_METADATA_SERVICE_TIMEOUT": "x",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "ipv5",
    "AWS_PROFILE": "nobody",
    "AWS_DEFAULT_PROFILE": "nobody",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_an_invalid_variable_is_named(refusal: Callable[..., BakeryError], name: str) -> None:
    error = refusal(keys=True, **{name: SETTINGS[name]})
    assert name in f"{error} {error.todo}"
    assert "proxy" not in error.todo
    assert isinstance(error, UsageError)


@pytest.mark.parametrize("line", ["sts_regional_endpoints = foo", "endpoint_url = not a url", "defaults_mode = foo"])
def test_an_invalid_setting_of_the_profile_is_named(refusal: Callable[..., BakeryError], line: str) -> None:
    error = refusal(f"[default]\n{line}\n", keys=True)
    assert f"{line.partition(' ')[0]} (profile default)" in error.todo


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/gone/ca.pem", "No such file or directory: /gone/ca.pem"),
        ("/etc", "Is a directory: /etc"),
        ("/etc/hostname", "it contains no certificate: /etc/hostname"),
    ],
)
def test_a_ca_bundle_that_cannot_be_loaded_names_the_variable(
    refusal: Callable[..., BakeryError], name: str, path: str, said: str
) -> None:
    error = refusal(keys=True, AWS_SDK_UA_APP_ID="x", **{"AWS_CA_BUNDLE": "", name: path})
    assert said in str(error)
    assert name in str(error)
    assert "proxy" not in error.todo


def test_a_ca_bundle_of_a_profile_names_the_profile(refusal: Callable[..., BakeryError]) -> None:
    error = refusal("[default]\nca_bundle = /gone/ca.pem\n", keys=True, AWS_CA_BUNDLE="")
    assert "ca_bundle (profile default in ~/.aws/config)" in str(error)


def test_an_untrusted_certificate_names_the_variable_of_the_ca_bundle(
    refusal: Callable[..., BakeryError],
) -> None:
    import certifi

    error = refusal(keys=True, AWS_SDK_UA_APP_ID="x", AWS_CA_BUNDLE=certifi.where())
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)
    assert "AWS_CA_BUNDLE" in error.todo


@pytest.mark.parametrize("value", ["not a url", "http://x:port", "http://user:HUSH@x:port"])
def test_an_invalid_proxy_names_the_variable(refusal: Callable[..., BakeryError], value: str) -> None:
    error = refusal(keys=True, HTTPS_PROXY=value, https_proxy="")
    assert "HTTPS_PROXY" in error.todo
    assert "HUSH" not in f"{error} {error.todo}"


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        ("AccessDenied", f"User: x is not authorized to perform: sts:AssumeRole on resource: {ROLE}", "trust policy"),
        ("AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.", "trust policy"),
        ("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration", "trust policy"),
        ("InvalidClientTokenId", "The security token included in the request is invalid.", "access key"),
        ("ExpiredToken", "The security token included in the request is expired", "Get new credentials"),
    ],
)
def test_a_role_that_cannot_be_assumed_is_an_error_of_sts(
    refusal: Callable[..., BakeryError], local: LocalAws, code: str, message: str, said: str
) -> None:
    Control(local.url).plan(InjectedFault(action="AssumeRole", code=code, message=message, times=0))
    error = refusal(f"{BASE}source_profile = base\n")
    assert f"STS answered {code} to AssumeRole of {ROLE}" in str(error)
    assert said in error.todo
    assert "ec2:" not in error.todo
    assert error.exit_status == 1
