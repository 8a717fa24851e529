"""The state that all steps of one bake share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.bake.ami_tagger import AmiTagger
from ami_bakery.bake.baker import Baker
from ami_bakery.bake.waiters import AmiWaiter
from ami_bakery.core.lock.lock import lock_timing
from ami_bakery.core.plan.describe import reason_lines
from ami_bakery.core.plan.tested import AmiTestState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ami_bakery.bake.build_slots import BuildSlot, WaitPolicy
    from ami_bakery.bake.held_lock import HeldLock
    from ami_bakery.bake.steps.test_steps import FailedTest
    from ami_bakery.core.definition.stamp import Stamps
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.lock.lock import LockRecord
    from ami_bakery.core.plan.outcome import Copies
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.plan.planner import Planned


class BakeState:
    """The state of one bake, which each step changes. One thread carries out all steps.

    forced      the images to bake even if an AMI exists
    known       the AMIs of the parent images
    slot        the build slot, which is released while the image waits for another runner
    held        our lock
    seen_lock   the last lock of the digest that EC2 showed
    stamps      the status of the inputs before they were hashed
    amis        our verified AMIs, by region
    abandoned   AMIs of other runs that this bake removes
    enabled     AMIs in quarantine that this bake has enabled
    reported    whether the error already names `amis`
    publishing  whether the AMI is finished, so that only copies or its visibility are missing
    retested    whether an AMI is tested although it passed the current test
    failed_test the failure of the last test, if any
    """

    def __init__(
        self,
        resolver: Resolver,
        planned: Planned,
        *,
        forced: frozenset[str],
        known: Mapping[str, Ami | None],
        slot: BuildSlot,
        wait_policy: WaitPolicy,
        retested: bool = False,
    ) -> None:
        assert planned.plan.digest is not None
        self.resolver = resolver
        self.ports = resolver.ports
        self.planned = planned
        self.image = planned.plan.image
        self.digest = planned.plan.digest
        self.home = planned.plan.regions[0]
        self.forced = forced
        self.known = known
        self.slot = slot
        self.wait_policy = wait_policy
        self.timing = lock_timing(self.ports.environment)
        self.run = self.ports.new_run()
        self.waiter = AmiWaiter(self.ports, self.image)
        self.held: HeldLock | None = None
        self.seen_lock: LockRecord | None = None
        self.baker: Baker | None = None
        self.stamps: Stamps | None = None
        self.amis: Mapping[str, Ami] = {}
        self.abandoned: tuple[Ami, ...] = ()
        self.enabled: tuple[Ami, ...] = ()
        self.copies: Copies | None = None
        self.reported = False
        self.publishing = False
        self.retested = retested
        self.tagger: AmiTagger | None = None
        self.failed_test: FailedTest | None = None

    @property
    def must_test(self) -> bool:
        """Whether the AMI of the plan is to be tested."""
        return bool(self.planned.plan.test) and (self.retested or self.planned.plan.tested is not AmiTestState.PASSED)

    def settling_seconds(self) -> float:
        """Returns the seconds until the settling time of our lock ends; 0 or less if it has ended."""
        return self.timing.settling_seconds - self.held.held_seconds if self.held is not None else 0.0

    def describe_holder(self, otherwise: str) -> str:
        """Returns the holder that EC2 showed last. Returns `otherwise` if EC2 showed none."""
        return self.seen_lock.describe() if self.seen_lock is not None else otherwise

    def new_baker(self) -> Baker:
        """Returns a baker for the current plan. It records its resources on our lock."""
        self.baker = Baker(
            self.resolver, self.planned, self.waiter, run=self.run, record=self.record, stamps=self.stamps
        )
        self.tagger = AmiTagger(self.baker)
        return self.baker

    def record(self, records: Mapping[str, str]) -> None:
        """Records resources on our lock."""
        if self.held is not None:
            self.held.record(records)

    def report_plan(self) -> None:
        """Reports the action and its reasons."""
        because = "; ".join(reason_lines(self.planned.plan.reasons))
        self.ports.reporter.note(f"{self.image}: {self.planned.plan.action}: {because}")
