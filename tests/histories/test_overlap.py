"""Slow work runs in parallel: inputs are hashed while EC2 is asked for the source AMI."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from ami_bakery.adapters.terminal.plain_reporter import PlainReporter
from ami_bakery.adapters.terminal.prompt import NoPrompter
from ami_bakery.core.concurrency import in_background
from ami_bakery.core.ec2.ami import Ami
from ami_bakery.define.resolver import Resolver
from ami_bakery.errors import AwsError, SourceError
from ami_bakery.plan.planner import define_all
from ami_bakery.ports import Ec2
from ami_bakery.template.source_tree import Progress, SourceTree
from ami_bakery.values import replace
from ami_bakery.wiring import create_ports, find_bakery_toml
from tests.harness import Harness, json_template

TOML = """\
version = 1
[images.app]
template = "template/app.json"
inputs = ["ami"]
regions = ["us-east-1"]
"""
ENOUGH = 30.0


class SlowEc2:
    """Returns the source AMI only after the first input is hashed."""

    def __init__(self, ec2: Ec2, hashed: threading.Event) -> None:
        self.ec2 = ec2
        self.hashed = hashed
        self.answered = threading.Event()
        self.waited = False
        self.gave_up = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ec2, name)

    def find_matching(self, region: str, owners: Sequence[str], filters: Any, **more: Any) -> tuple[Ami, ...]:
        self.waited = self.hashed.wait(ENOUGH)
        self.gave_up = not self.waited
        try:
            return self.ec2.find_matching(region, owners, filters, **more)
        finally:
            self.answered.set()


class WatchedTree:
    """Becomes slow once the first file is hashed, if it gets the result to wait for.

    closed  whether the reading of files was ended
    """

    def __init__(self, tree: SourceTree, hashed: threading.Event) -> None:
        self.tree = tree
        self.hashed = hashed
        self.count = 0
        self.closed = False
        self.answered: threading.Event | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tree, name)

    def hashes(
        self, paths: Iterable[str], algorithm: str = "sha256", progress: Progress | None = None
    ) -> Iterator[tuple[str, bool]]:
        try:
            for found in self.tree.hashes(paths, algorithm, progress):
                self.count += 1
                self.hashed.set()
                if self.answered is not None and self.count > 1:
                    assert self.answered.wait(ENOUGH)
                    # The result is there; give it a moment to be noticed.
                    time.sleep(0.001)
                yield found
        finally:
            self.closed = True


@pytest.fixture
def here(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> Harness:
    for name, value in harness.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(harness.folder)
    harness.write("template/app.json", json_template())
    harness.write("bakery.toml", TOML)
    for number in range(3):
        harness.write(f"ami/{number}.sh", f"echo {number}\n")
    return harness


@pytest.fixture
def resolver(here: Harness) -> Iterator[Resolver]:
    """Its EC2 is slow, and its tree is watched."""
    config = find_bakery_toml(str(here.folder / "bakery.toml"), "")
    hashed = threading.Event()
    with ExitStack() as stack:
        reporter = PlainReporter(io.StringIO())
        ports = create_ports(config, here.environment, reporter, NoPrompter(), stack, terminal=io.BytesIO())
        ec2: Any = SlowEc2(ports.ec2, hashed)
        tree: Any = WatchedTree(ports.tree, hashed)
        yield Resolver(ports=replace(ports, ec2=ec2, tree=tree), config=config)


def parts(resolver: Resolver) -> tuple[SlowEc2, WatchedTree]:
    ec2: Any = resolver.ports.ec2
    tree: Any = resolver.ports.tree
    return ec2, tree


@pytest.mark.parametrize("kept", [True, False], ids=["for a plan", "for the digest alone"])
def test_inputs_are_hashed_while_the_source_ami_is_looked_up(here: Harness, resolver: Resolver, kept: bool) -> None:
    (definition,) = define_all(resolver, ["app"], kept=kept)
    assert parts(resolver)[0].waited
    assert str(definition.digest) == here.run("digest").answer


def test_unreadable_input_ends_the_run_at_once(here: Harness, resolver: Resolver) -> None:
    """It does not wait for a result that is not used any more."""
    (here.folder / "ami" / "0.sh").unlink()
    (here.folder / "ami" / "0.sh").symlink_to("nowhere")
    with pytest.raises(SourceError, match="nowhere does not exist"):
        define_all(resolver, ["app"])
    ec2, tree = parts(resolver)
    assert (ec2.gave_up, tree.hashed.is_set()) == (False, False), "it is waiting still, and we are not"
    tree.hashed.set()


def test_digest_stops_hashing_ahead_once_the_source_ami_is_known(here: Harness, resolver: Resolver) -> None:
    """A missing source AMI is reported without hashing everything, and no file stays open."""
    for number in range(3000):
        here.write(f"ami/more/{number}", "x")
    template = json_template()
    template["builders"][0]["source_ami_filter"]["filters"]["name"] = "nothing-is-called-so"
    here.write("template/app.json", template)
    ec2, tree = parts(resolver)
    tree.answered = ec2.answered
    with pytest.raises(AwsError, match="no available AMI") as raised:
        define_all(resolver, ["app"], kept=False)
    assert ec2.waited
    assert 0 < tree.count < 3000
    assert tree.closed, "although somebody still holds the exception and what it came through"
    assert raised.traceback


def test_digest_does_not_depend_on_how_much_is_hashed_ahead(here: Harness, resolver: Resolver) -> None:
    """Before, at and after the limit; and an unreadable input after it is reported like one before it."""
    parts(resolver)[1].hashed.set()
    image = resolver.image("app")
    facts = resolver.checked_facts(image)
    wanted = define_all(resolver, ["app"])[0].digest
    for ahead in (0, 1, 2, 3, 4, 5, 100):
        with ExitStack() as stack:
            entries = resolver.entries(image, facts, stack, lambda count, ahead=ahead: count < ahead)  # type: ignore[misc]
            assert resolver.define(image, {}, (facts, entries)).digest == wanted
    (here.folder / "ami" / "2.sh").unlink()
    os.mkfifo(here.folder / "ami" / "2.sh")
    for ahead in (0, 1, 100):
        with ExitStack() as stack, pytest.raises(SourceError, match=r"reading ami/2.sh \(named at bakery.toml:4\)"):
            entries = resolver.entries(image, facts, stack, lambda count, ahead=ahead: count < ahead)  # type: ignore[misc]
            resolver.define(image, {}, (facts, entries))


def test_connection_is_opened_while_the_first_image_is_baked(here: Harness, resolver: Resolver) -> None:
    here.write("bakery.toml", f'{TOML}[images.b]\ntemplate = "template/app.json"\ninputs = ["ami"]\n')
    config = find_bakery_toml(str(here.folder / "bakery.toml"), "")
    expected: list[str | None] = []
    parts(resolver)[0].warm_up = expected.append  # type: ignore[attr-defined]
    for names in (["app", "b"], ["b", "app"], []):
        replace(resolver, config=config).warm_up_ec2(names)
    replace(resolver, config=config, regions=("eu-west-1",)).warm_up_ec2(["b"])
    assert expected == ["us-east-1", None, "eu-west-1"]


def test_failed_call_is_raised_when_the_other_work_is_done() -> None:
    done = []
    failure = AwsError("asking", "no", "Do not.")

    def refuse() -> None:
        raise failure

    with pytest.raises(AwsError) as raised, in_background(refuse):
        done.append("work")
    assert (raised.value, done) == (failure, ["work"])
