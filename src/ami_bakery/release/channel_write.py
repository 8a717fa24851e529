"""Writes AMIs to a channel, and reads them back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.core.channel.parameter import (
    MAX_VERSIONS,
    Blocked,
    ChannelParameter,
    Obstacle,
    Unchanged,
    WriteVersion,
    channel_description,
    decide_write,
)
from ami_bakery.core.concurrency import run_all
from ami_bakery.errors import AwsError, BakeryError
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from ami_bakery.core.channel.parameter import ChannelVersion, ChannelWrite
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.ports import Ports
    from ami_bakery.release.channel_lock import HeldChannel

_POLL_SECONDS = 1.0
_RETRIED = frozenset({"TooManyUpdates", "ParameterAlreadyExists"})
"""A write of this parameter is in progress: our own, whose response was lost, or another one."""


class ChannelTarget(Frozen):
    """A channel, and the AMI that it gets in each region.

    timeout     how long SSM may take to show the AMI
    rolls_back  whether this is a roll-back; its target is recorded on the lock before the first write
    """

    image: str
    channel: str
    parameter: str
    amis: Mapping[str, Ami]
    timeout: timedelta
    adopt: bool = False
    rolls_back: bool = False


class RegionChange(Frozen):
    """What happened to a channel in one region.

    previous  the AMI before; empty if there was no parameter
    version   of the parameter; None if the write failed
    """

    region: str
    ami: str
    previous: str = ""
    version: int | None = None
    changed: bool = False
    error: BakeryError | None = None


def read_channel(ports: Ports, regions: Sequence[str], name: str) -> tuple[ChannelParameter, ...]:
    """Reads the parameter with its history in each region."""
    history = ports.parameters.history
    found = run_all([partial(history, region, name) for region in regions])
    return tuple(
        ChannelParameter(region=region, name=name, versions=versions)
        for region, versions in zip(regions, found, strict=True)
    )


def write_channel(
    ports: Ports, target: ChannelTarget, parameters: Sequence[ChannelParameter], held: HeldChannel
) -> tuple[RegionChange, ...]:
    """Writes the AMIs, and reads them back. The failure of a region does not stop the others.

    Raises `BakeryError` before the first write if a region has a parameter that must not be written.
    """
    writes = [decide_write(parameter, target.amis[parameter.region].id, adopt=target.adopt) for parameter in parameters]
    for parameter, write in zip(parameters, writes, strict=True):
        if isinstance(write, Blocked):
            raise blocked_error(target, parameter, write)
    pending = [
        _RegionWriter(ports, target, parameter, write, held)
        for parameter, write in zip(parameters, writes, strict=True)
    ]
    if target.rolls_back and any(isinstance(write, WriteVersion) for write in writes):
        first = next(iter(target.amis.values()))
        held.begin_rollback(f"{first.region}:{first.id}")
    for writer in pending:
        writer.write()
    return tuple(writer.confirm() for writer in pending)


def _doing(target: ChannelTarget, region: str) -> str:
    return f"writing {target.amis[region].id} to {target.parameter} in {region}"


def blocked_error(target: ChannelTarget, parameter: ChannelParameter, write: Blocked) -> BakeryError:
    current, region = write.current, parameter.region
    delete = f"aws ssm delete-parameter --region {region} --name {parameter.name}"
    match write.obstacle:
        case Obstacle.OTHER_TYPE:
            wrong = f"a parameter of another type has this name: {current.kind}, {current.data_type}"
            todo = f"Use another channel. SSM cannot change the type; if the parameter is unused, delete it: {delete}"
            return AwsError(_doing(target, region), wrong, todo)
        case Obstacle.FOREIGN:
            wrong = f"ami-bakery did not create the parameter that has this name{_writer(current)}"
            todo = "Use another channel, or overwrite it with --adopt."
            return AwsError(_doing(target, region), wrong, todo)
        case Obstacle.FULL:
            return _full(target, region, current)


def _full(target: ChannelTarget, region: str, oldest: ChannelVersion) -> AwsError:
    labels = " ".join(oldest.labels)
    return AwsError(
        _doing(target, region),
        f"SSM keeps {MAX_VERSIONS} versions of a parameter, and cannot delete the oldest, version {oldest.number}, "
        f"because it has a label: {labels}",
        f"Remove it, then run again: aws ssm unlabel-parameter-version --region {region} --name {target.parameter} "
        f"--parameter-version {oldest.number} --labels {labels}",
        code="ParameterMaxVersionLimitExceeded",
    )


def _writer(version: ChannelVersion) -> str:
    return f"; it was written by {version.user}" if version.user else ""


class _RegionWriter:
    """Writes the parameter of one region, and reads it back."""

    def __init__(
        self, ports: Ports, target: ChannelTarget, parameter: ChannelParameter, write: ChannelWrite, held: HeldChannel
    ) -> None:
        self._ports, self._target, self._parameter, self._held = ports, target, parameter, held
        self._write = write
        self._region = parameter.region
        self._ami = target.amis[parameter.region].id
        self._deadline = 0.0
        self._version: int | None = write.version if isinstance(write, Unchanged) else None
        self._error: BakeryError | None = None

    def write(self) -> None:
        """Requests the write. Waits while another write of this parameter is in progress."""
        self._deadline = self._ports.clock.monotonic() + self._target.timeout.total_seconds()
        try:
            while isinstance(self._write, WriteVersion) and self._version is None:
                self._held.confirm()
                self._version = self._put(self._write)
        except BakeryError as error:
            self._error = error

    def _put(self, write: WriteVersion) -> int | None:
        target = self._target
        description = channel_description(target.image, target.channel, rolled_back=target.rolls_back)
        overwrite = write.previous is not None
        try:
            return self._ports.parameters.put(
                self._region, self._parameter.name, self._ami, description, overwrite=overwrite
            )
        except AwsError as error:
            if error.code not in _RETRIED or self._ports.clock.monotonic() >= self._deadline:
                raise
        self._ports.clock.sleep(_POLL_SECONDS)
        versions = self._ports.parameters.history(self._region, self._parameter.name)
        now = ChannelParameter(region=self._region, name=self._parameter.name, versions=versions)
        decided = decide_write(now, self._ami, adopt=self._target.adopt)
        match decided:
            case Unchanged(version=version):
                return version
            case Blocked():
                raise blocked_error(self._target, now, decided)
            case WriteVersion():
                self._write = decided
                return None

    def confirm(self) -> RegionChange:
        """Waits until SSM shows our AMI and version."""
        changed = isinstance(self._write, WriteVersion)
        if self._error is None and changed:
            try:
                self._read_back()
            except BakeryError as error:
                self._error = error
        return RegionChange(
            region=self._region,
            ami=self._ami,
            previous=self._parameter.value,
            version=self._version if self._error is None else None,
            changed=changed and self._error is None,
            error=self._error,
        )

    def _read_back(self) -> None:
        assert self._version is not None
        clock, name = self._ports.clock, self._parameter.name
        while True:
            shown = self._ports.parameters.current(self._region, name)
            if shown is not None and shown[0] >= self._version:
                if shown[1] == self._ami:
                    self._version = shown[0]
                    return
                raise AwsError(
                    _doing(self._target, self._region),
                    f"another program wrote version {shown[0]} of the parameter at the same time",
                    "Find out who writes it (`ami-bakery channels --history`), then run again.",
                )
            if clock.monotonic() >= self._deadline:
                raise self._not_shown(shown)
            clock.sleep(_POLL_SECONDS)

    def _not_shown(self, shown: tuple[int, str] | None) -> AwsError:
        has = f"it still has version {shown[0]}" if shown is not None else "it does not exist"
        seconds = self._target.timeout.total_seconds()
        return AwsError(
            _doing(self._target, self._region),
            f"SSM accepted version {self._version}, but after {seconds:.0f} s {has}. SSM drops a value without an "
            "error if it finds no such AMI",
            f"Check that {self._ami} exists in {self._region} and that these credentials may call ec2:DescribeImages, "
            "then run again. If SSM is slow, allow more time with --timeout.",
        )
