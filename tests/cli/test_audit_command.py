"""`ami-bakery audit`: builds in a throwaway embedded EC2."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.documents import ROOT
from tests.harness import TOML, Harness, json_template

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


def template(*commands: str, **builder: Any) -> dict[str, Any]:
    made = json_template(**builder)
    made["provisioners"] = [{"type": "shell-local", "inline": list(commands)}] if commands else []
    return made


def from_variable(*commands: str) -> dict[str, Any]:
    made = template(*commands, source_ami="{{user `source_ami`}}")
    made["variables"]["source_ami"] = ""
    del made["builders"][0]["source_ami_filter"]
    return made


def kinds(image: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for finding in image["findings"]:
        found.setdefault(finding["kind"], []).append(finding.get("path", ""))
    return found


def test_image_without_findings_needs_no_aws(app: Harness) -> None:
    before = app.calls()
    done = app.run("audit", environment={"AMI_BAKERY_LOCAL_URL": None})
    assert done.status == 0, done.stderr
    assert "app: 1 file opened, 1 of them in the digest" in done.stdout
    assert app.packer_runs == 1
    assert app.calls() == before, "the audit uses an EC2 of its own"


def test_file_that_is_not_in_the_digest_exits_1(app: Harness) -> None:
    app.write("shared/motd", "")
    app.write("ami/app.json", template(f"read=$(cat {app.folder}/sha*/motd)"))
    done = app.run("audit")
    assert done.status == 1
    assert (
        "bakery.toml:5: error: shared/motd is not in the digest: cat opened it [not-in-digest, image app]"
        in done.stdout
    )
    assert 'inputs = ["ami", "shared/motd"]' in done.stdout
    document = app.run("audit", "--json")
    assert document.status == 1
    assert kinds(document.images[0])["not-in-digest"] == ["shared/motd"]
    assert document.images[0]["opened"] == 2
    assert document.images[0]["covered"] == 1


def test_source_amis_that_the_embedded_ec2_does_not_have(app: Harness) -> None:
    """Ids, filters, parameters and parent images."""
    sources = {
        "id": '"ami-0123456789abcdef0"',
        "filter": '{ owners = ["123456789012"], filters = { name = "golden-*-?", architecture = "arm64" } }',
        "alias": '{ owners = ["amazon"], filters = { name = "none-of-these-*" } }',
        "own": '{ owners = ["self"], filters = { "tag:role" = "base" } }',
        "ssm": '{ ssm = "/golden/ami" }',
        "parent": '"id"',
    }
    lines = ["version = 1", "[defaults]", 'regions = ["us-east-1", "eu-west-1"]', "inputs = []"]
    for name, source in sources.items():
        lines += [f"[images.{name}]", 'template = "ami/app.json"', f"from = {source}"]
    app.write("bakery.toml", "\n".join(lines))
    app.write("ami/app.json", from_variable())
    done = app.run("audit", "--json")
    assert done.status == 0, done.stderr
    assert [image["image"] for image in done.images] == list(sources)
    assert all(image["findings"] == [] for image in done.images)
    assert app.packer_runs == len(sources)


def test_source_amis_of_the_template(app: Harness) -> None:
    unknown = {"owners": ["self"], "filters": {"name": "mine-*", "root-device-type": "ebs"}, "most_recent": True}
    app.write("ami/app.json", template(source_ami_filter=unknown))
    assert app.run("audit").status == 0
    fixed = template(source_ami="ami-0fedcba987654321f")
    del fixed["builders"][0]["source_ami_filter"]
    app.write("ami/app.json", fixed)
    assert app.run("audit").status == 0


def test_template_without_bakery_toml(harness: Harness) -> None:
    harness.write("one/app.json", template("cat ../two/motd"))
    harness.write("two/motd", "")
    done = harness.run("audit", "--template", "one/app.json", "--json")
    assert done.status == 0, done.stderr
    assert kinds(done.images[0]) == {}
    harness.write("one/app.json", template("cat ../$(ls .. | grep tw)/motd"))
    hidden = harness.run("audit", "--template", "one/app.json", "--json")
    assert hidden.status == 1
    assert kinds(hidden.images[0])["not-in-digest"] == ["two/motd"]


def test_advice_for_a_template_without_bakery_toml(harness: Harness) -> None:
    harness.write("one/app.json", template("cat ../$(ls .. | grep tw)/*"))
    harness.write("two/motd", "")
    Path(os.fsdecode(os.fsencode(harness.folder) + b"/two/caf\xe9")).write_text("")
    done = harness.run("audit", "--template", "one/app.json")
    assert done.status == 1
    assert 'Define the image in a bakery.toml, with inputs = ["two/motd"]' in done.stdout
    assert 'with what it depends on: inputs = ["two/caf\\xe9", "two/motd"]' in done.stdout
    assert "to bakery.toml" not in done.stdout


def test_failed_build_exits_1_and_shows_the_files_that_it_opened(app: Harness) -> None:
    app.write("ami/app.json", template("exit 3"))
    done = app.run("audit", "--json")
    assert done.status == 1
    assert "Packer exited with" in done.images[0]["error"]
    assert done.images[0]["opened"] >= 1


def test_one_bad_image_does_not_stop_the_others(app: Harness) -> None:
    app.write("bakery.toml", TOML + '[images.bad]\ntemplate = "missing.json"\n')
    done = app.run("audit", "--json")
    assert done.status == 1
    assert "error" not in done.images[0]
    assert "missing.json" in done.images[1]["error"]


@pytest.mark.parametrize("example", ["sample-app", "hcl2"])
def test_examples_have_no_findings(harness: Harness, example: str) -> None:
    shutil.copytree(ROOT / "examples" / example, harness.folder, dirs_exist_ok=True)
    done = harness.run("audit", "--json")
    assert done.status == 0, done.stderr
    assert all(image["opened"] == image["covered"] > 1 for image in done.images)


def test_values_of_sensitive_variables_are_not_shown(app: Harness) -> None:
    secret = "correct-horse-battery"
    app.write(f"shared/{secret}/motd", "")
    made = template(f"cat {app.folder}/sha*/{secret}/motd")
    made["variables"]["password"] = ""
    made["sensitive-variables"] = ["password"]
    app.write("ami/app.json", made)
    app.write("bakery.toml", TOML + f'vars = {{ password = "{secret}" }}\n')
    for options in ((), ("--json",)):
        done = app.run("audit", *options)
        assert done.status == 1
        assert "not-in-digest" in done.stdout
        assert secret not in done.stdout + done.stderr


def test_repository_behind_a_link(app: Harness) -> None:
    app.write("shared/motd", "")
    app.write("ami/app.json", template("cat ../sha*/motd ../$(ls .. | grep shared)/motd"))
    link = app.folder.parent / "link"
    link.symlink_to(app.folder)
    done = app.run("audit", "--json", cwd=link, environment={"PWD": str(link)})
    assert {path for paths in kinds(done.images[0]).values() for path in paths} <= {"shared/motd", "ami/setup.sh"}


def test_hidden_option_does_not_build_in_aws(app: Harness) -> None:
    done = app.run("audit", "--in-local", environment={"AMI_BAKERY_LOCAL_URL": None})
    assert done.status == 0, done.stderr
    assert app.calls() == {}


def test_drop_in_mode(drop_in: Harness) -> None:
    done = drop_in.run("audit")
    assert done.status == 0, done.stderr


def test_findings_are_annotations(app: Harness) -> None:
    app.write("shared/motd", "")
    app.write("ami/app.json", template(f"cat {app.folder}/sha*/motd"))
    done = app.run("audit", environment={"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(app.folder)})
    assert "::error file=bakery.toml,line=5,title=not-in-digest (image app)::shared/motd" in done.stderr + done.stdout


def test_audit_needs_strace(app: Harness) -> None:
    done = app.run("audit", prefix=("strace", "-f", "-o", "/dev/null", "-e", "trace=none"), timeout=300)
    assert done.status == 1
    assert "Operation not permitted" in done.stderr
    assert app.packer_runs == 0
