"""How AWS is reached: credentials and settings of the environment, a client for each region, how long may be waited."""

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
from ami_bakery.adapters.aws.ec2_query import CONNECT_SECONDS, IMPATIENT_SECONDS, READ_SECONDS, USER_AGENT, Ec2Query
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
"""Throttling and server faults are everyday answers: botocore tries again, with growing pauses of up to 20 s."""
_SLOW_SECONDS, _STILL_SECONDS = 3.0, 30.0
"""After how long it is said that there is no answer yet, and how often it is said again."""


class AwsSession:
    """One boto3 session, made at first use from the environment and AWS's own files; a client for each region."""

    def __init__(
        self, environment: Mapping[str, str], tell: Callable[[str], None] = lambda _: None, *, repository: str = ""
    ) -> None:
        """
        tell        is told of answers that are long in coming
        repository  a folder of the repository whose programs must not be started; empty where they may
        """
        self._tell = tell
        self._repository = repository
        self.clocks = Ec2Clocks()
        self.query = Ec2Query(environment, self.clocks)
        self._environment = environment
        self._settings = Settings(environment=environment)
        self._session: boto3.Session | None = None
        self._clients: dict[tuple[str, str, bool], Any] = {}
        self._lock = threading.Lock()
        self._said: dict[str, float] = {}
        self._has_answered = False
        self.has_given_up = False
        """Whether the credentials failed for as long as anybody waits for new ones."""

    def close(self) -> None:
        self.query.close()

    @property
    def has_answered(self) -> bool:
        """Whether AWS has accepted the credentials before."""
        return self._has_answered or self.query.has_answered

    def tell(self, text: str) -> None:
        """Once in a while, where several calls have the same to tell."""
        self._say(text)

    def renew(self) -> None:
        """Read the environment's files, and ask who gives credentials, anew. What is asked just now goes on."""
        with self._lock:
            self._session = None
            self._clients = {}

    def warm_up(self, region: str | None) -> None:
        """Open a connection, or make botocore ready as far as nobody is asked for that: who keeps the credentials may
        be a program, or a person."""
        self.query.warm_up(region or self._named_region(), self.session)

    @contextmanager
    def waiting(self, doing: str, region: str) -> Iterator[None]:
        """While EC2 is asked: a slow one, or one that does not answer, shall not look like a program that hangs."""
        answered = threading.Event()

        def watch() -> None:
            pause = _SLOW_SECONDS
            while not answered.wait(pause):
                self._say(f"{doing} in {region}: waiting for an answer")
                pause = _STILL_SECONDS

        threading.Thread(target=watch, daemon=True).start()
        try:
            yield
        finally:
            answered.set()

    def _say(self, text: str) -> None:
        """Once, where several of the same are asked side by side."""
        now = time.monotonic()
        with self._lock:
            if now - self._said.get(text, -_SLOW_SECONDS) < _SLOW_SECONDS:
                return
            self._said[text] = now
        self._tell(text)

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
        """Forget each `credential_process` where an AWS configuration file lies in the repository: a change may have
        written it."""
        core = session._session
        named = [os.path.expanduser(core.get_config_variable(name)) for name in ("config_file", "credentials_file")]
        inside = [path for path in named if self._repository and is_in_repository(path, self._repository)]
        if not inside:
            return
        dropped = [profile.pop("credential_process", None) for profile in core.full_config["profiles"].values()]
        if any(dropped):
            self._tell(f"{inside[0]} is in the repository: planning does not start the credential_process it names")

    def _check_variables(self) -> None:
        """A stray character makes a header that no HTTP library takes, and its error would show the value."""
        found = self._settings.stray()
        if found is not None:
            name, what = found
            raise AwsError(
                "reading the AWS settings in the environment",
                f"{name} has {what}",
                f"Set {name} without it. Files with Windows line ends (docker run --env-file) are a frequent cause.",
                code="NoCredentials",
            )

    def _call(self, doing: str, service: str = "", action: str = "", region: str = "") -> AwsCall:
        return AwsCall(doing=doing, service=service, action=action, region=region, settings=self._settings)

    def default_region(self) -> str:
        region = self._named_region() or self.session().region_name
        if not region:
            raise UsageError(
                "looking for the region to work in",
                "none of AWS_DEFAULT_REGION, AWS_REGION and the AWS profile names one",
                "Set AWS_DEFAULT_REGION, give --region, or write `regions` in bakery.toml.",
            )
        return region

    def _named_region(self) -> str | None:
        return self._environment.get("AWS_DEFAULT_REGION") or self._environment.get("AWS_REGION")

    def client(self, service: str, region: str, *, patient: bool = True) -> Any:
        """Clients may be shared by threads; making one may not. One that is not patient says soon that it has failed:
        for what is of no use when it comes late."""
        session = self.session()
        if region not in REGIONS:
            self._refuse_unknown(region)
        with self._lock:
            if (service, region, patient) not in self._clients:
                from botocore.config import Config

                known = region in session.get_available_regions(service)
                config = Config(
                    retries={"mode": "standard", "total_max_attempts": _TRIES if known and patient else 2},
                    connect_timeout=CONNECT_SECONDS if patient else IMPATIENT_SECONDS,
                    read_timeout=READ_SECONDS if patient else IMPATIENT_SECONDS,
                    user_agent_extra=USER_AGENT,
                )
                with explained(self._call("opening a session with AWS", service, region=region)):
                    client: Any = session.client(service, region_name=region, config=config)  # type: ignore[call-overload]
                client.meta.events.register("after-call.ec2", partial(self._tell_time, region))
                self._clients[service, region, patient] = client
            return self._clients[service, region, patient]

    def known_regions(self) -> tuple[str, ...]:
        """Those that botocore knows, of all partitions; none where EC2 is at an address of the user's own."""
        if has_own_endpoint(self._environment):
            return ()
        session = self.session()
        partitions = session.get_available_partitions()
        return tuple(name for partition in partitions for name in session.get_available_regions("ec2", partition))

    def _refuse_unknown(self, region: str) -> None:
        """Before it is tried over the network."""
        known = self.known_regions()
        if known and region not in known:
            raise AwsError(f"opening a session with AWS in {region}", unknown_region(region, known), HOW_TO_CORRECT)

    def _tell_time(self, region: str, http_response: Any, **_: Any) -> None:
        self._has_answered = self._has_answered or http_response.status_code == 200
        self.clocks.told(region, http_response.headers.get("Date"))

    def call(self, doing: str, service: str, action: str, region: str) -> AwsCall:
        known = self.session().get_available_regions(service.lower())
        return AwsCall(
            doing=doing, service=service, action=action, region=region, known_regions=known, settings=self._settings
        )

    @property
    def environment(self) -> Mapping[str, str]:
        return self._environment

    def account_of(self, region: str, keys: Keys) -> str:
        """Whose keys these are. Raises `AwsError`."""
        call = self.call("asking whose keys the template names", "STS", "GetCallerIdentity", region)
        with explained(call):
            client: STSClient = self.session().client(
                "sts",
                region_name=region,
                aws_access_key_id=keys.access_key,
                aws_secret_access_key=keys.secret_key,
                aws_session_token=keys.token or None,
            )
            return client.get_caller_identity()["Account"]

    def create_tags(self, region: str, ids: Sequence[str], tags: Mapping[str, str], *, patient: bool = True) -> None:
        """On all of these or, where one is not there, on none. Raises `AwsError`."""
        asked: Any = {"ResourceIds": list(ids), "Tags": as_tags(tags)}
        if self.query.ask(region, "CreateTags", asked, ec2_xml.done, patient=patient) is not None:
            return
        client: EC2Client = self.client("ec2", region, patient=patient)
        with explained(self.call(f"tagging {', '.join(ids)}", "EC2", "CreateTags", region)):
            client.create_tags(Resources=list(ids), Tags=asked["Tags"])


def as_tags(tags: Mapping[str, str]) -> list[Any]:
    """As EC2 takes them."""
    return [{"Key": name, "Value": tags[name]} for name in sorted(tags)]


def _ask_only_at_a_terminal(session: boto3.Session) -> None:
    """For the code of an MFA device. Else getpass would read a line of stdin, and show a warning of Python's."""
    from getpass import getpass

    def ask(prompt: str) -> str:
        if sys.stdin is None or not sys.stdin.isatty():
            raise EOFError
        return getpass(prompt)

    provider = session._session.get_component("credential_provider").get_provider("assume-role")
    provider._prompter = ask
