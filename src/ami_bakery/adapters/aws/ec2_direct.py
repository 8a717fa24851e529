"""Calls EC2 directly over HTTPS, without botocore.

It does so only if the environment has all settings. Loading botocore takes longer than the rest of a run with an
unchanged image. In a bake, it is most of the time before Packer starts (docs/contributing/benchmarks.md). This module
covers the common CI job: access keys in the environment, empty AWS configuration files, and at most a simple proxy.
Everything else falls back to botocore: profiles, roles, other endpoints, errors and retries. After a fallback botocore
repeats the call, so EC2 may carry it out twice.
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
SHORT_TIMEOUT_SECONDS = 5
USER_AGENT = "ami-bakery"
"""Identifies our calls in CloudTrail and the embedded EC2; botocore's clients use it, too."""
_VERSION = "2016-11-15"
_REGION = re.compile(r"(?!cn-)[a-z]{2}-[a-z]+-\d+")
"""Regions of AWS's public partition, whose endpoints are `ec2.REGION.amazonaws.com`."""
_PROXY = re.compile(r"http://(?P<host>[A-Za-z0-9.-]+):(?P<port>\d+)/?")
_SAFE = "-_.~"
_SUPPORTED_VARIABLES = frozenset(
    {
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"),
        *("AWS_CA_BUNDLE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
        # These do not affect EC2 calls, or not if access keys are set.
        *("AWS_SUBNET_ID", "AWS_PAGER", "AWS_EC2_METADATA_DISABLED", "AWS_EXECUTION_ENV", "AWS_POLL_DELAY_SECONDS"),
        *("AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE", "AWS_DEFAULT_OUTPUT"),
    }
)
"""Variables of the AWS SDKs that may be set. Any other may change how EC2 is called."""


class StaticSettings(Frozen):
    """Settings for direct calls. `proxy` is (host, port) or None; `trusted` is the path of a CA bundle."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(repr=False)
    trusted: str
    proxy: tuple[str, int] | None


def static_settings(environment: Mapping[str, str]) -> StaticSettings | None:
    """Returns the settings for direct calls; None if botocore is needed."""
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    # Other operating systems have system-wide proxy settings.
    if not key or not secret or sys.platform != "linux":
        return None
    if any(name.startswith("AWS_") and name not in _SUPPORTED_VARIABLES for name in environment):
        return None
    # Without HOME botocore reads the home folder from the user database. "~" then makes the paths unsupported.
    home = environment.get("HOME") or "~"
    files = (
        environment.get("AWS_CONFIG_FILE", f"{home}/.aws/config"),
        environment.get("AWS_SHARED_CREDENTIALS_FILE", f"{home}/.aws/credentials"),
    )
    if any(map(_has_content, files)) or not _has_unambiguous_values(environment):
        return None
    proxy_url = environment.get("https_proxy", environment.get("HTTPS_PROXY", ""))
    proxy = _PROXY.fullmatch(proxy_url)
    trusted = environment.get("AWS_CA_BUNDLE") or environment.get("REQUESTS_CA_BUNDLE") or _default_ca_bundle()
    if (proxy_url and not proxy) or _may_bypass_proxy(environment) or not trusted:
        return None
    return StaticSettings(
        access_key=key,
        secret_key=secret,
        token=environment.get("AWS_SESSION_TOKEN", ""),
        trusted=trusted,
        proxy=(proxy["host"], int(proxy["port"])) if proxy else None,
    )


def _has_unambiguous_values(environment: Mapping[str, str]) -> bool:
    """Returns whether botocore would read the same values.

    Returns False for characters that HTTP headers do not allow, empty paths of CA bundles, and proxy variables in mixed
    case, which `urllib.request.getproxies` reads, too.
    """
    empty = any(not environment.get(name, "x").strip() for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"))
    mixed = any(
        name.lower() in ("https_proxy", "no_proxy") and not (name.islower() or name.isupper()) for name in environment
    )
    return not (empty or mixed or Settings(environment=environment).stray())


def _has_content(path: str) -> bool:
    """Returns whether a file is not empty, or cannot be checked."""
    try:
        return not path.startswith("/") or os.stat(path).st_size > 0
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _may_bypass_proxy(environment: Mapping[str, str]) -> bool:
    """Returns whether AWS's hosts may be excluded from the proxy."""
    excluded = environment.get("no_proxy", environment.get("NO_PROXY", ""))
    return "*" in excluded or "com" in excluded.lower()


def _default_ca_bundle() -> str | None:
    """Returns botocore's default CA bundle: certifi's if that is installed, otherwise botocore's own."""
    from importlib.util import find_spec

    for package in ("certifi", "botocore"):
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations if spec else None) or ():
            return os.path.join(folder, "cacert.pem")
    return None


class _Unsupported(Exception):
    """Direct calls do not work. Use botocore for this call and all later ones."""


class _Rejected(Exception):
    """EC2 rejected the call. Use botocore for this call only."""


class Ec2Query:
    """Calls EC2 directly, with persistent connections. Thread-safe."""

    def __init__(self, environment: Mapping[str, str], clocks: Ec2Clocks) -> None:
        self._environment = environment
        self._clocks = clocks
        self._pool: _ConnectionPool | None = None
        self._lock = threading.Lock()
        self._unsupported = False
        self._closed = False
        self.has_answered = False
        """Whether EC2 has accepted the credentials."""

    def call(
        self,
        region: str,
        action: str,
        request: Mapping[str, Any],
        read: Callable[[Ec2Response], list[Read]],
        *,
        retry: bool = True,
    ) -> list[Read] | None:
        """Returns the items that `read` finds on all pages; None if the caller must use botocore.

        request  the arguments of botocore's method, with the names of the query API (not `OwnerIds`)
        retry    False: return None after a few seconds without a response, because the caller does not retry
        """
        if self._unsupported or not _is_supported(region):
            return None
        found: list[Read] = []
        token: str | None = None
        with self._disabling_on_failure():
            try:
                while token != "":
                    page = {**request, **({"NextToken": token} if token else {})}
                    response = Ec2Response.of(action, self._post(region, action, page, retry=retry))
                    found += read(response)
                    if response.next_token and response.next_token == token:
                        raise ValueError("the same page again")
                    token = response.next_token
            except _Rejected:
                return None
            return found
        return None

    @contextmanager
    def _disabling_on_failure(self) -> Iterator[None]:
        """Ends the block on a failure. All later calls then use botocore."""
        from http.client import HTTPException
        from xml.etree.ElementTree import ParseError

        try:
            yield
        except (_Unsupported, OSError, HTTPException, ParseError, ValueError):
            self._unsupported = True

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._pool is not None:
                self._pool.close()

    def _post(self, region: str, action: str, request: Mapping[str, Any], *, retry: bool) -> bytes:
        pool, host = self._connections(), _host(region)
        body = encode({"Action": action, "Version": _VERSION, **request})
        headers = signed_headers(pool.settings, host, region, body, time.time())
        headers["user-agent"] = USER_AGENT
        content, date = pool.post(host, body, headers, retry=retry)
        self._clocks.update(region, date)
        self.has_answered = True
        return content

    def _connections(self) -> _ConnectionPool:
        with self._lock:
            if self._pool is None:
                settings = static_settings(self._environment)
                if settings is None or self._closed:
                    raise _Unsupported
                self._pool = _ConnectionPool(settings)
            return self._pool


def _is_supported(region: str) -> bool:
    """Returns whether direct calls support a region. Misspelt ones are not: nothing may be sent to their hosts."""
    return _REGION.fullmatch(region) is not None and region in REGIONS


def _host(region: str) -> str:
    return f"ec2.{region}.amazonaws.com"


class _ConnectionPool:
    """HTTPS connections to AWS's hosts; idle ones are reused."""

    def __init__(self, settings: StaticSettings) -> None:
        from ssl import create_default_context

        self.settings = settings
        self._context = create_default_context(cafile=settings.trusted)
        self._idle: dict[str, list[HTTPSConnection]] = {}
        self._closed = False

    def post(self, host: str, body: bytes, headers: Mapping[str, str], *, retry: bool) -> tuple[bytes, str | None]:
        """Returns the response's body and Date header. Raises `_Rejected` or `_Unsupported` for other statuses."""
        idle = self._idle.setdefault(host, [])
        connection = _usable(idle)
        if connection is None:
            connection = self._connected(host, CONNECT_SECONDS if retry else SHORT_TIMEOUT_SECONDS)
        try:
            connection.timeout = READ_SECONDS if retry else SHORT_TIMEOUT_SECONDS
            if connection.sock is not None:
                connection.sock.settimeout(connection.timeout)
            connection.request("POST", "/", body, headers)
            response = connection.getresponse()
            content = response.read()
        except BaseException:
            connection.close()
            raise
        idle.append(connection)
        if self._closed:
            self.close()
        if response.status != 200:
            raise _Rejected if response.status < 500 and b"<Errors><Error><Code>" in content else _Unsupported
        return content, response.getheader("Date")

    def close(self) -> None:
        self._closed = True
        for idle in list(self._idle.values()):
            with suppress(IndexError):
                while True:
                    idle.pop().close()

    def _connected(self, host: str, seconds: float) -> HTTPSConnection:
        from http.client import HTTPSConnection

        server, port = self.settings.proxy or (host, 443)
        connection = HTTPSConnection(server, port, timeout=seconds, context=self._context)
        if self.settings.proxy:
            connection.set_tunnel(host, 443)
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        return connection


def _usable(idle: list[HTTPSConnection]) -> HTTPSConnection | None:
    """Removes and returns an open connection; closes those that the server has closed."""
    while True:
        try:
            connection = idle.pop()
        except IndexError:
            return None
        if connection.sock is not None and _is_open(connection.sock):
            return connection
        connection.close()


def _is_open(sock: socket) -> bool:
    """Returns whether the server has not closed the connection. Reads pending TLS messages, such as session tickets."""
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
    """Encodes parameters for EC2's query protocol: `Filter.1.Name=...&Filter.1.Value.1=...`."""
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
        # Lists are numbered from 1 and named in the singular: `Filters` becomes `Filter.1`.
        for number, inner in enumerate(value, start=1):
            yield from _flat(f"{name.removesuffix('s')}.{number}", inner)


def signed_headers(settings: StaticSettings, host: str, region: str, body: bytes, now: float) -> dict[str, str]:
    """Returns headers with AWS Signature Version 4.

    See "Create a signed AWS API request" in the AWS General Reference.
    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    headers = {
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "host": host,
        "x-amz-date": moment,
        **({"x-amz-security-token": settings.token} if settings.token else {}),
    }
    names = ";".join(headers)
    listed = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"POST\n/\n\n{listed}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{moment[:8]}/{region}/ec2/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{settings.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    credential = f"{settings.access_key}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return headers
