"""What the commonest runs do not import: Python itself tells, so that nothing else is needed to see it."""

from __future__ import annotations

from tests.budgets.counting import IMPORT_TIMES, imported
from tests.budgets.test_budgets import BUDGETS, as_configured, as_drop_in, files
from tests.harness import Kitchen


def test_what_is_not_needed_is_not_imported(kitchen: Kitchen) -> None:
    """A single import at the wrong place has taken a tenth of an unchanged image's time."""

    def not_to_be_there(case: str, *arguments: str) -> list[str]:
        modules = imported(kitchen.run(*arguments, environment=dict(IMPORT_TIMES)).stderr)
        assert "argparse" in modules, "modules are told of"
        return [name for name in BUDGETS["never-imported"][case] if name in modules]

    assert not_to_be_there("help", "--help") == []
    files(kitchen)
    as_configured(kitchen)
    assert kitchen.run("bake").answer.startswith("ami-")
    assert not_to_be_there("unchanged-configured", "bake") == []
    as_drop_in(kitchen)
    baked = imported(kitchen.run("bake", environment=dict(IMPORT_TIMES)).stderr)
    assert {"ami_bakery.core.lock.protocol_steps", "ami_bakery.bake.locked_bake"} <= set(baked), "who bakes needs them"
    assert not_to_be_there("unchanged-drop-in", "bake") == []
    assert kitchen.packer_runs == 2
