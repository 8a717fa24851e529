"""Changes one AMI for prune: disables, enables or deregisters it, or requests a usage report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cleanup.quarantining import begin_quarantine, end_quarantine
from ami_bakery.core.ec2.ami import ABANDONED_TAG, IMAGE_TAG
from ami_bakery.core.ec2.lineage import key_of
from ami_bakery.core.ec2.run import RUN_TAG
from ami_bakery.core.prune.retention import PruneAction
from ami_bakery.errors import AwsError, InUseError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.ec2.resource import Resource
    from ami_bakery.ports import Ports
    from ami_bakery.release.prune_facts import PruneFacts

_SKIPPED = "skipped"
_IN_USE = "InvalidSnapshot.InUse"


class PruneSteps:
    """Changes AMIs. Each change can be repeated after it was interrupted."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def carry_out(self, action: PruneAction, ami: Ami, facts: PruneFacts) -> None:
        """Carries out one action. Raises `AwsError`."""
        match action:
            case PruneAction.DISABLE:
                begin_quarantine(self._ports, ami, facts.permissions(key_of(ami)))
            case PruneAction.ENABLE:
                end_quarantine(self._ports, ami)
            case PruneAction.REPORT:
                self._ports.usage.request_usage_report(ami.region, ami.id)
            case PruneAction.DEREGISTER:
                self._deregister(ami)
            case PruneAction.KEEP | PruneAction.WAIT:
                pass

    def _deregister(self, ami: Ami) -> None:
        """Deregisters an AMI. EC2 deletes its snapshots with it, and returns a code for each."""
        codes = {each.snapshot: each.code for each in self._ports.usage.deregister(ami.region, ami.id)}
        unsure = [snapshot for snapshot in ami.snapshots if codes.get(snapshot) not in ("success", _SKIPPED)]
        if not unsure:
            return
        # Not deleted, or the response was lost. The AMI cannot be deregistered again: delete the snapshots directly.
        remaining = self._ports.temporary_resources.snapshots(ami.region, unsure)
        errors = {each.id: error for each in remaining if (error := self._delete(each)) is not None}
        if errors:
            raise _snapshots_remain(ami, codes, errors, marked=self._mark(ami, list(errors)))

    def _mark(self, ami: Ami, snapshots: Sequence[str]) -> bool:
        """Tags snapshots so that cleanup finds them without their AMI. Returns whether that succeeded."""
        tags = {name: ami.tags[name] for name in (RUN_TAG, IMAGE_TAG) if name in ami.tags}
        try:
            self._ports.ec2.tag(ami.region, snapshots, {**tags, ABANDONED_TAG: "prune"})
        except AwsError:
            return False
        return True

    def _delete(self, snapshot: Resource) -> AwsError | None:
        try:
            self._ports.temporary_resources.remove(snapshot)
        except InUseError:
            return None
        except AwsError as error:
            # Another AMI has the snapshot, so it must not be deleted.
            return None if error.code == _IN_USE else error
        return None


def _snapshots_remain(ami: Ami, codes: Mapping[str, str], errors: Mapping[str, AwsError], *, marked: bool) -> AwsError:
    first = next(iter(errors.values()))
    lines = [
        f"{snapshot}: DeregisterImage returned {codes.get(snapshot, 'no code')}; DeleteSnapshot: {error.wrong}"
        for snapshot, error in errors.items()
    ]
    wrong = "\n".join(
        [f"{ami.id} is deregistered, but {len(errors)} of its snapshots still exist, and cost money", *lines]
    )
    delete = "; ".join(f"aws ec2 delete-snapshot --region {ami.region} --snapshot-id {snapshot}" for snapshot in errors)
    todo = f"Then run `ami-bakery images --orphans --clean`, or: {delete}" if marked else f"Then: {delete}"
    doing = f"deleting the snapshots of {ami.id} in {ami.region}"
    return first.revised(doing=doing, wrong=wrong, todo=f"{first.todo} {todo}")
