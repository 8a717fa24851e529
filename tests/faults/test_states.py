"""AMIs that stay pending, or are visible late: waiting ends, and the message names the AMI."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from ami_bakery.bake.build_slots import WaitPolicy
from ami_bakery.bake.waiters import AmiWaiter
from ami_bakery.core.ec2.ami import Ami, AmiState
from ami_bakery.errors import AwsError, BusyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ami_bakery.ports import Ports


class Hurried:
    """A clock on which waiting takes no time."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class Showing:
    """An EC2 that shows one AMI, from a given time on."""

    def __init__(self, clock: Hurried, ami: Ami, *, after_seconds: float = 0) -> None:
        self.clock, self.ami, self.after_seconds, self.asked = clock, ami, after_seconds, 0

    def find_own(self, _region: str, ids: Sequence[str]) -> tuple[Ami, ...]:
        """Shows a deregistered AMI until that time."""
        return (self.ami,) if self.ami.id in ids and self.clock.seconds < self.after_seconds else ()

    def find_by_id(self, _region: str, ids: Sequence[str]) -> tuple[Ami, ...]:
        self.asked += 1
        return (self.ami,) if self.ami.id in ids and self.clock.seconds >= self.after_seconds else ()


class Quiet:
    def step(self, _image: str, _text: str) -> None:
        pass


def ami(state: AmiState) -> Ami:
    return Ami(id="ami-1", region="eu-west-1", name="app", state=state, created=None, owner="111122223333")


def sight(clock: Hurried, ec2: Showing) -> AmiWaiter:
    return AmiWaiter(cast("Ports", SimpleNamespace(clock=clock, ec2=ec2, reporter=Quiet())), "app")


def test_ami_that_stays_pending_is_reported_after_an_hour() -> None:
    clock = Hurried()
    ec2 = Showing(clock, ami(AmiState.PENDING))
    with pytest.raises(AwsError) as refused:
        sight(clock, ec2).wait_available(ec2.ami)
    assert refused.value.wrong == "it is still pending after 60 minutes"
    assert "ami-1" in refused.value.todo
    assert 3600 <= clock.seconds < 3700
    assert ec2.asked == 720


def test_new_ami_that_is_visible_late_is_waited_for() -> None:
    clock = Hurried()
    ec2 = Showing(clock, ami(AmiState.AVAILABLE), after_seconds=30)
    assert sight(clock, ec2).wait_available(ec2.ami).available
    assert 30 <= clock.seconds < 40


def test_wait_for_a_missing_ami_ends() -> None:
    clock = Hurried()
    ec2 = Showing(clock, ami(AmiState.AVAILABLE), after_seconds=1000)
    with pytest.raises(AwsError, match="it does not exist any more"):
        sight(clock, ec2).wait_available(ec2.ami)
    assert clock.seconds < 100


@pytest.mark.parametrize(("shown_seconds", "waited_seconds"), [(0, 0), (20, 20), (1000, 60)])
def test_removed_ami_that_is_still_visible_is_waited_for_within_a_limit(
    shown_seconds: int, waited_seconds: int
) -> None:
    """Its name is free only once it is gone: Packer would refuse it."""
    clock = Hurried()
    ec2 = Showing(clock, ami(AmiState.AVAILABLE), after_seconds=shown_seconds)
    sight(clock, ec2).wait_gone([ec2.ami])
    assert clock.seconds == waited_seconds


@pytest.mark.parametrize("wait_policy", [WaitPolicy(waits=False), WaitPolicy(timeout=timedelta(seconds=30))])
def test_runner_that_may_not_wait_does_not_wait_for_a_pending_ami_of_another_run(wait_policy: WaitPolicy) -> None:
    clock = Hurried()
    ec2 = Showing(clock, ami(AmiState.PENDING))
    with pytest.raises(BusyError) as refused:
        sight(clock, ec2).wait_for_other_runner(ec2.ami, wait_policy)
    assert "another run is creating ami-1 of eu-west-1" in str(refused.value)
    assert clock.seconds == (30 if wait_policy.waits else 0)
