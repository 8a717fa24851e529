"""Outputs of a bake hide no input: conditional steps, generated folders, artifacts that are only named."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import Any

import pytest

from ami_bakery.template.facts import Certainty, TemplateFacts
from tests.template.reading import BUILD, paths, read

FILE: dict[str, Any] = {"type": "file", "source": "app.conf", "destination": "/etc/"}
COPY: dict[str, Any] = {"type": "shell-local", "inline": ["cp default.conf app.conf"]}
FILES = {"app.conf": "1", "default.conf": "", "files/static": "1", "files/made": "1"}


def template(root: Path, *steps: dict[str, Any], **more: Any) -> TemplateFacts:
    document = {"builders": [{"type": "amazon-ebs"}], "provisioners": list(steps), **more}
    return read(root, {"a.json": dumps(document), **FILES}, "a.json")


def test_error_cleanup_step_writes_no_output(tmp_path: Path) -> None:
    block = 'error-cleanup-provisioner "shell-local" {\n inline = ["cp default.conf app.conf"]\n}'
    own = 'provisioner "file" {\n source = "app.conf"\n destination = "/etc/"\n}'
    in_hcl = read(tmp_path / "h", {"a.pkr.hcl": BUILD % f"{block}\n{own}", **FILES})
    in_json = template(tmp_path / "j", FILE, **{"error-cleanup-provisioner": COPY})

    assert "app.conf" in paths(in_hcl)
    assert "app.conf" in paths(in_json)


@pytest.mark.parametrize(("systems", "is_input"), [(["windows"], True), (["darwin", "linux"], False)])
def test_step_for_another_operating_system_writes_no_output(tmp_path: Path, systems: list[str], is_input: bool) -> None:
    facts = template(tmp_path, COPY | {"only_on": systems}, FILE)

    assert ("app.conf" in paths(facts)) is is_input


def test_steps_after_a_conditional_step_write_surely(tmp_path: Path) -> None:
    made = FILE | {"generated": True}
    facts = template(tmp_path, made, COPY, **{"error-cleanup-provisioner": COPY | {"inline": ["true"]}})

    assert "app.conf" in [each.path for each in facts.outputs if each.certainty is Certainty.SURE]


def test_only_written_files_of_a_generated_folder_are_outputs(tmp_path: Path) -> None:
    folder = FILE | {"source": "files/", "generated": True}
    facts = template(tmp_path, {"type": "shell-local", "inline": ["date > files/made"]}, folder)

    assert "files" in paths(facts)
    assert [each.path for each in facts.outputs] == ["files/made"]


def test_artifact_that_is_only_named_is_an_input(tmp_path: Path) -> None:
    facts = template(tmp_path, FILE, **{"post-processors": [{"type": "artifice", "files": ["app.conf"]}]})

    assert "app.conf" in paths(facts)


def test_exactly_named_file_is_not_an_output_with_unknown_name(tmp_path: Path) -> None:
    write = "date > conf/app-{{build `ID`}}.yml"
    files = {"conf/app-base.yml": "1"}
    for number, (then, expected) in enumerate([("cat conf/app-base.yml", ["conf/app-base.yml"]), ("cat conf/*", [])]):
        step = {"type": "shell-local", "inline": [write, then]}
        document = {"builders": [{"type": "amazon-ebs"}], "provisioners": [step]}

        assert paths(read(tmp_path / str(number), {"a.json": dumps(document), **files}, "a.json")) == expected
