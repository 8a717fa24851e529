"""Waits for EC2's eventual consistency, and for AMIs to become available."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ami_bakery.core.ec2.ami import Ami, AmiState
from ami_bakery.errors import AwsError, BusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ami_bakery.bake.build_slots import WaitPolicy
    from ami_bakery.ports import Ports

BUSY_TODO = "Run again later, or wait longer (--wait-timeout, without --no-wait): its AMI is reused then."
_POLL_SECONDS = 5.0
_WAIT_SECONDS = 60 * 60.0
"""EC2 needs minutes for an AMI of some GB, and up to an hour for several hundred GB."""
_VISIBLE_SECONDS = 60.0
"""How long EC2 may take to show a new AMI."""


@dataclass(frozen=True, slots=True)
class AmiWaiter:
    """Waits for AMIs of one image."""

    ports: Ports
    image: str

    def step(self, text: str) -> None:
        self.ports.reporter.step(self.image, text)

    def wait_available(self, ami: Ami, *, meanwhile: Callable[[], None] = lambda: None) -> Ami:
        """Waits until the AMI is available. Calls `meanwhile` before each pause."""
        deadline = self.ports.clock.monotonic() + _WAIT_SECONDS
        doing = f"waiting for {ami.id} of image {self.image} in {ami.region}"
        while self.ports.clock.monotonic() < deadline:
            seen = self.wait_visible(ami.region, ami.id)
            if seen is None:
                raise AwsError(doing, "it does not exist any more", "Bake again.")
            if seen.available:
                return seen
            if seen.state is not AmiState.PENDING:
                why = f": {seen.state_reason}" if seen.state_reason else ""
                raise AwsError(
                    doing,
                    f"its state is {seen.state}{why}",
                    f"Deregister {ami.id} if it is not needed, then bake again.",
                )
            meanwhile()
            self.ports.clock.sleep(_POLL_SECONDS)
        raise AwsError(
            doing,
            f"it is still pending after {_WAIT_SECONDS / 60:.0f} minutes",
            f"Check {ami.id} in EC2; run again when it is available or deregistered.",
        )

    def wait_for_other_runner(self, pending: Ami, wait_policy: WaitPolicy) -> Ami:
        """Waits for an AMI that another run is creating. Raises `BusyError` if the wait policy does not allow it."""
        self.step(f"waiting for {pending.id} in {pending.region}, which another run is creating")
        began = self.ports.clock.monotonic()

        def may_wait() -> None:
            waited, timeout = self.ports.clock.monotonic() - began, wait_policy.timeout
            if not wait_policy.waits or (timeout is not None and waited >= timeout.total_seconds()):
                raise BusyError(
                    f"baking image {self.image}",
                    f"another run is creating {pending.id} of {pending.region}, which has its digest",
                    BUSY_TODO,
                )

        return self.wait_available(pending, meanwhile=may_wait)

    def wait_visible(self, region: str, ami_id: str) -> Ami | None:
        """Returns the AMI as soon as EC2 shows it; None after a minute."""
        deadline = self.ports.clock.monotonic() + _VISIBLE_SECONDS
        while True:
            found = self.ports.ec2.find_by_id(region, [ami_id])
            if found or self.ports.clock.monotonic() >= deadline:
                return found[0] if found else None
            self.ports.clock.sleep(_POLL_SECONDS)

    def wait_named(self, region: str, name: str) -> tuple[Ami, ...]:
        """Returns the AMIs with a name, as soon as they are visible. EC2 has refused the name as in use."""
        deadline = self.ports.clock.monotonic() + _VISIBLE_SECONDS
        while not (found := self.ports.ec2.find_by_name(region, [name])) and self.ports.clock.monotonic() < deadline:
            self.ports.clock.sleep(_POLL_SECONDS)
        return found

    def wait_gone(self, amis: Iterable[Ami]) -> None:
        """Waits until EC2 does not show the AMIs any more. Only then are their names free. Waits at most a minute."""
        deadline = self.ports.clock.monotonic() + _VISIBLE_SECONDS
        for ami in amis:
            while self.ports.ec2.find_own(ami.region, [ami.id]) and self.ports.clock.monotonic() < deadline:
                self.ports.clock.sleep(_POLL_SECONDS)

    def wait_own_visible(self, region: str, ami_id: str) -> Ami | None:
        """Returns this account's AMI as soon as EC2 shows it.

        Returns None after a minute, or immediately if another account owns it.
        """
        deadline = self.ports.clock.monotonic() + _VISIBLE_SECONDS
        while not (found := self.ports.ec2.find_own(region, [ami_id])):
            if self.ports.clock.monotonic() >= deadline or self.ports.ec2.find_by_id(region, [ami_id]):
                return None
            self.ports.clock.sleep(_POLL_SECONDS)
        return found[0]
