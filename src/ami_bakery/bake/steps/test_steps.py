"""The steps that test an AMI with Packer."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, assert_never

from ami_bakery.bake.ami_tagger import was_finished
from ami_bakery.bake.packer_run import PackerRun
from ami_bakery.core.config.model import OnFailure
from ami_bakery.core.definition.stamp import replaced
from ami_bakery.core.ec2.ami import ORIGIN_TAG
from ami_bakery.core.lock.lock import FAILED_TEST_TAG
from ami_bakery.core.lock.protocol_steps import AmisAbandoned, AmiTested, MarkFailed, ProtocolEvent, RunTest
from ami_bakery.core.plan.describe import describe_duration
from ami_bakery.core.plan.plan import Action
from ami_bakery.define.input_collection import collect_stamps
from ami_bakery.define.test_definition import define_test, settings_of_test
from ami_bakery.errors import AwsError, BakeryError, FailedTestError, PackerError, SourceError
from ami_bakery.plan.build_request import request_for_test
from ami_bakery.values import Frozen, replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ami_bakery.bake.bake_state import BakeState
    from ami_bakery.core.definition.stamp import Stamps
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.lock.protocol_steps import StepResult, TestStep
    from ami_bakery.core.packer.build_progress import CreatedResource
    from ami_bakery.define.test_definition import TestDefinition
    from ami_bakery.ports import Ports

_STOP_AGAIN_SECONDS = 1.0
"""Packer may be about to start when the time has passed, so it is stopped again."""


class FailedTest(Frozen):
    """A test that failed.

    of_ami  whether the AMI may be the reason; if not, it was not tested
    """

    error: BakeryError
    on_failure: OnFailure
    of_ami: bool = True


class TestSteps:
    """Carries out the test of one bake."""

    __test__ = False

    def __init__(self, state: BakeState) -> None:
        self._state = state
        self._ports = state.ports
        self._digest = ""

    def carry_out(self, step: TestStep) -> StepResult:
        """Carries out one step. Raises `BakeryError`."""
        match step:
            case RunTest():
                return self._run_test()
            case MarkFailed():
                return self._mark_failed()
            case _:
                assert_never(step)

    def _run_test(self) -> StepResult:
        state = self._state
        assert state.held is not None and state.tagger is not None
        home = state.amis[state.home]
        if not state.held.confirm():
            return ProtocolEvent.LOST
        if state.planned.plan.action is Action.TEST:
            state.report_plan()
        try:
            test, stamps = self._define()
            self._digest = test.digest.hex
            failed = self._run(test, home)
            if failed is None:
                self._check_inputs(test, stamps)
        except BakeryError as error:
            if state.held.lost:
                return ProtocolEvent.LOST
            if isinstance(error, AwsError):
                raise self._not_tested(error, home) from error
            raise
        if state.held.lost:
            return ProtocolEvent.LOST
        state.failed_test = failed
        if failed is None:
            state.tagger.tested = test.digest.hex
        return AmiTested(passed=failed is None)

    def _not_tested(self, error: AwsError, ami: Ami) -> AwsError:
        """Returns the error with the state of the AMI. The lock of a new AMI keeps the record that it is verified."""
        found = self._state.planned.plan.action is Action.TEST
        remains = "remains" if found else "and its expired lock remain"
        return error.revised(todo=f"{error.todo} {ami.id} of {ami.region} {remains}; the next run tests the AMI.")

    def _define(self) -> tuple[TestDefinition, Stamps]:
        """Defines the test again. Reads the stamps first, so that no change is missed."""
        state = self._state
        image = state.planned.definition.image
        assert image.test is not None
        settings = settings_of_test(state.resolver.settings(image), image.test)
        stamps = collect_stamps(settings, settings.facts())
        test = define_test(state.resolver, image)
        assert test is not None
        if "plugin-versions" in test.image.digest_exclude:
            # Nothing has resolved the plugins yet, so those that the template requires may not be installed.
            settings.plugins(test.facts)
        return test, stamps

    def _run(self, test: TestDefinition, ami: Ami) -> FailedTest | None:
        """Runs Packer. Returns the failure of the test, if any. Raises `BakeryError` if it could not run."""
        state, ports = self._state, self._ports
        definition = replace(state.planned.definition, test=test)
        request = request_for_test(state.resolver, definition, ami.id, state.home)
        run = PackerRun(
            ports=ports, run=state.run, record=state.record, facts=test.facts, home=state.home, needs_no_ami=True
        )
        created: list[CreatedResource] = []
        error: PackerError | None = None
        with _limit(ports, state.image, test.test.timeout.total_seconds()) as exceeded:
            try:
                built = run.carry_out(request, created)
            except PackerError as failure:
                if ports.packer.interrupted() or not failure.exited:
                    raise
                error = failure
            else:
                for tolerated in built.tolerated:
                    ports.reporter.warn(
                        f"{state.image}: {tolerated.step or 'a provisioner'} of its test failed with "
                        f"{tolerated.error}, and the template lets the test continue (continue_on_error)"
                    )
        if error is not None and exceeded.is_set():
            limit = describe_duration(test.test.timeout)
            wrong = f"it took longer than the limit of {limit} (timeout), so Packer was stopped\n{error.wrong}"
            error = PackerError(error.doing, wrong, f"Make the test faster, or set a longer `timeout`. {error.todo}")
        elsewhere = None if state.held is not None and state.held.lost else self._tested_elsewhere(run, created, ami)
        if elsewhere is not None:
            return FailedTest(error=elsewhere, on_failure=OnFailure.KEEP, of_ami=False)
        return FailedTest(error=error, on_failure=test.test.on_failure) if error is not None else None

    def _tested_elsewhere(self, run: PackerRun, created: list[CreatedResource], ami: Ami) -> BakeryError | None:
        """Returns an error if the test started another AMI."""
        for region, instances in run.instances(created).items():
            sources = self._ports.temporary_resources.source_amis(region, instances)
            wrong = sorted({source for source in sources.values() if source != ami.id})
            if wrong:
                return FailedTestError(
                    f"testing {ami.id} of image {self._state.image}",
                    f"its test started an instance from {', '.join(wrong)} in {region}, not from {ami.id}",
                    "Use the variable source_ami as the source_ami of every builder of the test's template.",
                )
        return None

    def _check_inputs(self, test: TestDefinition, stamps: Stamps) -> None:
        """Raises if an input of the test changed while it ran."""
        again, now = self._define()
        tree = self._ports.tree
        changes = [f"{tree.relative(change.path)} {change.how}" for change in replaced(stamps, now)][:3]
        if again.digest != test.digest and not changes:
            changes = ["its definition changed"]
        if changes:
            raise SourceError(
                f"verifying after the test of image {self._state.image} that its inputs are unchanged",
                f"{'; '.join(changes)} while Packer ran",
                "Run again when nothing changes the inputs of the test; the AMI is tested again, not built.",
            )

    def _mark_failed(self) -> StepResult:
        state = self._state
        failed = state.failed_test
        assert failed is not None and state.held is not None and state.tagger is not None
        self._state.waiter.step("marking the AMI as failed")
        removes = failed.on_failure is OnFailure.REMOVE and not any(map(was_finished, state.amis.values()))
        try:
            if removes:
                marked = state.tagger.mark_abandoned(state.amis.values(), state.held.tag)
            else:
                copies = (ami for ami in state.planned.found if ami.carries(state.digest) and ORIGIN_TAG in ami.tags)
                marked = state.tagger.mark_failed((*state.amis.values(), *copies), state.held.tag)
        except AwsError as error:
            raise self._unmarked(error, failed) from error
        if marked:
            self._notify_waiting()
            self._advise(failed, removes=removes)
            return AmisAbandoned(tuple(ami.id for ami in state.amis.values())) if removes else ProtocolEvent.DONE
        if not state.held.renew(retry=True):
            state.failed_test = None
            return ProtocolEvent.LOST
        home = state.amis[state.home]
        state.amis = {region: ami for region, ami in state.amis.items() if region != state.home}
        raise FailedTestError(
            failed.error.doing,
            f"{home.id} does not exist any more: it was deregistered during its test\n{failed.error.wrong}",
            "Bake again.",
        )

    def _notify_waiting(self) -> None:
        """Records the failure on the lock, and keeps the lock until every waiting runner has read it. Best effort."""
        state = self._state
        assert state.held is not None
        with suppress(AwsError):
            state.held.record({FAILED_TEST_TAG: self._digest})
            self._ports.clock.sleep(state.timing.notice_seconds)

    def _advise(self, failed: FailedTest, *, removes: bool) -> None:
        """Adds the state of the AMIs and advice to the error."""
        amis = ", ".join(f"{ami.id} of {ami.region}" for ami in self._state.amis.values())
        error = failed.error
        if removes:
            todo = f"on_failure removes {amis}. Fix the image or its test, and bake again."
        elif failed.of_ami:
            todo = f"{amis} is kept without the digest. Fix the test, and run again: the AMI is tested, not built."
        else:
            todo = f"{amis} is kept without the digest; the next run tests it again."
        advised = error.revised(todo=f"{error.todo} {todo}".strip())
        self._state.failed_test = replace(failed, error=advised)

    def _unmarked(self, error: AwsError, failed: FailedTest) -> AwsError:
        home = self._state.amis[self._state.home]
        return error.revised(
            wrong=f"{error.wrong}\n{failed.error}",
            todo=f"{failed.error.todo} {home.id} of {home.region} remains; the next run tests it again.",
        )


@contextmanager
def _limit(ports: Ports, image: str, seconds: float) -> Iterator[threading.Event]:
    """Stops Packer after this time, as an interruption does. The event is set if the time has passed."""
    ended, exceeded = threading.Event(), threading.Event()

    def watch() -> None:
        pause = seconds
        while not ended.wait(pause):
            pause = _STOP_AGAIN_SECONDS
            if image in ports.packer.running_builds():
                exceeded.set()
                ports.packer.stop(image)

    thread = threading.Thread(target=watch, name=f"limits the test of {image}", daemon=True)
    thread.start()
    try:
        yield exceeded
    finally:
        ended.set()
        thread.join()
