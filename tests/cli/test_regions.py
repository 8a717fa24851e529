"""A misspelt region is an error at its line with a suggestion. The error needs no API call."""

from __future__ import annotations

import pytest

from tests.harness import TOML, Harness, json_template

MEANT = "AWS has no region 'us-esat-1'; did you mean 'us-east-1'?"
HCL = """\
variable "region" {
  default = "us-esat-1"
}
source "amazon-ebs" "app" {
  region        = var.region
  source_ami    = "ami-0123456789abcdef0"
  instance_type = "t3.micro"
  communicator  = "none"
  ami_name      = "app-{{timestamp}}"
}
build {
  sources = ["source.amazon-ebs.app"]
}
"""


def finding(harness: Harness) -> tuple[str, int, str]:
    run = harness.run("check", "--json")
    assert run.status == 1, run.stdout + run.stderr
    (found,) = [each for each in run.images[0]["findings"] if each["level"] == "error"]
    assert harness.calls() == {}, "no API call"
    return found["file"], found["line"], found["message"]


def test_misspelt_region_of_an_image_is_an_error_at_its_line(app: Harness) -> None:
    app.write("bakery.toml", TOML.replace('["us-east-1"]', '[\n  "eu-west-1",\n  "us-esat-1",\n]'))
    assert finding(app) == ("bakery.toml", 8, MEANT)
    run = app.run("plan")
    assert (run.status, MEANT in run.stderr, app.calls()) == (1, True, {})


def test_misspelt_region_in_the_defaults_is_an_error_at_its_line(app: Harness) -> None:
    defaults = '[defaults]\nregions = ["us-esat-1"]\n\n'
    text = TOML.replace('regions = ["us-east-1"]\n', "").replace("[images.app]", f"{defaults}[images.app]")
    app.write("bakery.toml", text)
    assert finding(app) == ("bakery.toml", 4, MEANT)


def test_misspelt_region_in_the_template_is_an_error_at_its_line(app: Harness) -> None:
    app.write("ami/app.json", json_template(ami_regions=["eu-west-1", "us-esat-1"]))
    lines = (app.folder / "ami/app.json").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "us-esat-1" in text)
    assert finding(app) == ("ami/app.json", line, MEANT)


def test_misspelt_region_in_a_variable_default_is_an_error_at_its_line(app: Harness) -> None:
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    app.write("ami/app.pkr.hcl", HCL)
    assert finding(app) == ("ami/app.pkr.hcl", 2, MEANT)


@pytest.mark.parametrize("command", ["plan", "check", "images", "bake"])
def test_misspelt_region_on_the_command_line_is_an_error(app: Harness, command: str) -> None:
    run = app.run(command, "--region", "us-esat-1")
    assert run.status in (1, 2)
    assert MEANT in run.stdout + run.stderr
    assert app.calls() == {}


@pytest.mark.parametrize("command", ["plan", "check", "images"])
def test_misspelt_region_in_the_environment_is_an_error(app: Harness, command: str) -> None:
    app.write("bakery.toml", TOML.replace('regions = ["us-east-1"]\n', ""))
    run = app.run(command, environment={"AWS_DEFAULT_REGION": "us-esat-1"})
    assert run.status in (1, 2)
    assert MEANT in run.stdout + run.stderr
    assert app.calls() == {}


def test_any_region_name_is_accepted_with_a_custom_endpoint(app: Harness) -> None:
    app.write("bakery.toml", TOML.replace("us-east-1", "region-one"))
    app.write("ami/app.json", json_template(region="region-one"))
    run = app.run("plan", environment={"AWS_ENDPOINT_URL_EC2": "https://127.0.0.1:1"})
    assert "AWS has no region" not in run.stderr
