"""The command `report`: files, streams, the browser, and refusals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.harness import TOML, json_template
from tests.report.fleets import ALL_REGIONS, denied

if TYPE_CHECKING:
    from tests.harness import Harness

NAME = "ami-bakery-report.html"
BROWSER = '#!/bin/sh\necho "$1" > "$HOME/opened"\n'


@pytest.fixture
def app(harness: Harness) -> Harness:
    harness.write("bakery.toml", TOML)
    harness.write("ami/app.json", json_template())
    denied(harness, ALL_REGIONS)
    return harness


def test_page_is_written_to_a_file_whose_path_is_printed(app: Harness) -> None:
    """With --open, in the program that BROWSER names."""
    browser = app.program("browser", BROWSER)
    run = app.run("report", "--no-check", "--open", environment={"BROWSER": str(browser)})
    assert run.answer == NAME
    page = app.folder / NAME
    assert page.read_text().startswith("<!doctype html>")
    assert (app.folder.parent / "opened").read_text().strip() == page.as_uri()
    both = app.run("report", "--no-check", "--output", "a.html", "--output", "a.json")
    assert both.answer == "a.html\na.json"
    assert json.loads((app.folder / "a.json").read_text())["images"][0]["image"] == "app"
    printed = app.run("report", "--no-check", "--output", "-").answer
    assert printed.startswith("<!doctype html>")
    assert {path.name for path in app.folder.iterdir()} == {NAME, "a.html", "a.json", "ami", "bakery.toml"}


def test_wrong_use_is_refused_before_any_call_to_aws(app: Harness) -> None:
    for arguments, status, message in (
        (("--output", "ami/report.html"), 2, "it would be an input of image app"),
        (("--output", "report.txt"), 2, "unrecognized file extension"),
        (("--output", "absent/report.html"), 2, "folder not found"),
        (("--output", "-", "--json"), 2, "--json also prints to stdout"),
        (("--output", "report.json", "--open"), 2, "no page is written to a file"),
        (("--jobs", "0"), 2, "a whole number of at least 1"),
        (("ap",), 2, "ap"),
    ):
        run = app.run("report", *arguments)
        assert (run.status, run.stdout) == (status, ""), run.stderr
        assert message in run.stderr
    assert app.calls() == {}


def test_the_default_file_never_becomes_an_input(app: Harness) -> None:
    """A template next to bakery.toml has every file there as an input. `ignore` leaves the report out."""
    app.write("app.json", json_template())
    table = 'version = 1\n[images.app]\ntemplate = "app.json"\nregions = ["us-east-1"]\n'
    app.write("bakery.toml", table)
    run = app.run("report", "--no-check")
    assert (run.status, run.stdout) == (2, "")
    assert f"{NAME}\n  it would be an input of image app" in run.stderr
    assert "Write to a file outside the inputs with --output" in run.stderr
    assert not (app.folder / NAME).exists()
    app.write("bakery.toml", f'{table}ignore = ["{NAME}"]\n')
    digest = app.run("digest", "app").answer
    assert app.run("report", "--no-check").answer == NAME
    assert app.run("digest", "app").answer == digest


def test_report_fails_without_credentials_and_in_drop_in_mode(app: Harness) -> None:
    missing: dict[str, str | None] = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    run = app.run("report", "--json", environment=missing | {"AWS_EC2_METADATA_DISABLED": "true"})
    assert (run.status, run.stdout) == (1, "")
    assert "credentials" in run.stderr
    drop_in = app.run(
        "report", "--json", environment={"PACKER_JSON_PATH": "ami/app.json", "AMI_DEFINITION_DIRS": "ami"}
    )
    assert (drop_in.status, drop_in.stdout) == (2, "")
    assert "bakery.toml" in drop_in.stderr
