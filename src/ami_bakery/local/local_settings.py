"""Settings of an embedded EC2: accounts, region, delays, page size, policy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ami_bakery.local.iam_policy import Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """An AWS account of the embedded EC2, and its access key."""

    account_id: str
    access_key_id: str
    secret_access_key: str


ACCOUNTS = (
    Account(
        account_id="111122223333",
        access_key_id="AKIAEMBEDDEDEC200001",
        secret_access_key="embedded-ec2-first-account-not-a-secret",  # noqa: S106
    ),
    Account(
        account_id="444455556666",
        access_key_id="AKIAEMBEDDEDEC200002",
        secret_access_key="embedded-ec2-second-account-not-a-secret",  # noqa: S106
    ),
)
"""Two accounts, so that sharing can be tested. The account ids are those of AWS's documentation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalSettings:
    """Settings for the start of an embedded EC2; `Behaviour` has those that can change while it runs."""

    region: str = "us-east-1"
    """AWS_DEFAULT_REGION of a child process if its environment has no region."""
    accounts: tuple[Account, ...] = ACCOUNTS
    """A child process gets the credentials of the first account."""
    pending_seconds: float = 1.0
    """How long a new AMI is `pending`."""
    validation_seconds: float = 1.0
    """How long SSM validates a parameter of data type `aws:ec2:image` before it has the new value."""
    page_cap: int = 1000
    """The maximum number of items of a page, even if MaxResults is higher."""
    policy: str = ""
    """An IAM policy, as JSON, for the first account; empty allows everything."""
    ssh_port: int = 22
    """The port of the instances' SSH servers. Packer uses 22 unless the template sets another one."""


@dataclass(kw_only=True, slots=True)
class Behaviour:
    """Settings that the control URL can change while the embedded EC2 runs; see `Control.change`."""

    pending_seconds: float
    validation_seconds: float
    page_cap: int
    lag_seconds: float = 0.0
    """How long new AMIs and changed tags are invisible to all calls, as EC2 is eventually consistent."""
    image_outcome: str = "available"
    """The state of an AMI after `pending`: `available` or `failed`."""
    terminating_seconds: float = 0.0
    """How long an instance is `shutting-down`, and uses its security groups."""
    cooldown_seconds: float = 24 * 3600.0
    """How long an AMI cannot be deregistered after a deregistration protection with cool-down was disabled."""
    usage_lag_seconds: float = 24 * 3600.0
    """How long LastLaunchedTime and image usage reports do not show a launch."""
    report_seconds: float = 1.0
    """How long a new image usage report is `pending`."""
    report_outcome: str = "available"
    """The state of an image usage report after `pending`: `available` or `error`."""
    policy: Policy | None = None
    """The policy of the first account; None allows everything."""

    @classmethod
    def of(cls, settings: LocalSettings) -> Behaviour:
        """Returns the initial behaviour. Raises ValueError for a policy that is not supported."""
        from ami_bakery.local.iam_policy import Policy

        policy = Policy.parse(json.loads(settings.policy)) if settings.policy else None
        return cls(
            pending_seconds=settings.pending_seconds,
            validation_seconds=settings.validation_seconds,
            page_cap=settings.page_cap,
            policy=policy,
        )
