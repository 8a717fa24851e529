"""Interface to the use of AMIs in AWS, and to their end: disabling and deregistration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ami_bakery.core.ec2.usage import AmiReference, InstanceAmi, SnapshotDeletion, TemplateVersion
    from ami_bakery.core.prune.prunable import UsageReport


class AmiUsage(Protocol):
    """What uses AMIs, and their end. One region per call.

    Each method reads all pages, and raises `AwsError`; `DeniedError` names the missing permission. An error means that
    nothing is known: no method returns a part of the answer.
    """

    def references(self, region: str, amis: Sequence[str]) -> Mapping[str, tuple[AmiReference, ...]]:
        """Returns the resources of this account that name each AMI, by DescribeImageReferences.

        They are instances that are not terminated, launch templates with any of their newest 10,000 versions, SSM
        parameters of the type `aws:ec2:image`, and recipes of Image Builder. Every AMI of `amis` has an entry. Launch
        configurations and Auto Scaling groups are not included: see `auto_scaling_amis`.
        """

    def auto_scaling_amis(self, region: str) -> Mapping[str, tuple[AmiReference, ...]]:
        """Returns all launch configurations and Auto Scaling groups that name AMIs, by AMI.

        A group names an AMI through its launch configuration, its launch template's version (`$Default`, `$Latest` and
        SSM parameters are resolved), or an override of its instance types. AMIs that nothing names are missing.
        """

    def template_versions(self, region: str, templates: Sequence[str]) -> tuple[TemplateVersion, ...]:
        """Returns all versions of these launch templates that name an AMI, oldest first.

        SSM parameters in a version are resolved to the AMI that they have now. Missing templates are ignored.
        """

    def instance_amis(self, region: str) -> tuple[InstanceAmi, ...]:
        """Returns all instances that are not terminated, with their AMIs, by DescribeInstanceImageMetadata.

        If EC2 denies or does not know this call, DescribeInstances is used, which has no names and states of AMIs.
        """

    def usage_reports(self, region: str, amis: Sequence[str]) -> Mapping[str, UsageReport]:
        """Returns the newest usage report of each AMI that has one. EC2 keeps reports for 30 days."""

    def request_usage_report(self, region: str, ami: str) -> bool:
        """Requests a report of the accounts that use an AMI. EC2 makes it later.

        Returns False if EC2 refuses, since an older report of this AMI is still pending.
        """

    def disable(self, region: str, ami: str) -> None:
        """Disables an AMI. EC2 removes its launch permissions. An AMI that is disabled counts as done."""

    def enable(self, region: str, ami: str) -> None:
        """Enables a disabled AMI. EC2 does not restore its launch permissions. An available AMI counts as done."""

    def deregister(self, region: str, ami: str) -> tuple[SnapshotDeletion, ...]:
        """Deregisters an AMI, and lets EC2 delete its snapshots. Returns the result for each snapshot.

        An AMI that does not exist counts as done, without results. Deregistration protection, or its cool-down period,
        is an error with EC2's code: see also `Ami.protected`.
        """

    def snapshot_sizes(self, region: str, snapshots: Sequence[str]) -> Mapping[str, int]:
        """Returns an upper bound of each existing snapshot's size, in bytes.

        It is the snapshot's full size, or if EC2 has none, the volume's. Increments may be much smaller.
        """
