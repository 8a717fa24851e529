"""Creates boto3 clients from the environment's settings, and reports slow responses."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from ami_bakery.adapters.aws import ec2_xml
from ami_bakery.adapters.aws.ec2_clock import Ec2Clocks
from ami_bakery.adapters.aws.ec2_direct import (
    CONNECT_SECONDS,
    READ_SECONDS,
    SHORT_TIMEOUT_SECONDS,
    USER_AGENT,
    Ec2Query,
)
from ami_bakery.adapters.aws.errors import AwsCall, explained
from ami_bakery.adapters.aws.sdk_settings import Settings
from ami_bakery.adapters.program_search import is_in_repository
from ami_bakery.core.ec2.regions import HOW_TO_CORRECT, REGIONS, has_own_endpoint, unknown_region
from ami_bakery.errors import AwsError, UsageError

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_sts import STSClient

    from ami_bakery.adapters.aws.builder_account import Keys

_TRIES = 8
"""Maximum attempts of a call. botocore retries after throttling and server errors, with pauses of up to 20 s."""
_SLOW_SECONDS, _STILL_SECONDS = 3.0, 30.0
"""When a missing response is first reported, and the interval of further reports."""


class AwsSession:
    """A boto3 session, created at first use. It has one client per service and region. Thread-safe."""

    def __init__(
        self, environment: Mapping[str, str], report: Callable[[str], None] = lambda _: None, *, repository: str = ""
    ) -> None:
        """Creates nothing in boto3 yet.

        report      receives messages about slow responses and retries
        repository  a folder of the repository whose programs must not be started; empty if they may be started
        """
        self._report = report
        self._repository = repository
        self.clocks = Ec2Clocks()
        self.query = Ec2Query(environment, self.clocks)
        self._environment = environment
        self._settings = Settings(environment=environment)
        self._session: boto3.Session | None = None
        self._clients: dict[tuple[str, str, bool], Any] = {}
        self._lock = threading.Lock()
        self._reported: dict[str, float] = {}
        self._has_answered = False
        self.has_given_up = False
        """Whether all retries with new credentials have failed."""

    def close(self) -> None:
        self.query.close()

    @property
    def has_answered(self) -> bool:
        """Whether AWS has accepted the credentials at least once."""
        return self._has_answered or self.query.has_answered

    def renew(self) -> None:
        """Discards the session and clients, so that credentials are loaded again. Calls in progress continue."""
        with self._lock:
            self._session = None
            self._clients = {}

    @contextmanager
    def waiting(self, doing: str, region: str) -> Iterator[None]:
        """Reports a slow response, which would otherwise look like a hang."""
        answered = threading.Event()

        def watch() -> None:
            pause = _SLOW_SECONDS
            while not answered.wait(pause):
                self.report(f"{doing} in {region}: waiting for EC2's response")
                pause = _STILL_SECONDS

        threading.Thread(target=watch, daemon=True).start()
        try:
            yield
        finally:
            answered.set()

    def report(self, text: str) -> None:
        """Reports a message; only once if parallel calls report the same."""
        now = time.monotonic()
        with self._lock:
            if now - self._reported.get(text, -_SLOW_SECONDS) < _SLOW_SECONDS:
                return
            self._reported[text] = now
        self._report(text)

    def session(self) -> boto3.Session:
        with self._lock:
            if self._session is None:
                self._check_variables()
                import boto3

                with explained(self._call("reading the AWS configuration")):
                    session = boto3.Session()
                    self._drop_programs(session)
                    _ask_only_at_a_terminal(session)
                self._session = session
            return self._session

    def _drop_programs(self, session: boto3.Session) -> None:
        """Removes every `credential_process` if an AWS configuration file is in the repository.

        A pull request could have written that file.
        """
        core = session._session
        named = [os.path.expanduser(core.get_config_variable(name)) for name in ("config_file", "credentials_file")]
        inside = [path for path in named if self._repository and is_in_repository(path, self._repository)]
        if not inside:
            return
        dropped = [profile.pop("credential_process", None) for profile in core.full_config["profiles"].values()]
        if any(dropped):
            self._report(f"{inside[0]} is in the repository: planning does not start its credential_process")

    def _check_variables(self) -> None:
        """Rejects invalid characters for HTTP headers. The HTTP library's error would show the value."""
        found = self._settings.stray()
        if found is not None:
            name, problem = found
            raise AwsError(
                "reading the AWS settings in the environment",
                f"{name} has {problem}",
                f"Set {name} without it. A common cause is a file with Windows line endings (docker run --env-file).",
                code="NoCredentials",
            )

    def _call(self, doing: str, service: str = "", action: str = "", region: str = "") -> AwsCall:
        return AwsCall(doing=doing, service=service, action=action, region=region, settings=self._settings)

    def default_region(self) -> str:
        region = self._named_region() or self.session().region_name
        if not region:
            raise UsageError(
                "determining the AWS region",
                "no region is set in AWS_DEFAULT_REGION, AWS_REGION or the AWS profile",
                "Set AWS_DEFAULT_REGION, use --region, or set `regions` in bakery.toml.",
            )
        return region

    def _named_region(self) -> str | None:
        return self._environment.get("AWS_DEFAULT_REGION") or self._environment.get("AWS_REGION")

    def client(self, service: str, region: str, *, retry: bool = True) -> Any:
        """Returns a boto3 client, which threads may share.

        retry  False: fail after a few seconds, for calls that are useless if they come late
        """
        session = self.session()
        if region not in REGIONS:
            self._refuse_unknown(region)
        with self._lock:
            if (service, region, retry) not in self._clients:
                from botocore.config import Config

                known = region in session.get_available_regions(service)
                config = Config(
                    retries={"mode": "standard", "total_max_attempts": _TRIES if known and retry else 2},
                    connect_timeout=CONNECT_SECONDS if retry else SHORT_TIMEOUT_SECONDS,
                    read_timeout=READ_SECONDS if retry else SHORT_TIMEOUT_SECONDS,
                    user_agent_extra=USER_AGENT,
                )
                with explained(self._call("creating an AWS client", service, region=region)):
                    client: Any = session.client(service, region_name=region, config=config)  # type: ignore[call-overload]
                client.meta.events.register("after-call.ec2", partial(self._record_response, region))
                self._clients[service, region, retry] = client
            return self._clients[service, region, retry]

    def known_regions(self) -> tuple[str, ...]:
        """Returns botocore's regions of all partitions; empty with a custom EC2 endpoint."""
        if has_own_endpoint(self._environment):
            return ()
        session = self.session()
        partitions = session.get_available_partitions()
        return tuple(name for partition in partitions for name in session.get_available_regions("ec2", partition))

    def _refuse_unknown(self, region: str) -> None:
        """Raises `AwsError` for a region that AWS does not have. Uses no network."""
        known = self.known_regions()
        if known and region not in known:
            raise AwsError(f"creating an AWS client in {region}", unknown_region(region, known), HOW_TO_CORRECT)

    def _record_response(self, region: str, http_response: Any, **_: Any) -> None:
        self._has_answered = self._has_answered or http_response.status_code == 200
        self.clocks.update(region, http_response.headers.get("Date"))

    def call(self, doing: str, service: str, action: str, region: str) -> AwsCall:
        known = self.session().get_available_regions(service.lower())
        return AwsCall(
            doing=doing, service=service, action=action, region=region, known_regions=known, settings=self._settings
        )

    @property
    def environment(self) -> Mapping[str, str]:
        return self._environment

    def account_of(self, region: str, keys: Keys) -> str:
        """Returns the account of access keys. Raises `AwsError`."""
        call = self.call("getting the account of the template's keys", "STS", "GetCallerIdentity", region)
        with explained(call):
            client: STSClient = self.session().client(
                "sts",
                region_name=region,
                aws_access_key_id=keys.access_key,
                aws_secret_access_key=keys.secret_key,
                aws_session_token=keys.token or None,
            )
            return client.get_caller_identity()["Account"]

    def create_tags(self, region: str, ids: Sequence[str], tags: Mapping[str, str], *, retry: bool = True) -> None:
        """Tags all resources, or none if one does not exist. Raises `AwsError`."""
        request: Any = {"ResourceIds": list(ids), "Tags": as_tags(tags)}
        if self.query.call(region, "CreateTags", request, ec2_xml.done, retry=retry) is not None:
            return
        client: EC2Client = self.client("ec2", region, retry=retry)
        with explained(self.call(f"tagging {', '.join(ids)}", "EC2", "CreateTags", region)):
            client.create_tags(Resources=list(ids), Tags=request["Tags"])


def as_tags(tags: Mapping[str, str]) -> list[Any]:
    """Converts tags to EC2's form, sorted by name."""
    return [{"Key": name, "Value": tags[name]} for name in sorted(tags)]


def _ask_only_at_a_terminal(session: boto3.Session) -> None:
    """Lets botocore prompt for an MFA code only at a terminal.

    Without a terminal, getpass would read a line of stdin and print a Python warning.
    """
    from getpass import getpass

    def ask(prompt: str) -> str:
        if sys.stdin is None or not sys.stdin.isatty():
            raise EOFError
        return getpass(prompt)

    provider = session._session.get_component("credential_provider").get_provider("assume-role")
    provider._prompter = ask
