"""What takes long goes on side by side: inputs are hashed while EC2 is asked what an image starts from."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from ami_bakery.adapters.person import Nobody
from ami_bakery.adapters.terminal import PlainWatcher
from ami_bakery.core.image import Ami
from ami_bakery.errors import AwsError, SourceError
from ami_bakery.outside import find_bakery_toml, real_outside
from ami_bakery.planning import define_all
from ami_bakery.ports import Ec2, Progress, SourceTree
from ami_bakery.resolve import Definition, Resolver
from ami_bakery.side_by_side import meanwhile
from tests.kitchen import Kitchen, json_template

TOML = """\
version = 1
[images.app]
template = "template/app.json"
inputs = ["ami"]
regions = ["us-east-1"]
"""
ENOUGH = 30.0


class SlowEc2:
    """Does not say what an image starts from before the first input is hashed."""

    def __init__(self, ec2: Ec2, hashed: threading.Event) -> None:
        self.ec2 = ec2
        self.hashed = hashed
        self.waited = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ec2, name)

    def matching(self, region: str, owners: Sequence[str], filters: Any) -> tuple[Ami, ...]:
        assert self.hashed.wait(ENOUGH), "nothing is hashed while EC2 is asked"
        self.waited = True
        return self.ec2.matching(region, owners, filters)


class WatchedTree:
    def __init__(self, tree: SourceTree, hashed: threading.Event) -> None:
        self.tree = tree
        self.hashed = hashed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tree, name)

    def hashes(
        self, paths: Iterable[str], algorithm: str = "sha256", progress: Progress | None = None
    ) -> Iterator[tuple[str, bool]]:
        for found in self.tree.hashes(paths, algorithm, progress):
            self.hashed.set()
            yield found


@pytest.fixture
def here(kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch) -> Kitchen:
    for name, value in kitchen.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(kitchen.folder)
    kitchen.write("template/app.json", json_template())
    kitchen.write("bakery.toml", TOML)
    for number in range(3):
        kitchen.write(f"ami/{number}.sh", f"echo {number}\n")
    return kitchen


def define(kitchen: Kitchen, *, kept: bool) -> tuple[Definition, bool]:
    """And whether EC2 was asked while something was hashed."""
    config = find_bakery_toml(str(kitchen.folder / "bakery.toml"), "")
    hashed = threading.Event()
    with ExitStack() as stack:
        watcher = PlainWatcher(io.StringIO())
        outside = real_outside(config, kitchen.environment, watcher, Nobody(), stack, terminal=io.BytesIO())
        ec2 = SlowEc2(outside.ec2, hashed)
        tree: Any = WatchedTree(outside.tree, hashed)
        resolver = Resolver(outside=replace(outside, ec2=ec2, tree=tree), config=config)
        (definition,) = define_all(resolver, ["app"], kept=kept)
    return definition, ec2.waited


@pytest.mark.parametrize("kept", [True, False], ids=["for a plan", "for the digest alone"])
def test_inputs_are_hashed_while_the_base_is_asked_for(here: Kitchen, kept: bool) -> None:
    definition, waited = define(here, kept=kept)
    assert waited
    assert str(definition.digest) == here.run("digest").answer


def test_an_input_that_cannot_be_read_ends_it_at_once(here: Kitchen) -> None:
    """Nobody waits for an answer that is of no use any more; here it would never come."""
    (here.folder / "ami" / "0.sh").unlink()
    (here.folder / "ami" / "0.sh").symlink_to("nowhere")
    with pytest.raises(SourceError, match="leads to nowhere"):
        define(here, kept=True)


def test_a_failure_to_ask_is_raised_when_the_other_work_is_done() -> None:
    done = []
    failure = AwsError("asking", "no", "Do not.")

    def refuse() -> None:
        raise failure

    with pytest.raises(AwsError) as raised, meanwhile(refuse):
        done.append("work")
    assert (raised.value, done) == (failure, ["work"])
