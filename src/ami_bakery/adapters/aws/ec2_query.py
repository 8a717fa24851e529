"""Asks EC2 without botocore, where all that is to be known stands in the environment; else it does not ask.

Getting botocore ready takes longer than all the rest of an unchanged image's run together, and is most of what comes
before Packer in a bake (docs/contributing/benchmarks.md). So the common case of a CI job is taken here: a key in the
environment, nothing in AWS's files, at most a plain proxy. Whatever is not plain, the surroundings or the answer,
is left to botocore, from the beginning: profiles, roles, other endpoints, refusals, faults, retries.
So what is asked here may have been done when botocore asks it again.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ami_bakery.adapters.aws.ec2_xml import Ec2Response
from ami_bakery.adapters.aws.sdk_settings import Settings
from ami_bakery.core.ec2.regions import REGIONS
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from http.client import HTTPSConnection
    from socket import socket

    from ami_bakery.adapters.aws.ec2_clock import Ec2Clocks

Read = TypeVar("Read")
CONNECT_SECONDS = 10
READ_SECONDS = 30
IMPATIENT_SECONDS = 5
USER_AGENT = "ami-bakery"
"""By which CloudTrail, and the embedded EC2, know our calls, also those through botocore."""
_VERSION = "2016-11-15"
_REGION = re.compile(r"(?!cn-)[a-z]{2}-[a-z]+-\d+")
"""Those of AWS's public partition, whose endpoints are `ec2.REGION.amazonaws.com`."""
_PROXY = re.compile(r"http://(?P<host>[A-Za-z0-9.-]+):(?P<port>\d+)/?")
_SAFE = "-_.~"
_UNDERSTOOD = frozenset(
    {
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"),
        *("AWS_CA_BUNDLE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
        # These say nothing of where and how EC2 is asked, or nothing to who has a key.
        *("AWS_SUBNET_ID", "AWS_PAGER", "AWS_EC2_METADATA_DISABLED", "AWS_EXECUTION_ENV", "AWS_POLL_DELAY_SECONDS"),
        *("AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE", "AWS_DEFAULT_OUTPUT"),
    }
)
"""The variables of AWS's SDKs that may be set. Any other may change how EC2 is asked."""


_NOTHING_TO_WAIT_FOR = threading.Event()
_NOTHING_TO_WAIT_FOR.set()


class StaticSettings(Frozen):
    """All that it takes to ask. `proxy` is (host, port), or None; `trusted` a file of certificates."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(repr=False)
    trusted: str
    proxy: tuple[str, int] | None


def plain_surroundings(environment: Mapping[str, str]) -> StaticSettings | None:
    """None where anything calls for botocore."""
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    # Elsewhere the system has proxy settings of its own.
    if not key or not secret or sys.platform != "linux":
        return None
    if any(name.startswith("AWS_") and name not in _UNDERSTOOD for name in environment):
        return None
    # Without HOME botocore asks the system for the user's folder: no path here then.
    home = environment.get("HOME") or "~"
    files = (
        environment.get("AWS_CONFIG_FILE", f"{home}/.aws/config"),
        environment.get("AWS_SHARED_CREDENTIALS_FILE", f"{home}/.aws/credentials"),
    )
    if any(map(_says_something, files)) or not _is_said_plainly(environment):
        return None
    named = environment.get("https_proxy", environment.get("HTTPS_PROXY", ""))
    proxy = _PROXY.fullmatch(named)
    trusted = environment.get("AWS_CA_BUNDLE") or environment.get("REQUESTS_CA_BUNDLE") or _botocores_certificates()
    if (named and not proxy) or _may_pass_by(environment) or not trusted:
        return None
    return StaticSettings(
        access_key=key,
        secret_key=secret,
        token=environment.get("AWS_SESSION_TOKEN", ""),
        trusted=trusted,
        proxy=(proxy["host"], int(proxy["port"])) if proxy else None,
    )


def _is_said_plainly(environment: Mapping[str, str]) -> bool:
    """Not with a character that no header may have, an empty name of a file, or a name in mixed case, which
    `urllib.request.getproxies` takes, too."""
    empty = any(not environment.get(name, "x").strip() for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"))
    mixed = any(
        name.lower() in ("https_proxy", "no_proxy") and not (name.islower() or name.isupper()) for name in environment
    )
    return not (empty or mixed or Settings(environment=environment).stray())


def _says_something(path: str) -> bool:
    try:
        return not path.startswith("/") or os.stat(path).st_size > 0
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _may_pass_by(environment: Mapping[str, str]) -> bool:
    """Whether AWS's hosts may be among those that are reached without the proxy."""
    named = environment.get("no_proxy", environment.get("NO_PROXY", ""))
    return "*" in named or "com" in named.lower()


def _botocores_certificates() -> str | None:
    """The authorities that botocore trusts: certifi's where that is installed, else its own."""
    from importlib.util import find_spec

    for package in ("certifi", "botocore"):
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations if spec else None) or ():
            return os.path.join(folder, "cacert.pem")
    return None


class _Unsupported(Exception):
    """For botocore, from now on."""


class _Refused(Exception):
    """For botocore this once: EC2 has understood, and says no."""


class Ec2Query:
    """What can be asked plainly. Connections are kept open; threads may share it."""

    def __init__(self, environment: Mapping[str, str], clocks: Ec2Clocks) -> None:
        self._environment = environment
        self._clocks = clocks
        self._lines: _ConnectionPool | None = None
        self._lock = threading.Lock()
        self._left_to_botocore = False
        self._closed = False
        self.has_answered = False
        """Whether EC2 has accepted the credentials."""
        self._opened: dict[str, threading.Event] = {}
        """By region: whether the first connection to it is there, or has come to nothing."""

    def warm_up(self, region: str | None, otherwise: Callable[[], object]) -> None:
        """Open a connection, in a thread, for the first question to this region, which waits for it. Where botocore
        will be asked, `otherwise` is called there. What goes wrong is told when it is asked."""
        if (region or "") in self._opened:
            return
        opened = threading.Event()

        def open_it() -> None:
            try:
                with suppress(Exception):
                    if region is not None and _is_plain(region):
                        with self._plainly():
                            self._ready_lines().open(_host(region))
                            return
                    otherwise()
            finally:
                opened.set()

        threading.Thread(target=open_it, name=f"opening a connection to {region}", daemon=True).start()
        # Only now: who is interrupted before waits for nobody.
        self._opened[region or ""] = opened

    def ask(
        self,
        region: str,
        action: str,
        asked: Mapping[str, Any],
        read: Callable[[Ec2Response], list[Read]],
        *,
        patient: bool = True,
    ) -> list[Read] | None:
        """What `read` finds on all pages of the answer; None where botocore is to be asked. Without patience that is
        known soon.

        `asked` is what botocore's method of that name takes, named as the query API names it (not `OwnerIds`).
        """
        opened = self._opened.setdefault(region, _NOTHING_TO_WAIT_FOR)
        if self._left_to_botocore or not _is_plain(region):
            return None
        if not opened.wait(None if patient else IMPATIENT_SECONDS) or self._left_to_botocore:
            return None
        found: list[Read] = []
        token: str | None = None
        with self._plainly():
            try:
                while token != "":
                    page = {**asked, **({"NextToken": token} if token else {})}
                    answer = Ec2Response.of(action, self._answer(region, action, page, patient=patient))
                    found += read(answer)
                    if answer.next_token and answer.next_token == token:
                        raise ValueError("the same page again")
                    token = answer.next_token
            except _Refused:
                return None
            return found
        return None

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """What is not plain ends the block, and leaves all that is to be asked to botocore."""
        from http.client import HTTPException
        from xml.etree.ElementTree import ParseError

        try:
            yield
        except (_Unsupported, OSError, HTTPException, ParseError, ValueError):
            self._left_to_botocore = True

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._lines is not None:
                self._lines.close()

    def _answer(self, region: str, action: str, asked: Mapping[str, Any], *, patient: bool) -> bytes:
        lines, host = self._ready_lines(), _host(region)
        body = encode({"Action": action, "Version": _VERSION, **asked})
        headers = signed_headers(lines.surroundings, host, region, body, time.time())
        headers["user-agent"] = USER_AGENT
        answer, date = lines.answer(host, body, headers, patient=patient)
        self._clocks.told(region, date)
        self.has_answered = True
        return answer

    def _ready_lines(self) -> _ConnectionPool:
        with self._lock:
            if self._lines is None:
                surroundings = plain_surroundings(self._environment)
                if surroundings is None or self._closed:
                    raise _Unsupported
                self._lines = _ConnectionPool(surroundings)
            return self._lines


def _is_plain(region: str) -> bool:
    """A misspelt region has no address: nothing is tried over the network for it."""
    return _REGION.fullmatch(region) is not None and region in REGIONS


def _host(region: str) -> str:
    return f"ec2.{region}.amazonaws.com"


class _ConnectionPool:
    """Connections to AWS's hosts: those that nobody uses just now are kept for the next question."""

    def __init__(self, surroundings: StaticSettings) -> None:
        from ssl import create_default_context

        self.surroundings = surroundings
        self._context = create_default_context(cafile=surroundings.trusted)
        self._idle: dict[str, list[HTTPSConnection]] = {}
        self._closed = False

    def open(self, host: str) -> None:
        """For the next question."""
        self._idle.setdefault(host, []).append(self._connected(host, CONNECT_SECONDS))
        if self._closed:
            self.close()

    def answer(self, host: str, body: bytes, headers: Mapping[str, str], *, patient: bool) -> tuple[bytes, str | None]:
        """And its date."""
        idle = self._idle.setdefault(host, [])
        connection = _taken(idle)
        if connection is None:
            connection = self._connected(host, CONNECT_SECONDS if patient else IMPATIENT_SECONDS)
        try:
            connection.timeout = READ_SECONDS if patient else IMPATIENT_SECONDS
            if connection.sock is not None:
                connection.sock.settimeout(connection.timeout)
            connection.request("POST", "/", body, headers)
            response = connection.getresponse()
            answer = response.read()
        except BaseException:
            connection.close()
            raise
        idle.append(connection)
        if self._closed:
            self.close()
        if response.status != 200:
            raise _Refused if response.status < 500 and b"<Errors><Error><Code>" in answer else _Unsupported
        return answer, response.getheader("Date")

    def close(self) -> None:
        self._closed = True
        for idle in list(self._idle.values()):
            with suppress(IndexError):
                while True:
                    idle.pop().close()

    def _connected(self, host: str, seconds: float) -> HTTPSConnection:
        from http.client import HTTPSConnection

        where, port = self.surroundings.proxy or (host, 443)
        connection = HTTPSConnection(where, port, timeout=seconds, context=self._context)
        if self.surroundings.proxy:
            connection.set_tunnel(host, 443)
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection


def _taken(idle: list[HTTPSConnection]) -> HTTPSConnection | None:
    while True:
        try:
            connection = idle.pop()
        except IndexError:
            return None
        if connection.sock is not None and _is_open(connection.sock):
            return connection
        connection.close()


def _is_open(sock: socket) -> bool:
    """Whether the other side has not hung up. What else it says before it is asked is of TLS alone, and read here."""
    from ssl import SSLWantReadError

    sock.settimeout(0)
    try:
        sock.recv(1)
    except SSLWantReadError:
        return True
    except OSError:
        pass
    return False


def encode(parameters: Mapping[str, Any]) -> bytes:
    """As EC2's query protocol has it: `Filter.1.Name=...&Filter.1.Value.1=...`."""
    from urllib.parse import quote

    pairs = (pair for name, value in parameters.items() for pair in _flat(name, value))
    return "&".join(f"{quote(name, safe=_SAFE)}={quote(value, safe=_SAFE)}" for name, value in pairs).encode("ascii")


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, bool):
        yield name, "true" if value else "false"
    elif isinstance(value, str | int):
        yield name, str(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    else:
        # The members of a list are counted from one, and the list has the name of one: Filters, Filter.1.
        for number, inner in enumerate(value, start=1):
            yield from _flat(f"{name.removesuffix('s')}.{number}", inner)


def signed_headers(surroundings: StaticSettings, host: str, region: str, body: bytes, now: float) -> dict[str, str]:
    """AWS Signature Version 4 (AWS General Reference, "Create a signed AWS API request")."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    headers = {
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "host": host,
        "x-amz-date": moment,
        **({"x-amz-security-token": surroundings.token} if surroundings.token else {}),
    }
    names = ";".join(headers)
    listed = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"POST\n/\n\n{listed}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{moment[:8]}/{region}/ec2/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{surroundings.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    credential = f"{surroundings.access_key}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return headers
