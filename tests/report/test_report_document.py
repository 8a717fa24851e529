"""The document of `report --json`, from the real program and the embedded EC2."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from ami_bakery.local import InjectedFault
from tests.documents import ROOT
from tests.harness import TOML, json_template
from tests.release.pruning import FRIEND, HOME, OTHER, Stock
from tests.report.fleets import ALL_REGIONS, RichFleet, denied

if TYPE_CHECKING:
    from ami_bakery.local import LocalAws
    from tests.harness import Harness, Run

SCHEMA = json.loads((ROOT / "docs/reference/report.schema.json").read_text())


def reported(harness: Harness, *arguments: str) -> tuple[Any, Run]:
    """Returns a valid document, and the run that printed it."""
    run = harness.run("report", "--json", *arguments)
    assert run.status == 0, run.stderr
    document = run.document
    problems = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(SCHEMA).iter_errors(document)]
    assert problems == []
    return document, run


def test_document_of_a_rich_account(harness: Harness, local: LocalAws) -> None:
    fleet = RichFleet(harness, local)
    document, run = reported(harness)
    assert document["unknown"] == []
    assert document["regions"] == [HOME, OTHER]
    base, app = document["images"]
    assert (base["state"], app["state"], app["parent"], base["children"]) == ("current", "untested", "base", ["app"])
    assert {build["id"]: build["state"] for build in app["builds"]} == {
        fleet.newest[HOME]: "untested",
        fleet.unused[HOME]: "superseded",
        fleet.hidden[HOME]: "disabled",
        fleet.bad[HOME]: "revoked",
        fleet.old[HOME]: "superseded",
    }
    newest, bad, old = app["builds"][0], app["builds"][3], app["builds"][4]
    assert {ami["region"]: ami["ami"] for ami in newest["amis"]} == fleet.newest == app["amis"]
    assert [ami["copy_of"] for ami in newest["amis"]] == [None, fleet.newest[HOME]]
    assert [ami["shared_with"] for ami in newest["amis"]] == [[FRIEND], []]
    assert (bad["revoked"], bad["channels"], old["channels"]) == ("CVE-2026-1234", ["stable"], [])
    assert (old["parent"], old["source_amis"], old["builds_behind"]) == ("base", [fleet.parent], 2)
    uses = old["amis"][0]["uses"]
    assert ([one["id"] for one in uses["instances"]], uses["launch_templates"][0]["name"]) == ([fleet.instance], "web")
    assert (old["used"], newest["used"]) == (True, False)
    assert {build["id"]: build["amis"][0]["prune"]["action"] for build in app["builds"]} == {
        fleet.newest[HOME]: "keep",
        fleet.unused[HOME]: "disable",
        fleet.hidden[HOME]: "deregister",
        fleet.bad[HOME]: "keep",
        fleet.old[HOME]: "keep",
    }
    totals = document["prune"]
    assert (totals["to_disable"], totals["to_deregister"], totals["freed_gibibytes"]) == (1, 1, 8.0)
    assert [(row["region"], row["build"], row["problem"]) for row in app["channels"]] == [
        (HOME, fleet.bad[HOME], "revoked: CVE-2026-1234"),
        (OTHER, fleet.bad[HOME], "revoked: CVE-2026-1234"),
    ]
    assert [version["ami"] for version in app["channels"][0]["history"]] == [fleet.old[HOME]]
    assert [orphan["name"] for orphan in document["orphans"]] == [fleet.orphan]
    assert [source["owner"] for source in document["source_amis"]] == ["099720109477"]
    assert {finding["code"] for finding in app["findings"]} >= {"revoked-in-use"}
    assert app["definition"]["variables"] == [{"name": "size", "text": "t3.small"}]
    assert [build["changes"]["since"] for build in app["builds"][:-1]] == [build["id"] for build in app["builds"][1:]]
    page = f"https://github.com/acme/images/commit/{fleet.commit}"
    (commit,) = document["commits"].items()
    assert (commit[0], commit[1]["url"], commit[1]["subject"]) == (fleet.commit, page, "Add the images")
    assert document["repository"] == {
        "commit": fleet.commit,
        "dirty": False,
        "url": "https://github.com/acme/images",
        "commit_url": page,
    }
    assert "swordfish" not in run.stdout, "the password of the remote"
    assert harness.packer_runs == 0


def test_what_is_denied_is_null_and_the_report_succeeds(harness: Harness, local: LocalAws) -> None:
    fleet = RichFleet(harness, local)
    denied(harness, ALL_REGIONS, "ssm:*", "autoscaling:*", "ec2:DescribeImageReferences", "ec2:DescribeTags")
    document, run = reported(harness, "--no-check")
    harness.control.enforce(None)
    app = document["images"][1]
    assert app["state"] == "untested"
    assert app["channels"] is None
    assert document["orphans"] is None
    assert [build["channels"] for build in app["builds"]] == [None] * 5
    uses = app["builds"][4]["amis"][0]["uses"]
    assert (uses["launch_templates"], uses["auto_scaling_groups"]) == (None, None)
    assert [one["id"] for one in uses["instances"]] == [fleet.instance], "another call reads it"
    for what in (
        "channels are unknown",
        "some uses of AMIs are unknown",
        "orphaned resources are unknown",
        "for copies",
    ):
        assert any(what in sentence for sentence in document["unknown"]), document["unknown"]
        assert what in run.stderr
    assert len(document["unknown"]) == len(set(document["unknown"]))


def test_an_ami_that_disappears_meanwhile_is_not_shown_as_not_shared(harness: Harness, local: LocalAws) -> None:
    fleet = RichFleet(harness, local)
    harness.control.plan(
        InjectedFault(action="DescribeImageAttribute", region=HOME, code="InvalidAMIID.NotFound", times=0)
    )
    document, _ = reported(harness, "--no-check")
    newest = document["images"][1]["builds"][0]
    assert [ami["shared_with"] for ami in newest["amis"]] == [None, []]
    assert any(fleet.newest[HOME] in sentence for sentence in document["unknown"])


def test_empty_account_and_a_plan_that_fails(harness: Harness) -> None:
    """An image without an AMI, and one whose template does not exist. Nothing of the first is missing."""
    denied(harness, ALL_REGIONS)
    harness.write("bakery.toml", TOML + '\n[images.broken]\ntemplate = "absent.json"\nregions = ["us-east-1"]\n')
    harness.write("ami/app.json", json_template())
    document, run = reported(harness, "--no-check")
    app, broken = document["images"]
    assert (app["state"], app["action"], app["builds"], app["channels"]) == ("not-built", "bake", [], [])
    assert (broken["state"], broken["action"], broken["definition"]) == ("unknown", None, None)
    assert "absent.json" in broken["error"]
    assert "\n" not in broken["error"]
    assert "image broken cannot be planned" in run.stderr
    more = "only the configured regions are searched for copies"
    assert {sentence.partition(":")[0] for sentence in document["unknown"]} == {"broken", more}
    assert document["prune"]["amis"] == 0


def test_calls_do_not_grow_with_the_number_of_images(harness: Harness, local: LocalAws) -> None:
    def calls_with(count: int) -> Counter[str]:
        names = [f"app{number}" for number in range(count)]
        tables = (f'[images.{name}]\ntemplate = "ami/app.json"\nregions = ["us-east-1"]\n' for name in names)
        harness.write("bakery.toml", "version = 1\n" + "".join(tables))
        for name in names:
            stock.build(5, image=name)
        harness.control.clear_report()
        reported(harness, "--no-check")
        return Counter(call.action for call in harness.control.report().calls)

    harness.write("ami/app.json", json_template())
    stock = Stock(harness, local)
    denied(harness, ALL_REGIONS)
    few = calls_with(2)
    assert few == calls_with(6)
    once = (
        "DescribeImageReferences",
        "DescribeAutoScalingGroups",
        "DescribeInstanceImageMetadata",
    )
    assert {action: few[action] for action in once} == dict.fromkeys(once, 1)


SECRETS = {
    "password": "swordfish-in-toml",
    "typed": "swordfish-typed",
    "file": "swordfish-in-file",
    "env": "swordfish-env",
}


def test_document_has_no_secret(harness: Harness) -> None:
    """Not the values of sensitive variables, the environment, variable files and the command line."""
    denied(harness, ALL_REGIONS)
    harness.write(
        "ami/app.pkr.hcl",
        """
        variable "password" {
          type      = string
          sensitive = true
        }
        variable "typed" { default = "" }
        variable "from_file" { default = "" }
        variable "from_environment" { default = env("TOKEN") }
        variable "public" { default = "" }
        source "amazon-ebs" "app" {
          region       = "us-east-1"
          source_ami   = "ami-0123456789abcdef0"
          ami_name     = "app"
          communicator = "none"
          user_data    = "${var.password}${var.typed}${var.from_file}${var.from_environment}"
        }
        build { sources = ["source.amazon-ebs.app"] }
        """,
    )
    harness.write("ami/secret.pkrvars.hcl", f'from_file = "{SECRETS["file"]}"\n')
    harness.write(
        "bakery.toml",
        'version = 1\n[images.app]\ntemplate = "ami/app.pkr.hcl"\nregions = ["us-east-1"]\nenv = ["TOKEN"]\n'
        'var_files = ["ami/secret.pkrvars.hcl"]\n'
        f'vars = {{ password = "{SECRETS["password"]}", public = "shown" }}\n',
    )
    harness.environment["TOKEN"] = SECRETS["env"]
    document, run = reported(harness, "--no-check", "--", "-var", f"typed={SECRETS['typed']}")
    definition = document["images"][0]["definition"]
    assert definition["variables"] == [
        {"name": "password", "text": None},
        {"name": "public", "text": "shown"},
        {"name": "typed", "text": None},
    ]
    assert (definition["environment"], definition["var_files"]) == (["TOKEN"], ["ami/secret.pkrvars.hcl"])
    assert "swordfish" not in run.stdout + run.stderr
