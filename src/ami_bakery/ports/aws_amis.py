"""Interfaces to AMIs and channels in AWS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.core.channel.parameter import ChannelVersion
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.errors import BakeryError
    from ami_bakery.template.facts import Login


class BuilderAccount(Frozen):
    """The account that a builder builds in.

    accounts  the candidates; exactly one if the account is certain
    unknown   why it may be another account
    """

    accounts: frozenset[str] = frozenset()
    unknown: str = ""


class CopyRequest(Frozen):
    """A copy of an AMI to another region. It is encrypted if `kms_key` is set."""

    source: Ami
    region: str
    name: str
    tags: Mapping[str, str]
    snapshot_tags: Mapping[str, str]
    kms_key: str = ""


class Ec2(Protocol):
    """AMIs in EC2, one region per call. Each method reads all pages, and raises `AwsError`.

    `find_by_digest`, `find_by_image`, `find_tagged`, `find_with_any_digest` and `find_by_name` also return disabled
    AMIs. The other methods do not: for them, a disabled AMI does not exist.
    """

    def default_region(self) -> str:
        """Returns the region of the environment or the AWS profile. Raises `UsageError` if neither has one."""

    def known_regions(self) -> tuple[str, ...]:
        """Returns the regions that the SDK knows, without a request. Empty with a custom endpoint."""

    def account(self, region: str) -> str:
        """Returns the account of the credentials. The answer is cached."""

    def account_of(self, region: str, login: Login, packer: str) -> BuilderAccount:
        """Returns the account of a builder with its own credentials.

        The result is for this version of Packer. The method does not run the `credential_process` of a profile. It
        raises no error.
        """

    def find_by_digest(self, region: str, digests: Sequence[str], owners: Sequence[str]) -> tuple[Ami, ...]:
        """Returns AMIs in any state whose tag `ami_config_checksum` is one of `digests`."""

    def find_by_image(self, region: str, images: Sequence[str], owners: Sequence[str]) -> tuple[Ami, ...]:
        """Returns AMIs in any state whose tag `ami-bakery:image` is one of `images`."""

    def find_tagged(self, region: str, images: Sequence[str], tag: str) -> tuple[Ami, ...]:
        """Returns this account's AMIs of these images that have the tag `tag`. They may be in any state."""

    def find_test_failed(self, region: str, digests: Sequence[str], owners: Sequence[str]) -> tuple[Ami, ...]:
        """Returns AMIs whose tag `ami-bakery:test-failed` is one of `digests`."""

    def regions(self, region: str) -> tuple[str, ...]:
        """Returns the regions that are enabled for this account, according to `region`."""

    def find_with_any_digest(self, region: str, owners: Sequence[str]) -> tuple[Ami, ...]:
        """Returns AMIs in any state that have the tag `ami_config_checksum`."""

    def find_everything(self, region: str) -> tuple[Ami, ...]:
        """Returns all AMIs of this account, in any state."""

    def find_by_id(self, region: str, ids: Sequence[str]) -> tuple[Ami, ...]:
        """Returns the existing AMIs among `ids`."""

    def find_own(self, region: str, ids: Sequence[str]) -> tuple[Ami, ...]:
        """Returns the AMIs among `ids` that belong to this account."""

    def find_snapshots_by_digest(self, region: str, digests: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """Returns this account's snapshots by their digest tag. Snapshots outlive a deregistered AMI."""

    def find_matching(
        self,
        region: str,
        owners: Sequence[str],
        filters: Sequence[tuple[str, Sequence[str]]],
        *,
        deprecated: bool = False,
        in_any_state: bool = False,
    ) -> tuple[Ami, ...]:
        """Returns AMIs of these owners that match EC2's filters.

        By default, returns only available AMIs, and no deprecated AMIs of other accounts.
        """

    def find_by_name(self, region: str, names: Sequence[str]) -> tuple[Ami, ...]:
        """Returns this account's AMIs, in any state, with one of these names. Names are unique in an account."""

    def find_created_from(self, region: str, instances: Sequence[str]) -> tuple[Ami, ...]:
        """Returns this account's AMIs created from these instances, even from terminated ones."""

    def tag(self, region: str, ids: Sequence[str], tags: Mapping[str, str]) -> None: ...

    def untag(self, region: str, ids: Sequence[str], names: Sequence[str]) -> None:
        """Deletes tags; sets them to an empty value if the credentials may not delete them."""

    def drop_empty_tags(self, region: str, ids: Sequence[str], names: Sequence[str]) -> None:
        """Deletes those of these tags whose value is empty. Does nothing if the credentials may not delete tags."""

    def permissions(self, region: str, resource: str) -> frozenset[str]:
        """Returns the accounts and ARNs that may use an AMI or snapshot. Adds `all` if it is public."""

    def grant(self, region: str, resource: str, targets: Sequence[str]) -> None:
        """Shares an AMI or a snapshot with these targets."""

    def revoke(self, region: str, resource: str, targets: Sequence[str]) -> None:
        """Removes these targets' access."""

    def copy(self, request: CopyRequest) -> str:
        """Starts a copy. Returns the id of the new AMI, which is pending, and has its tags already."""


class ParameterStore(Protocol):
    """AWS Systems Manager Parameter Store."""

    def values(self, region: str, names: Sequence[str]) -> Mapping[str, str | BakeryError]:
        """Returns the AMI id in each parameter, or the error. One bad name does not affect the others."""

    def below(self, region: str, path: str) -> tuple[str, ...]:
        """Returns the names of all parameters below a path, sorted. Raises `AwsError`."""

    def history(self, region: str, name: str) -> tuple[ChannelVersion, ...]:
        """Returns the versions of a parameter, oldest first; none if it does not exist. Raises `AwsError`."""

    def current(self, region: str, name: str) -> tuple[int, str] | None:
        """Returns the newest version's number and value; None without a parameter. Raises `AwsError`."""

    def put(self, region: str, name: str, ami: str, description: str, *, overwrite: bool) -> int:
        """Asks SSM to write an AMI id. Returns the number that the version will have. Raises `AwsError`.

        SSM validates the id later, and drops the write if it is invalid. Without `overwrite`, an existing parameter is
        an error with the code `ParameterAlreadyExists`.
        """
