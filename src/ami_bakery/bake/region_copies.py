"""Copies a finished AMI to its image's other regions, all in parallel."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.bake.adopt import remove_amis
from ami_bakery.core.concurrency import run_all
from ami_bakery.core.ec2.ami import TEST_FAILED_TAG, Ami, AmiState, copied_tags, newest, snapshot_tags
from ami_bakery.core.plan.desired_state import DesiredState
from ami_bakery.core.plan.outcome import Copies
from ami_bakery.core.text.table import clock_time
from ami_bakery.errors import AwsError, BakeryError, NameTakenError, Stopped
from ami_bakery.ports import CopyRequest
from ami_bakery.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ami_bakery.bake.waiters import AmiWaiter
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.plan.planner import Planned
    from ami_bakery.ports import Ports

_NAME_LENGTH = 128
"""Maximum length of an AMI name (EC2 API reference, CopyImage)."""


@dataclass(slots=True)
class _Waiting:
    """Regions whose copy is not finished, with its start time. Threads share this."""

    since: dict[str, float]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def done(self, region: str) -> bool:
        """Removes the region. Returns whether others remain."""
        with self.lock:
            del self.since[region]
            return bool(self.since)

    def describe(self, now: float) -> str:
        with self.lock:
            regions = sorted(self.since.items())
        return f"copying to {', '.join(f'{region} ({clock_time(now - since)})' for region, since in regions)}"


@dataclass(frozen=True, slots=True)
class Regions:
    """The AMIs of one image in all of its regions."""

    ports: Ports
    planned: Planned
    waiter: AmiWaiter
    kms_keys: Mapping[str, str]

    def copy_to_all(self, finished: Mapping[str, Ami], source: Ami) -> Copies:
        """Copies `source` to the regions that are not in `finished`.

        A failed region does not stop the others. Each finished copy is tagged, and the next run makes only the missing
        copies.
        """
        regions = [region for region in self.planned.plan.regions if region not in finished]
        if not regions:
            return Copies(amis=finished)
        self.waiter.step(f"copying {source.id} to {', '.join(regions)}")
        started = self._all([partial(self._start, source, region) for region in regions])
        copies = [copy for copy in started if isinstance(copy, Ami)]
        now = self.ports.clock.monotonic()
        waiting = _Waiting({copy.region: now for copy in copies})
        ended = self._all([partial(self._finish, source, copy, waiting) for copy in copies])
        made = {copy.region: copy for copy in ended if isinstance(copy, Ami)}
        failures = tuple(failure for failure in (*started, *ended) if isinstance(failure, BakeryError))
        return Copies(amis={**finished, **made}, failures=failures)

    def _all(self, steps: Sequence[Callable[[], Ami]]) -> list[Ami | BakeryError]:
        """Runs the steps in parallel. Returns the AMI or error of each. Raises `Stopped` if interrupted."""

        def tried(step: Callable[[], Ami]) -> Ami | BakeryError:
            try:
                return step()
            except Stopped:
                raise
            except BakeryError as error:
                return error

        return run_all([partial(tried, step) for step in steps])

    def _start(self, source: Ami, region: str) -> Ami:
        """Starts a copy, or continues one of another run. That run started it, or finished it without tags."""
        names = self._names(source)
        named = self.ports.ec2.find_by_name(region, names)
        existing = self._existing_copy(source, region, (*self.planned.found, *named))
        if existing is not None:
            return existing
        failed = self._remove_failed(source, region, named)
        taken = {ami.name for ami in named if ami not in failed}
        return self._start_copy(source, region, [name for name in names if name not in taken] or names[-1:])

    def _existing_copy(self, source: Ami, region: str, known: Iterable[Ami]) -> Ami | None:
        key = self.kms_keys.get(region, "")
        copies = (ami for ami in known if ami.region == region and ami.source == source.id and ami.kms_key == key)
        return newest(ami for ami in copies if ami.available or ami.state is AmiState.PENDING)

    def _remove_failed(self, source: Ami, region: str, known: Iterable[Ami]) -> tuple[Ami, ...]:
        """Removes failed copies, which would accumulate and block their names."""
        failed = tuple(
            ami for ami in known if ami.region == region and ami.source == source.id and ami.state is AmiState.FAILED
        )
        remove_amis(self.ports, self.waiter.image, failed, "a failed copy")
        return failed

    def _names(self, source: Ami) -> list[str]:
        """Returns names to try, in order. AMI names must be unique in a region and account."""
        now = f"{self.ports.clock.now():%Y%m%dT%H%M%S}"
        suffixes = ("", f"-{source.id}", f"-{source.id}-{now}")
        return [source.name[: _NAME_LENGTH - len(suffix)] + suffix for suffix in suffixes]

    def _start_copy(self, source: Ami, region: str, names: Sequence[str]) -> Ami:
        """Starts a copy with the first free name. Returns an existing copy of this source if it has such a name."""
        tags = self._tags(source, region)
        request = CopyRequest(
            source=source,
            region=region,
            name=names[0],
            tags=tags,
            snapshot_tags=snapshot_tags(tags, dict(self._desired_state.tags)),
            kms_key=self.kms_keys.get(region, ""),
        )
        try:
            copy = self.ports.ec2.copy(request)
        except NameTakenError:
            existing = self._existing_copy(source, region, self.waiter.wait_named(region, names[0]))
            if existing is not None:
                return existing
            if len(names) < 2:
                raise
            return self._start_copy(source, region, names[1:])
        return Ami(id=copy, region=region, name=names[0], state=AmiState.PENDING, created=None, owner=source.owner)

    def _finish(self, source: Ami, copy: Ami, waiting: _Waiting) -> Ami:
        clock, reporter = self.ports.clock, self.ports.reporter
        try:
            ami = self.waiter.wait_available(
                copy, meanwhile=lambda: reporter.update(self.waiter.image, waiting.describe(clock.monotonic()))
            )
        except AwsError as error:
            if not self._remove_failed(source, copy.region, self.ports.ec2.find_by_id(copy.region, [copy.id])):
                raise
            key = self.kms_keys.get(copy.region, "")
            todo = "Check CloudTrail for the reason, then run again: the copy is started again."
            if key:
                todo = f"Check that the key {key} exists, and that these credentials may use it. {todo}"
            raise error.revised(todo=todo) from error
        finally:
            if waiting.done(copy.region):
                self.waiter.step(waiting.describe(clock.monotonic()))
        return self._complete_tags(source, ami)

    def _complete_tags(self, source: Ami, copy: Ami) -> Ami:
        """Adds missing tags. A new copy is created with all tags; a copy that another run started may lack some."""
        tags = self._tags(source, copy.region)
        if copy.test_failed:
            tags[TEST_FAILED_TAG] = ""
        if any(copy.tags.get(name) != value for name, value in tags.items()):
            if copy.snapshots:
                self.ports.ec2.tag(copy.region, copy.snapshots, snapshot_tags(tags, dict(self._desired_state.tags)))
            self.ports.ec2.tag(copy.region, [copy.id], tags)
        if copy.test_failed:
            with suppress(AwsError):  # an empty tag does not count
                self.ports.ec2.drop_empty_tags(copy.region, [copy.id], [TEST_FAILED_TAG])
        return replace(copy, tags={**copy.tags, **tags})

    def _tags(self, source: Ami, region: str) -> dict[str, str]:
        return copied_tags(source.tags, self._desired_state.ami_tags, self.kms_keys.get(region, ""))

    @property
    def _desired_state(self) -> DesiredState:
        return DesiredState.of(self.planned.definition.image)


def copy_to_regions(
    resolver: Resolver, planned: Planned, waiter: AmiWaiter, amis: Mapping[str, Ami], source: Ami | None
) -> Copies:
    """Copies `source` to the image's regions that are not in `amis`.

    An AMI that Packer created does not count in a region whose copy must have another KMS key.
    """
    kms_keys = resolver.kms_keys(planned.definition.image)
    right = {region: ami for region, ami in amis.items() if ami.kms_key == kms_keys.get(region, ami.kms_key)}
    assert source is not None, f"nothing of {planned.plan.image} is there to be copied"
    return Regions(resolver.ports, planned, waiter, kms_keys).copy_to_all(right, source)
