"""What an embedded EC2 can be told before it starts: accounts, regions, and how slow or small its answers are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ami_bakery.local.iam_policy import Policy


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """An AWS account of the embedded EC2, and the one access key that signs for it."""

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
"""Two accounts, so that sharing can be tried. The numbers are those of AWS's own documentation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalSettings:
    """How an embedded EC2 behaves. What can change while it runs is in `Behaviour`."""

    region: str = "us-east-1"
    """The region that a child gets in AWS_DEFAULT_REGION where its environment names none."""
    accounts: tuple[Account, ...] = ACCOUNTS
    """The first is the one whose credentials a child gets."""
    pending_seconds: float = 1.0
    """How long a new AMI is `pending`."""
    page_cap: int = 1000
    """No answer that has pages is longer, whatever MaxResults says."""
    policy: str = ""
    """An IAM policy, as JSON, for what the first account may do; empty means everything."""
    ssh_port: int = 22
    """The port of the instances' SSH servers. Packer asks for 22 unless its template says otherwise."""


@dataclass(kw_only=True, slots=True)
class Behaviour:
    """The settings that the control URL can change while the embedded EC2 runs; see `Control.change`."""

    pending_seconds: float
    page_cap: int
    lag_seconds: float = 0.0
    """For how long an AMI made from now on is not seen by any call, and changed tags of an AMI are seen as they were:
    EC2 is eventually consistent."""
    image_outcome: str = "available"
    """The state that an AMI is in after `pending`: `available` or `failed`."""
    terminating_seconds: float = 0.0
    """How long an instance is `shutting-down`, and holds its security groups."""
    policy: Policy | None = None
    """What the first account may do; None means everything."""

    @classmethod
    def of(cls, settings: LocalSettings) -> Behaviour:
        """Raises ValueError for a policy that is not modelled."""
        from ami_bakery.local.iam_policy import Policy

        policy = Policy.parse(json.loads(settings.policy)) if settings.policy else None
        return cls(pending_seconds=settings.pending_seconds, page_cap=settings.page_cap, policy=policy)
