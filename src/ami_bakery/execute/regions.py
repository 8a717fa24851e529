"""What is finished, in each of its regions: copied there, and shared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ami_bakery.core.image import Ami, AmiState
from ami_bakery.dataclass import dataclass
from ami_bakery.errors import AwsError

if TYPE_CHECKING:
    from ami_bakery.execute.sight import Sight
    from ami_bakery.planning import Planned
    from ami_bakery.ports import Outside

_NAME_LENGTH = 128
"""The longest name of an AMI (EC2 API reference, CopyImage)."""


@dataclass(frozen=True, slots=True)
class Regions:
    """One image's AMIs, in all of its regions."""

    outside: Outside
    planned: Planned
    sight: Sight

    def copy_to_all(self, finished: Mapping[str, Ami]) -> dict[str, Ami]:
        """Every copy carries the tags of what it was copied from; it counts only when it is available."""
        amis = dict(finished)
        source = amis.get(self.planned.plan.regions[0]) or next(iter(amis.values()))
        pending: dict[str, Ami] = {}
        for region in self.planned.plan.regions:
            if region not in amis:
                self.sight.step(f"copying {source.id} to {region}")
                pending[region] = self._started_copy(source, region)
        for region, copy in pending.items():
            self.sight.step(f"waiting for the copy {copy.id} in {region}")
            amis[region] = self.sight.wait_available(copy)
            self.outside.ec2.tag(region, [copy.id], source.tags)
        return amis

    def _started_copy(self, source: Ami, region: str) -> Ami:
        """A copy that another run has started, or left untagged, is taken over: its name would be in the way."""
        for ami in self.outside.ec2.named(region, [source.name]) if source.name else ():
            if ami.source == source.id and (ami.available or ami.state is AmiState.PENDING):
                return ami
        copy = self._copied(source, region)
        return Ami(id=copy, region=region, name=source.name, state=AmiState.PENDING, created=None, owner=source.owner)

    def _copied(self, source: Ami, region: str) -> str:
        """A name is taken once in a region; a copy whose name is taken by something else gets one of its own."""
        try:
            return self.outside.ec2.copy(source, region, source.name)
        except AwsError as error:
            if error.code != "InvalidAMIName.Duplicate":
                raise
            return self.outside.ec2.copy(source, region, f"{source.name[: _NAME_LENGTH - 30]}-{source.id}")

    def share(self, amis: Mapping[str, Ami]) -> None:
        """Let others launch what is finished; who may already is left as it is."""
        targets = self.planned.definition.image.share_with
        for region, ami in amis.items() if targets else ():
            granted = self.outside.ec2.share(region, ami.id, targets)
            if granted:
                self.outside.watcher.note(f"{self.sight.image}: {ami.id} of {region} shared with {', '.join(granted)}")
