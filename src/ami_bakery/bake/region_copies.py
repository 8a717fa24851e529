"""A finished AMI in the other regions of its image: copies are started at once, and waited for together."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.bake.adopt import remove_amis
from ami_bakery.concurrency import run_all
from ami_bakery.core.ec2.image import Ami, AmiState, copied_tags, newest, snapshot_tags
from ami_bakery.core.plan.desired_state import DesiredState
from ami_bakery.core.plan.outcome import Copies
from ami_bakery.core.text.table import clock_time
from ami_bakery.errors import AwsError, BakeryError, Stopped
from ami_bakery.ports import CopyRequest
from ami_bakery.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ami_bakery.bake.waiters import AmiWaiter
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.plan.planner import Planned
    from ami_bakery.ports import Ports

_NAME_LENGTH = 128
"""The longest name of an AMI (EC2 API reference, CopyImage)."""


@dataclass(slots=True)
class _Waiting:
    """The regions that lack their copy still, with the moment when it was begun; kept by several threads."""

    since: dict[str, float]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def done(self, region: str) -> bool:
        """Whether others are left."""
        with self.lock:
            del self.since[region]
            return bool(self.since)

    def told(self, now: float) -> str:
        with self.lock:
            regions = sorted(self.since.items())
        return f"copying to {', '.join(f'{region} ({clock_time(now - since)})' for region, since in regions)}"


@dataclass(frozen=True, slots=True)
class Regions:
    """One image's AMIs, in all of its regions."""

    ports: Ports
    planned: Planned
    sight: AmiWaiter
    kms_keys: Mapping[str, str]

    def copy_to_all(self, finished: Mapping[str, Ami], source: Ami) -> Copies:
        """`finished` are the AMIs that need no copy. A region that fails does not stop the others: what is finished
        is tagged, and counts; the next run copies what is missing."""
        regions = [region for region in self.planned.plan.regions if region not in finished]
        if not regions:
            return Copies(amis=finished)
        self.sight.step(f"copying {source.id} to {', '.join(regions)}")
        started = self._all([partial(self._started, source, region) for region in regions])
        copies = [copy for copy in started if isinstance(copy, Ami)]
        now = self.ports.clock.monotonic()
        waiting = _Waiting({copy.region: now for copy in copies})
        ended = self._all([partial(self._finished, source, copy, waiting) for copy in copies])
        made = {copy.region: copy for copy in ended if isinstance(copy, Ami)}
        failures = tuple(failure for failure in (*started, *ended) if isinstance(failure, BakeryError))
        return Copies(amis={**finished, **made}, failures=failures)

    def _all(self, steps: Sequence[Callable[[], Ami]]) -> list[Ami | BakeryError]:
        """Side by side; each with its own failure, but for an interruption."""

        def tried(step: Callable[[], Ami]) -> Ami | BakeryError:
            try:
                return step()
            except Stopped:
                raise
            except BakeryError as error:
                return error

        return run_all([partial(tried, step) for step in steps])

    def _started(self, source: Ami, region: str) -> Ami:
        """A copy that another run has started, or left untagged, is taken over."""
        names = self._names(source)
        named = self.ports.ec2.find_by_name(region, names)
        left = self._left(source, region, (*self.planned.found, *named))
        if left is not None:
            return left
        failed = self._failed(source, region, named)
        taken = {ami.name for ami in named if ami not in failed}
        return self._ordered(source, region, [name for name in names if name not in taken] or names[-1:])

    def _left(self, source: Ami, region: str, known: Iterable[Ami]) -> Ami | None:
        key = self.kms_keys.get(region, "")
        copies = (ami for ami in known if ami.region == region and ami.source == source.id and ami.kms_key == key)
        return newest(ami for ami in copies if ami.available or ami.state is AmiState.PENDING)

    def _failed(self, source: Ami, region: str, known: Iterable[Ami]) -> tuple[Ami, ...]:
        """Copies that came to nothing, removed: else they would pile up, run by run, each with a name that is taken."""
        failed = tuple(
            ami for ami in known if ami.region == region and ami.source == source.id and ami.state is AmiState.FAILED
        )
        remove_amis(self.ports, self.sight.image, failed, "a copy that failed")
        return failed

    def _names(self, source: Ami) -> list[str]:
        """A name is taken once in a region: where something else has the source's, the copy gets one of its own."""
        now = f"{self.ports.clock.now():%Y%m%dT%H%M%S}"
        suffixes = ("", f"-{source.id}", f"-{source.id}-{now}")
        return [source.name[: _NAME_LENGTH - len(suffix)] + suffix for suffix in suffixes]

    def _ordered(self, source: Ami, region: str, names: Sequence[str]) -> Ami:
        """Under the first of `names` that nobody takes meanwhile; unless who has taken it makes the same copy."""
        tags = self._tags(source, region)
        order = CopyRequest(
            source=source,
            region=region,
            name=names[0],
            tags=tags,
            snapshot_tags=snapshot_tags(tags, dict(self._upkeep.tags)),
            kms_key=self.kms_keys.get(region, ""),
        )
        try:
            copy = self.ports.ec2.copy(order)
        except AwsError as error:
            if error.code != "InvalidAMIName.Duplicate":
                raise
            left = self._left(source, region, self.sight.named(region, names[0]))
            if left is not None:
                return left
            if len(names) < 2:
                raise
            return self._ordered(source, region, names[1:])
        return Ami(id=copy, region=region, name=names[0], state=AmiState.PENDING, created=None, owner=source.owner)

    def _finished(self, source: Ami, copy: Ami, waiting: _Waiting) -> Ami:
        clock, reporter = self.ports.clock, self.ports.reporter
        try:
            ami = self.sight.wait_available(
                copy, meanwhile=lambda: reporter.update(self.sight.image, waiting.told(clock.monotonic()))
            )
        except AwsError as error:
            if not self._failed(source, copy.region, self.ports.ec2.find_by_id(copy.region, [copy.id])):
                raise
            key = self.kms_keys.get(copy.region, "")
            todo = "Look in CloudTrail for what became of it, then run again: the copy is begun anew."
            if key:
                todo = f"Look whether the key {key} is there, and may be used by who copies. {todo}"
            raise AwsError(error.doing, error.wrong, todo, code=error.code) from error
        finally:
            if waiting.done(copy.region):
                self.sight.step(waiting.told(clock.monotonic()))
        return self._tagged(source, ami)

    def _tagged(self, source: Ami, copy: Ami) -> Ami:
        """A copy has its tags from the first moment; one that was taken over may lack some."""
        tags = self._tags(source, copy.region)
        if any(copy.tags.get(name) != value for name, value in tags.items()):
            if copy.snapshots:
                self.ports.ec2.tag(copy.region, copy.snapshots, snapshot_tags(tags, dict(self._upkeep.tags)))
            self.ports.ec2.tag(copy.region, [copy.id], tags)
        return replace(copy, tags={**copy.tags, **tags})

    def _tags(self, source: Ami, region: str) -> dict[str, str]:
        return copied_tags(source.tags, self._upkeep.ami_tags, self.kms_keys.get(region, ""))

    @property
    def _upkeep(self) -> DesiredState:
        return DesiredState.of(self.planned.definition.image)


def copy_to_regions(
    resolver: Resolver, planned: Planned, sight: AmiWaiter, amis: Mapping[str, Ami], source: Ami | None
) -> Copies:
    """`amis` in all regions of the image. Where a copy is to have a key of its own, it is one of those that have it:
    not one that Packer has made there."""
    kms_keys = resolver.kms_keys(planned.definition.image)
    right = {region: ami for region, ami in amis.items() if ami.kms_key == kms_keys.get(region, ami.kms_key)}
    assert source is not None, f"nothing of {planned.plan.image} is there to be copied"
    return Regions(resolver.ports, planned, sight, kms_keys).copy_to_all(right, source)
