"""Checks of the entrypoint that need no container."""

from __future__ import annotations

import re

from ami_bakery.cli.parser import COMMANDS
from tests.documents import ROOT

ENTRYPOINT = ROOT / "docker" / "entrypoint"


def test_the_entrypoint_knows_every_command() -> None:
    """`bake` is a separate program."""
    words = re.search(r"^ +(.*) \| -\*\) set -- ami-bakery", ENTRYPOINT.read_text(), re.MULTILINE)
    assert words is not None
    assert {"bake", *words[1].split(" | ")} == set(COMMANDS)
