"""Old names of keys, options and environment variables are errors. The errors state the new name."""

from __future__ import annotations

import pytest

from tests.harness import TOML, Harness


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f'{TOML}digest_without = ["x"]\n', "images.app.digest_without"),
        (f'{TOML}[defaults]\ndigest_without = ["x"]\n', "defaults.digest_without"),
        (f'digest_without = ["x"]\n{TOML}', "digest_without"),
    ],
    ids=["image", "defaults", "top"],
)
def test_an_old_key_is_an_error_with_its_line_and_the_new_key(app: Harness, text: str, place: str) -> None:
    app.write("bakery.toml", text)
    line = next(number for number, line in enumerate(text.splitlines(), 1) if "digest_without" in line)
    run = app.run("plan")
    assert run.status == 1
    assert f"bakery.toml:{line}: {place}: digest_without was renamed: use digest_exclude" in run.stderr


@pytest.mark.parametrize("words", [("images", "--tree"), ("images", "app", "--tree", "--json")])
def test_the_old_option_tree_is_an_error_that_states_lineage(app: Harness, words: tuple[str, ...]) -> None:
    run = app.run(*words)
    assert (run.status, run.stdout) == (2, "")
    assert "--tree was renamed: use --lineage" in run.stderr


def test_the_old_option_tree_is_not_in_the_help(app: Harness) -> None:
    shown = app.run("images", "--help").stdout
    assert "--lineage" in shown
    assert "--tree" not in shown


@pytest.mark.parametrize("command", ["plan", "bake", "images"])
def test_the_old_variable_for_the_lock_is_an_error_that_states_the_new_one(app: Harness, command: str) -> None:
    run = app.run(command, environment={"AMI_BAKERY_LOCK_SECONDS": "30"})
    assert (run.status, run.stdout) == (2, "")
    assert "AMI_BAKERY_LOCK_SECONDS" in run.stderr
    assert "use AMI_BAKERY_LOCK_TTL_SECONDS" in run.stderr
    assert app.packer_runs == 0
