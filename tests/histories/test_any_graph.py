"""Bakes any graph of images with any set of failures.

The tests use the embedded EC2 and an instant Packer. Everything else is real: planning, locks, look-ups, tags. This
Packer has only the effects of `packer build`, and refuses everything that is not requested here.
"""

from __future__ import annotations

import io
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mypy_boto3_ec2 import EC2Client

from ami_bakery.adapters.terminal.plain_reporter import PlainReporter
from ami_bakery.adapters.terminal.prompt import NoPrompter
from ami_bakery.bake import bake_all
from ami_bakery.core.packer.arguments import parse_packer_arguments
from ami_bakery.core.packer.build_progress import CreatedResource
from ami_bakery.core.packer.machine_output import Artifact, Built, ValidationIssue
from ami_bakery.core.packer.plugins import UsedPlugin
from ami_bakery.core.plan.outcome import Outcome, Result
from ami_bakery.define.resolver import Resolver
from ami_bakery.errors import PackerError, SkippedError
from ami_bakery.ports import BuildRequest, Reporter
from ami_bakery.template.facts import TemplateFacts
from ami_bakery.values import replace
from ami_bakery.wiring import create_ports, find_bakery_toml
from tests.graphs import image_graphs
from tests.harness import Harness
from tests.histories.test_parallel import HEAD, image

MOST = 6
REGION = "us-east-1"


class InstantPacker:
    """Creates an AMI from its source AMI in two calls, or fails; records start and end of each image's build."""

    def __init__(self, ec2: EC2Client, failing: frozenset[str], seed: int) -> None:
        self.ec2 = ec2
        self.failing = failing
        self.pauses = random.Random(seed)
        self.events: list[tuple[str, str]] = []
        self.at_once = 0
        self.most_at_once = 0
        self.lock = threading.Lock()

    def warm_up(self, *, plugins: bool) -> None:
        pass

    def lists_in_filters(self) -> bool:
        return False

    def version(self) -> str:
        return "1.6.6"

    def program(self) -> str:
        return "/usr/bin/packer"

    def check_tracing(self) -> None:
        raise AssertionError("nothing is audited")

    def plugins(
        self, image: str, template: str, workdir: str, facts: TemplateFacts, reporter: Reporter
    ) -> tuple[UsedPlugin, ...]:
        return ()

    def plugin_programs(self, template: str, workdir: str, facts: TemplateFacts) -> tuple[str, ...]:
        return ()

    def forget_plugins(self) -> None:
        pass

    def build(self, request: BuildRequest, reporter: Reporter, made: Callable[[CreatedResource], None]) -> Built:
        with self.lock:
            self.events.append(("began", request.image))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            pause = self.pauses.choice((0.0, 0.02, 0.05))
        time.sleep(pause)
        try:
            if request.image in self.failing:
                raise PackerError(f"baking image {request.image}", "it was told to fail", "Tell it otherwise.")
            return Built(artifacts=(Artifact(builder="amazon-ebs", region=REGION, ami=self._image(request)),))
        finally:
            with self.lock:
                self.at_once -= 1
                self.events.append(("ended", request.image))

    def _image(self, request: BuildRequest) -> str:
        """Without a `source_ami` variable, uses the newest AMI of the template's filter."""
        base = dict(request.variables).get("source_ami") or self._newest()
        instance = self.ec2.run_instances(ImageId=base, InstanceType="t3.micro", MinCount=1, MaxCount=1)["Instances"][0]
        name = f"{request.image}-{instance['InstanceId']}"
        ami = self.ec2.create_image(InstanceId=instance["InstanceId"], Name=name)["ImageId"]
        self.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
        return ami

    def _newest(self) -> str:
        jammy: Any = {"Name": "name", "Values": ["ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*"]}
        found = self.ec2.describe_images(Owners=["099720109477"], Filters=[jammy])["Images"]
        return max(found, key=lambda one: one["CreationDate"])["ImageId"]

    def interrupt(self) -> None:
        raise AssertionError("nobody interrupts")

    def stop(self, image: str) -> None:
        raise AssertionError(f"nobody takes the lock of {image}")

    def interrupted(self) -> bool:
        return False

    def running_builds(self) -> Mapping[str, tuple[CreatedResource, ...]]:
        raise AssertionError("nobody is interrupted")

    def why_not_validated(self, request: BuildRequest, facts: TemplateFacts) -> str:
        return ""

    def ssh_accepts_rsa(self) -> bool:
        return True

    def validate(self, request: BuildRequest, *, syntax_only: bool = False) -> tuple[ValidationIssue, ...]:
        return ()


@pytest.fixture
def here(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> Harness:
    """Runs ami-bakery in this process, with the harness's environment and folder."""
    for name, value in harness.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(harness.folder)
    return harness


def bake(harness: Harness, parents: Mapping[str, str | None], packer: InstantPacker, jobs: int) -> list[Outcome]:
    tables = [image(harness, name, base=parent) for name, parent in parents.items()]
    harness.write("bakery.toml", HEAD + "".join(tables))
    config = find_bakery_toml(str(Path(harness.folder, "bakery.toml")), "")
    with ExitStack() as stack:
        reporter = PlainReporter(io.StringIO())
        ports = create_ports(config, harness.environment, reporter, NoPrompter(), stack, terminal=io.BytesIO())
        resolver = Resolver(ports=replace(ports, packer=packer), config=config, arguments=parse_packer_arguments(()))
        return list(bake_all(resolver, list(parents), forced=frozenset(), jobs=jobs))


def downstream(parents: Mapping[str, str | None], failing: frozenset[str]) -> frozenset[str]:
    """Returns the images that depend on a failing one, at any distance."""
    lost: set[str] = set()
    while more := {name for name, parent in parents.items() if parent in lost | failing} - lost:
        lost |= more
    return frozenset(lost)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10, deadline=None)
@given(
    parents=image_graphs(MOST),
    failing=st.sets(st.integers(0, MOST - 1)),
    jobs=st.integers(1, MOST),
    seed=st.integers(0, 1 << 16),
)
def test_every_image_bakes_at_most_once_after_its_parent_and_a_failure_stops_only_its_dependents(
    here: Harness, ec2: EC2Client, parents: dict[str, str | None], failing: set[int], jobs: int, seed: int
) -> None:
    here.control.reset()
    failing_images = frozenset(f"i{number}" for number in failing) & set(parents)
    skipped = downstream(parents, failing_images)
    broken = failing_images - skipped
    packer = InstantPacker(ec2, failing_images, seed)

    outcomes = bake(here, parents, packer, jobs)

    began = [name for event, name in packer.events if event == "began"]
    assert sorted(began) == sorted(set(parents) - skipped), "each once, and none whose base failed"
    for name in began:
        parent = parents[name]
        if parent is not None:
            assert packer.events.index(("ended", parent)) < packer.events.index(("began", name))
    assert packer.most_at_once <= jobs
    assert sorted(outcome.image for outcome in outcomes) == sorted(parents)
    ended = {outcome.image: outcome for outcome in outcomes}
    for name in parents:
        assert (ended[name].result is Result.BAKED) == (name not in broken | skipped), ended[name].error
        assert isinstance(ended[name].error, SkippedError) == (name in skipped)

    again = InstantPacker(ec2, frozenset(), seed)
    repaired = {outcome.image: outcome for outcome in bake(here, parents, again, jobs)}
    assert {name for _, name in again.events} == broken | skipped, "what was finished is not baked again"
    for name in set(parents) - broken - skipped:
        assert repaired[name].amis == ended[name].amis
