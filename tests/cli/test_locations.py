"""Findings and errors name the user's own files and lines, each once. They name no temporary files."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness import TOML, Harness, json_template

HCL = """\
source "amazon-ebs" "app" {
  region        = "us-east-1"
  source_ami    = "ami-0123456789abcdef0"
  instance_type = "t3.micro"
  communicator  = "none"
  ami_name      = "app-{{timestamp}}"
}
build {
  sources = ["source.amazon-ebs.app"]
}
"""
ROOT = "version = 1\n\n[images.app]\nregions = ['us-east-1']\n"


def findings(harness: Harness) -> list[dict[str, Any]]:
    run = harness.run("check", "--json")
    assert run.status in (0, 1), run.stderr
    assert str(harness.folder) not in run.stdout
    return [finding for image in run.images for finding in image["findings"]]


def places(harness: Harness, code: str) -> set[tuple[str, int]]:
    return {(finding["file"], finding["line"]) for finding in findings(harness) if finding["code"] == code}


def test_invalid_var_file_is_reported_with_its_relative_path(app: Harness) -> None:
    """Packer gets the absolute path, and uses it in its errors."""
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl") + 'var_files = ["ami/vars/a.pkrvars.hcl"]\n')
    app.write("ami/app.pkr.hcl", HCL)
    app.write("ami/vars/a.pkrvars.hcl", '# one\nregion = "x\n')
    assert places(app, "plan-failed") == {("ami/vars/a.pkrvars.hcl", 2)}


def test_template_above_the_workdir_is_reported_with_its_path(app: Harness) -> None:
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl") + 'workdir = "ami/deep"\n')
    app.write("ami/deep/x", "")
    app.write("ami/app.pkr.hcl", HCL.replace("  sources", '  provisioner "shel" {}\n  sources'))
    assert places(app, "packer-validate") == {("ami/app.pkr.hcl", 9)}


def test_missing_field_in_a_template_folder_is_reported_with_the_folder(app: Harness) -> None:
    """Packer reports no line for a missing field."""
    app.write("bakery.toml", ROOT + "template = '.'\ninputs = ['app.pkr.hcl']\n")
    app.write("app.pkr.hcl", HCL.replace('  ami_name      = "app-{{timestamp}}"\n', ""))
    assert places(app, "packer-validate") == {("app.pkr.hcl", 1)}
    app.write("bakery.toml", ROOT + "template = '.'\ninputs = ['app.pkr.hcl']\nvars = { size = 'x' }\n")
    assert "'.:1'" not in repr(findings(app))


SYNTAX = {
    "an unclosed string": ('"t3.micro"', '"t3.micro', 4, "Invalid multi-line string"),
    "a missing equals sign": ("region        =", "region", 2, "Invalid block definition"),
    "a missing comma": (
        '["source.amazon-ebs.app"]',
        '["source.amazon-ebs.app" "x"]',
        9,
        "Missing item separator",
    ),
    "an extra parenthesis": ('"t3.micro"', '"t3.micro")', 4, "Missing newline"),
    "a missing expression": ('"t3.micro"', "", 4, "Invalid expression"),
}


@pytest.mark.parametrize("what", SYNTAX)
def test_syntax_error_shows_packers_line_and_message(app: Harness, what: str) -> None:
    old, new, line, words = SYNTAX[what]
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    app.write("ami/app.pkr.hcl", HCL.replace(old, new))
    run = app.run("plan")
    assert run.status == 1
    assert f"ami/app.pkr.hcl:{line}: {words}" in run.stderr
    assert "``" not in run.stderr
    found = [finding for finding in findings(app) if words in finding["message"]]
    assert [(finding["file"], finding["line"]) for finding in found] == [("ami/app.pkr.hcl", line)]


def test_syntax_error_is_reported_without_packer(app: Harness) -> None:
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    app.write("ami/app.pkr.hcl", HCL.replace('"t3.micro"', '"t3.micro'))
    run = app.run("plan", "--packer", "/nonexistent/packer")
    assert run.status == 1
    assert "ami/app.pkr.hcl" in run.stderr
    assert "``" not in run.stderr


def test_file_content_in_packers_errors_is_not_shown(app: Harness) -> None:
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl") + 'var_files = ["ami/a.pkrvars.hcl"]\n')
    app.write("ami/app.pkr.hcl", HCL)
    app.write("ami/a.pkrvars.hcl", 'password = "hunter2\n')
    for command in ("check", "plan"):
        run = app.run(command)
        assert "hunter2" not in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"provisioners": [{"type": "shell", "script": "missing.sh"}]}, "looking for ami/missing.sh"),
        ({"builders": [{**json_template()["builders"][0], "source_ami_filter": {"filters": {}}}]}, "has no owners"),
        ({"builders": [{"type": "null", "communicator": "none"}]}, "does not produce an AMI"),
    ],
)
def test_location_is_shown_once(app: Harness, change: dict[str, Any], words: str) -> None:
    app.write("ami/app.json", {**json_template(), **change})
    run = app.run("check")
    shown = [line for line in run.stdout.splitlines() if words in line]
    assert len(shown) == 1
    place = shown[0].partition(": ")[0]
    assert place.startswith("ami/app.json:")
    assert shown[0].count(place) == 1


def test_workdir_that_is_a_file_is_reported_as_a_file(app: Harness) -> None:
    app.write("bakery.toml", TOML + 'workdir = "ami/setup.sh"\n')
    assert "images.app.workdir: ami/setup.sh is a file, not a folder" in app.run("plan").stderr
    assert places(app, "plan-failed") == {("bakery.toml", 7)}
    app.write("bakery.toml", TOML + 'var_files = ["ami"]\n')
    assert "images.app.var_files: ami is a folder, not a file" in app.run("plan").stderr


MARKED = {
    "an ami_name": HCL.replace("app-{{timestamp}}", 'app-${replace(path.cwd, "/", "-")}'),
    "a region": HCL.replace('"us-east-1"', 'replace(path.cwd, "/", "")'),
    "a source_ami": HCL.replace('"ami-0123456789abcdef0"', "path.cwd"),
    "a path": HCL.replace("  sources", '  provisioner "shell" {\n    script = "${path.cwd}-x.sh"\n  }\n  sources'),
    "a path of a missing file": HCL.replace(
        "  sources", '  provisioner "shell" {\n    script = abspath("x.sh")\n  }\n  sources'
    ),
    "a file that is read": HCL.replace("  sources", '  name = file("${path.cwd}/nope")\n  sources'),
    "a name": HCL.replace("  sources", "  name = path.cwd\n  only = [path.cwd]\n  sources"),
    "an owner": HCL.replace(
        '  source_ami    = "ami-0123456789abcdef0"',
        "  source_ami_filter {\n    owners = [path.cwd]\n    filters = { name = path.cwd }\n  }",
    ),
}


@pytest.mark.parametrize("what", MARKED)
def test_placeholder_for_the_checkout_appears_in_no_message(app: Harness, what: str) -> None:
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    app.write("ami/app.pkr.hcl", MARKED[what])
    for arguments in (("check",), ("check", "--json"), ("plan",), ("inputs", "--json")):
        run = app.run(*arguments, environment={"GITHUB_ACTIONS": "true"})
        shown = run.stdout + run.stderr
        assert "\ufdd0" not in shown
        assert "\\ufdd0" not in shown


def test_credential_error_of_all_images_is_reported_once(app: Harness) -> None:
    tables = "".join(f'\n[images.i{n}]\ntemplate = "ami/app.json"\nregions = ["us-east-1"]\n' for n in range(5))
    app.write("bakery.toml", TOML + tables)
    wrong = {"AWS_SECRET_ACCESS_KEY": "wrong"}
    run = app.run("check", environment=wrong)
    assert run.status == 1
    assert run.stdout.count("SignatureDoesNotMatch") + run.stdout.count("AuthFailure") == 1
    assert "[not-fully-checked, images i0, i1, i2 and 2 more]" in run.stdout
    document = app.run("check", "--json", environment=wrong)
    codes = [[finding["code"] for finding in image["findings"]] for image in document.images]
    assert codes == [["plan-failed"], *[["not-fully-checked"]] * 5]


def test_missing_packer_is_reported_once(app: Harness) -> None:
    without = 'digest_exclude = ["packer-version", "plugin-versions"]\n'
    tables = "".join(
        f'\n[images.i{n}]\ntemplate = "ami/app.json"\nregions = ["us-east-1"]\n{without}' for n in range(3)
    )
    app.write("bakery.toml", TOML + without + tables)
    run = app.run("check", "--packer", "/nonexistent/packer")
    assert run.status == 1
    assert run.stdout.count("/nonexistent/packer") == 1
    assert "[not-fully-checked, images i0, i1 and i2]" in run.stdout


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"provisioners": [{"type": "shel", "inline": ["true"]}]}, "shel"),
        ({"provisioners": [{"type": "shell", "inline": ["true"], "nonsense": 1}]}, "nonsense"),
        ({"post-processors": [{"type": "manifes"}]}, "manifes"),
    ],
)
def test_json_template_error_is_at_the_line_of_the_word_that_packer_quotes(
    app: Harness, change: dict[str, Any], word: str
) -> None:
    app.write("ami/app.json", {**json_template(), **change})
    lines = (app.folder / "ami/app.json").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if f'"{word}"' in text)
    assert places(app, "packer-validate") == {("ami/app.json", line)}
