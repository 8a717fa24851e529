"""`check` reports errors and weaknesses of the digest before a bake. Each has a file and a line."""

from __future__ import annotations

from typing import Any

import pytest
from mypy_boto3_ec2 import EC2Client

from tests.harness import TOML, Harness, json_template
from tests.seed import UBUNTU, own_ami, public_ami


def findings(harness: Harness, *options: str, status: int = 0) -> dict[str, dict[str, Any]]:
    """Returns the findings by code."""
    run = harness.run("check", "--json", *options)
    assert run.status == status, run.stdout + run.stderr
    (image,) = run.images
    assert set(image) == {"image", "findings"}
    for finding in image["findings"]:
        assert set(finding) == {"level", "code", "file", "line", "message", "todo"}
    return {finding["code"]: finding for finding in image["findings"]}


def line_of(harness: Harness, path: str, words: str) -> int:
    lines = (harness.folder / path).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if words in line)


def test_valid_definition_has_no_findings_and_builds_nothing(app: Harness) -> None:
    assert findings(app, "--strict") == {}
    assert app.packer_runs == 0
    assert "RunInstances" not in app.calls()


def test_unresolvable_path_is_a_finding(app: Harness) -> None:
    template = json_template()
    template["provisioners"] = [{"type": "file", "source": "{{uuid}}.sh", "destination": "/tmp/x"}]
    app.write("ami/app.json", template)
    found = findings(app, status=1)["unresolved-path"]
    assert (found["level"], found["file"]) == ("warning", "ami/app.json")
    assert found["line"] == line_of(app, "ami/app.json", "{{uuid}}.sh")
    assert "ami/app.json" in app.run("plan").stderr, "plan also warns about it"


def test_strict_treats_warnings_as_errors(app: Harness) -> None:
    app.write("ami/deploy.key", "x")
    assert (app.run("check").status, app.run("check", "--strict").status) == (0, 1)


def test_external_inputs_external_links_and_secrets_are_findings(app: Harness) -> None:
    outside = app.folder.parent / "outside.sh"
    outside.write_text("x")
    template = json_template()
    template["provisioners"] = [{"type": "shell-local", "script": "../../outside.sh"}]
    app.write("ami/app.json", template)
    (app.folder / "ami/link").symlink_to("../../outside.sh")
    app.write("ami/deploy.key", "-----BEGIN OPENSSH PRIVATE KEY-----\n")
    app.write("ami/notes.txt", "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\n")
    outside.chmod(0o755)
    run = app.run("check")
    assert run.status == 0
    for code in ("input-outside", "link-out-of-tree", "secret-in-inputs"):
        assert f"[{code}, image app]" in run.stdout
    assert "ami/deploy.key looks like a secret" in run.stdout
    assert "ami/notes.txt looks like a secret" in run.stdout
    assert "AKIAIOSFODNN7EXAMPLE" not in run.stdout


def test_ami_filter_without_owners_is_an_error(app: Harness) -> None:
    template = json_template()
    del template["builders"][0]["source_ami_filter"]["owners"]
    app.write("ami/app.json", template)
    found = findings(app, status=1)
    assert found["filter-without-owners"]["level"] == "error"
    run = app.run("bake")
    assert (run.status, app.packer_runs) == (1, 0)
    assert "has no owners" in run.stderr


def test_existing_or_constant_ami_name_is_a_finding(app: Harness, ec2: EC2Client) -> None:
    app.write("ami/app.json", json_template(ami_name="always-the-same"))
    assert findings(app)["constant-ami-name"]["level"] == "warning"
    app.run("bake")
    app.write("ami/setup.sh", "changed\n")
    found = findings(app, status=1)["ami-name-taken"]
    assert "always-the-same" in found["message"]
    app.write("ami/app.json", json_template(ami_name="by-digest-{{user `config_checksum`}}"))
    assert findings(app) == {}


def test_skip_create_ami_is_a_finding(app: Harness) -> None:
    app.write("ami/app.json", json_template(skip_create_ami=True))
    assert findings(app, status=1)["skip-create-ami"]["level"] == "error"


def test_packer_validate_errors_are_findings(app: Harness, ec2: EC2Client) -> None:
    app.write("ami/app.json", json_template(nonsense=1))
    assert "nonsense" in findings(app, status=1)["packer-validate"]["message"]
    app.write("bakery.toml", TOML.replace("app.json", "app.pkr.hcl"))
    base = public_ami(ec2)
    app.write(
        "ami/app.pkr.hcl",
        f'source "amazon-ebs" "app" {{\n  region = "us-east-1"\n  source_ami = "{base}"\n  nonsense = 1\n}}\n'
        'build {\n  sources = ["source.amazon-ebs.app"]\n}\n',
    )
    found = findings(app, status=1)["packer-validate"]
    assert (found["file"], found["line"]) == ("ami/app.pkr.hcl", 4)
    assert "nonsense" in found["message"]


def test_definition_that_cannot_be_planned_is_a_finding(app: Harness) -> None:
    (app.folder / "ami/broken").symlink_to("nowhere")
    assert "nowhere" in findings(app, status=1)["plan-failed"]["message"]


def test_missing_file_is_reported_at_the_line_that_references_it(app: Harness) -> None:
    template = json_template()
    template["provisioners"] = [{"type": "shell-local", "script": "missing.sh"}]
    app.write("ami/app.json", template)
    found = findings(app, status=1)["plan-failed"]
    assert (found["file"], found["line"]) == ("ami/app.json", line_of(app, "ami/app.json", "missing.sh"))


def test_output_file_among_the_inputs_is_a_finding(app: Harness) -> None:
    template = json_template()
    template["post-processors"] = [{"type": "manifest", "output": "report.json"}]
    app.write("ami/app.json", template)
    assert findings(app) == {}
    ami = app.run("bake").answer
    assert (app.folder / "ami/report.json").exists()
    assert app.run("bake").answer == ami, "Packer's output is not an input"
    assert app.packer_runs == 1
    assert findings(app)["output-inside"]["line"] == line_of(app, "ami/app.json", "report.json")


def test_unresolvable_source_ami_is_a_finding(app: Harness) -> None:
    template = json_template(source_ami="ami-{{uuid}}")
    del template["builders"][0]["source_ami_filter"]
    app.write("ami/app.json", template)
    assert "from" in findings(app)["unresolved-base"]["todo"]


def filtering(harness: Harness, *, owner: str, name: str, most_recent: object = None, **builder: Any) -> None:
    asked = {"owners": [owner], "filters": {"name": name}, "most_recent": most_recent}
    template = json_template(source_ami_filter={k: v for k, v in asked.items() if v is not None}, **builder)
    harness.write("ami/app.json", template)


JAMMY = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*"


def test_ambiguous_filter_without_most_recent_is_a_finding(app: Harness) -> None:
    filtering(app, owner=UBUNTU, name=JAMMY)
    found = findings(app, status=1)["ambiguous-base"]
    assert found["message"] == "2 AMIs match the filter of amazon-ebs, and most_recent is not set"
    assert "returned more than one result" in app.run("bake").stderr, "Packer's message"
    filtering(app, owner=UBUNTU, name=JAMMY.replace("*", "20240927"))
    assert findings(app) == {}, "one match is valid"


@pytest.mark.parametrize("most_recent", [True, "true", "TRUE", 1])
def test_filter_with_most_recent_in_any_spelling_is_valid(app: Harness, most_recent: object) -> None:
    filtering(app, owner=UBUNTU, name=JAMMY, most_recent=most_recent)
    assert findings(app) == {}
    assert app.run("bake").answer.startswith("ami-")


def test_filter_with_a_pinned_ami_is_valid(app: Harness, ec2: EC2Client) -> None:
    filtering(app, owner=UBUNTU, name=JAMMY, source_ami=public_ami(ec2))
    assert findings(app) == {}
    assert app.run("bake").answer.startswith("ami-")


def test_pending_amis_count_as_matches_of_a_filter(app: Harness, ec2: EC2Client) -> None:
    own_ami(ec2, "golden-1")
    app.control.change(pending_seconds=600)
    pending = own_ami(ec2, "golden-2")
    filtering(app, owner="self", name="golden-*")
    assert "2 AMIs match" in findings(app, status=1)["ambiguous-base"]["message"]
    assert ec2.describe_images(ImageIds=[pending])["Images"][0]["State"] == "pending"
    assert "returned more than one result" in app.run("bake").stderr


def test_check_in_drop_in_mode_lists_what_the_checksum_does_not_cover(drop_in: Harness) -> None:
    assert findings(drop_in)["not-covered"]["level"] == "warning"


def test_only_option_that_selects_no_build_is_a_finding(app: Harness) -> None:
    app.write("bakery.toml", TOML + 'only = ["amazon-ebs.nope"]\n')
    found = findings(app, status=1)["no-build-selected"]
    assert (found["line"], found["todo"]) == (7, "The template has amazon-ebs.")
    assert "amazon-ebs.nope" in found["message"]
    assert "selecting the builds of image" in app.run("bake").stderr
    app.write("bakery.toml", TOML + 'only = ["amazon-ebs"]\n')
    assert findings(app) == {}


def test_kms_key_without_copies_is_a_finding(app: Harness) -> None:
    app.write("bakery.toml", TOML + 'kms_key = "alias/ami"\n')
    assert findings(app)["key-without-copies"]["line"] == 7
    assert "bakery.toml:7: image app: kms_key has no effect: there are no copies" in app.run("plan").stderr
    app.write("bakery.toml", TOML.replace('"us-east-1"', '"us-east-1", "eu-west-1"') + 'kms_key = "alias/ami"\n')
    assert findings(app) == {}
    assert "has no effect" not in app.run("plan", "--region", "us-east-1").stderr
