"""Waits until EC2 shows what it was asked for: it is eventually consistent, and an AMI takes its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ami_bakery.core.ec2.image import Ami, AmiState
from ami_bakery.errors import AwsError, BusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ami_bakery.bake.slots import WaitPolicy
    from ami_bakery.ports import Ports

BUSY_TODO = "Run again later, or wait longer (--wait-timeout, no --no-wait): its AMI is the answer then."
_POLL_SECONDS = 5.0
_WAIT_SECONDS = 60 * 60.0
"""EC2 takes minutes for an AMI of some GB, and up to an hour for one of some hundred GB."""
_SIGHT_SECONDS = 60.0
"""How long EC2 may take to show an AMI that it has made."""


@dataclass(frozen=True, slots=True)
class AmiWaiter:
    """What can be seen in EC2 for one image."""

    ports: Ports
    image: str

    def step(self, text: str) -> None:
        self.ports.reporter.step(self.image, text)

    def wait_available(self, ami: Ami, *, meanwhile: Callable[[], None] = lambda: None) -> Ami:
        """`meanwhile` is called each time that it is not available yet."""
        deadline = self.ports.clock.monotonic() + _WAIT_SECONDS
        doing = f"waiting for {ami.id} of image {self.image} in {ami.region}"
        while self.ports.clock.monotonic() < deadline:
            seen = self.seen(ami.region, ami.id)
            if seen is None:
                raise AwsError(doing, "EC2 does not know it any more", "Bake again.")
            if seen.available:
                return seen
            if seen.state is not AmiState.PENDING:
                why = f": {seen.state_reason}" if seen.state_reason else ""
                raise AwsError(
                    doing,
                    f"its state is {seen.state}{why}",
                    f"Deregister {ami.id} if nobody needs it, then bake again.",
                )
            meanwhile()
            self.ports.clock.sleep(_POLL_SECONDS)
        raise AwsError(
            doing,
            f"it is still pending after {_WAIT_SECONDS / 60:.0f} minutes",
            f"Look at {ami.id} in EC2: when it is finished, or deregistered, run again.",
        )

    def wait_for_other_runner(self, pending: Ami, patience: WaitPolicy) -> Ami:
        """One that another run makes: waited for as long as one may wait for others. Raises `BusyError`."""
        self.step(f"waiting for {pending.id} in {pending.region}, which another run makes")
        began = self.ports.clock.monotonic()

        def may_wait() -> None:
            waited, timeout = self.ports.clock.monotonic() - began, patience.timeout
            if not patience.waits or (timeout is not None and waited >= timeout.total_seconds()):
                raise BusyError(
                    f"baking image {self.image}",
                    f"another run makes {pending.id} of {pending.region}, which carries its digest and is pending",
                    BUSY_TODO,
                )

        return self.wait_available(pending, meanwhile=may_wait)

    def seen(self, region: str, ami_id: str) -> Ami | None:
        deadline = self.ports.clock.monotonic() + _SIGHT_SECONDS
        while True:
            found = self.ports.ec2.find_by_id(region, [ami_id])
            if found or self.ports.clock.monotonic() >= deadline:
                return found[0] if found else None
            self.ports.clock.sleep(_POLL_SECONDS)

    def named(self, region: str, name: str) -> tuple[Ami, ...]:
        """Who has a name that EC2 says is taken, as soon as it shows that."""
        deadline = self.ports.clock.monotonic() + _SIGHT_SECONDS
        while not (found := self.ports.ec2.find_by_name(region, [name])) and self.ports.clock.monotonic() < deadline:
            self.ports.clock.sleep(_POLL_SECONDS)
        return found

    def await_gone(self, amis: Iterable[Ami]) -> None:
        """Until EC2 does not show them any more, but not for ever: names are free when their AMIs are gone."""
        deadline = self.ports.clock.monotonic() + _SIGHT_SECONDS
        for ami in amis:
            while self.ports.ec2.find_own(ami.region, [ami.id]) and self.ports.clock.monotonic() < deadline:
                self.ports.clock.sleep(_POLL_SECONDS)

    def seen_own(self, region: str, ami_id: str) -> Ami | None:
        """As `seen`, of this account: another's is not waited for."""
        deadline = self.ports.clock.monotonic() + _SIGHT_SECONDS
        while not (found := self.ports.ec2.find_own(region, [ami_id])):
            if self.ports.clock.monotonic() >= deadline or self.ports.ec2.find_by_id(region, [ami_id]):
                return None
            self.ports.clock.sleep(_POLL_SECONDS)
        return found[0]
