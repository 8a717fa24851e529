"""Bakes of several images: the final table, and disabled images."""

from __future__ import annotations

import re

import pytest

from ami_bakery.local import InjectedFault
from tests.harness import TOML, Harness
from tests.histories.test_parallel import HEAD, image

OFF = "enabled = false\n"


@pytest.fixture
def two(harness: Harness) -> Harness:
    harness.write("bakery.toml", HEAD + image(harness, "base") + image(harness, "app", "exit 3", base="base"))
    return harness


def test_bake_of_several_images_ends_with_a_table(two: Harness) -> None:
    run = two.run("bake", "--json")
    table = run.stderr[run.stderr.index("IMAGE") :].splitlines()
    amis = {item["image"]: item["amis"] for item in run.images}
    assert re.fullmatch(r"IMAGE +OUTCOME +AMI +TIME +REASON", table[0])
    assert re.fullmatch(rf"base +baked +{amis['base']['us-east-1']} +\d+:\d\d +never baked", table[1])
    assert re.fullmatch(r"app +failed +- +\d+:\d\d +Packer exited with status 1", table[2])
    assert max(map(len, table)) <= 80


def test_quiet_bake_and_single_image_bake_print_no_table(app: Harness) -> None:
    assert "OUTCOME" not in app.run("bake").stderr
    app.write("bakery.toml", TOML.replace('["us-east-1"]', '["us-east-1", "eu-west-1"]'))
    assert "OUTCOME" in app.run("bake").stderr
    assert app.run("bake", "-q").stderr == ""
    app.write("bakery.toml", TOML + 'salt = "2"\n')
    app.control.plan(InjectedFault(action="RunInstances", code="UnauthorizedOperation", times=0))
    run = app.run("bake")
    assert (run.status, "OUTCOME" in run.stderr) == (1, False), "the message contains everything"


def test_disabled_image_is_skipped(two: Harness) -> None:
    two.write("bakery.toml", HEAD + image(two, "base") + image(two, "app", base="base") + OFF)
    for arguments in ((), ("*",)):
        assert [plan["image"] for plan in two.run("plan", "--json", *arguments).images] == ["base"]


def test_naming_a_disabled_image_is_wrong_usage(two: Harness) -> None:
    two.write("bakery.toml", HEAD + image(two, "base") + image(two, "app", base="base") + OFF)
    run = two.run("bake", "app")
    assert (run.status, two.packer_runs) == (2, 0)
    assert "it is disabled (bakery.toml:9)" in run.stderr
    assert "`enabled = true`" in run.stderr
