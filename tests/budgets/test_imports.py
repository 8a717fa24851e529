"""The most common runs do not import modules that they do not need."""

from __future__ import annotations

from tests.budgets.counting import IMPORT_TIMES, imported
from tests.budgets.test_budgets import BUDGETS, as_configured, as_drop_in, files
from tests.harness import Harness


def test_unneeded_modules_are_not_imported(harness: Harness) -> None:
    """A single import at the wrong place can take a tenth of an unchanged image's time."""

    def unneeded(case: str, *arguments: str) -> list[str]:
        modules = imported(harness.run(*arguments, environment=dict(IMPORT_TIMES)).stderr)
        assert "argparse" in modules, "Python prints imported modules"
        return [name for name in BUDGETS["never-imported"][case] if name in modules]

    assert unneeded("help", "--help") == []
    files(harness)
    as_configured(harness)
    assert harness.run("bake").answer.startswith("ami-")
    assert unneeded("unchanged-configured", "bake") == []
    as_drop_in(harness)
    baked = imported(harness.run("bake", environment=dict(IMPORT_TIMES)).stderr)
    assert {"ami_bakery.core.lock.protocol_steps", "ami_bakery.bake.locked_bake"} <= set(baked), "a bake needs them"
    assert unneeded("unchanged-drop-in", "bake") == []
    assert harness.packer_runs == 2
