"""A small fleet with every state of images and builds, for tests."""

from __future__ import annotations

from typing import Any

from tests.report.fleet import (
    REGIONS,
    UBUNTU,
    add_changes,
    ago,
    commit_of,
    id_of,
    new_build,
    new_channel,
    new_definition,
    new_image,
    new_input,
    new_instance,
    new_prune,
    new_uses,
)

_JOB = "https://gitlab.example.com/platform/amis/-/jobs/48213"


def small_images() -> list[dict[str, Any]]:
    """Returns images in the order of `bakery.toml`: each state at least once."""
    return [
        _base(),
        _app(),
        _worker(),
        _worker_gpu(),
        _bastion(),
        _monitoring(),
        _vault(),
        _legacy_api(),
        _database(),
        _windows(),
        _broken(),
        _ci_runner(),
    ]


def small_orphans() -> list[dict[str, Any]]:
    """Returns resources of an interrupted run, and a lock that may still be in use."""
    run = "7f3a9c12b4d0"
    rows = [
        ("instance", id_of("i", "orphan"), "Packer Builder", "its run ended without deleting it", True),
        ("key pair", id_of("key", "orphan"), "packer_65a1b2c3", "its run ended without deleting it", True),
        ("security group", id_of("sg", "orphan"), "packer_65a1b2c4", "its run ended without deleting it", True),
        ("lock", id_of("key", "lock"), "ami-bakery/lock/worker", "its lease expired 3 minutes ago", False),
    ]
    return [
        {
            "kind": kind,
            "id": id_,
            "name": name,
            "region": REGIONS[0],
            "image": "worker",
            "run": run,
            "began": ago(0.3) if sure else None,
            "why": why,
            "sure": sure,
        }
        for kind, id_, name, why, sure in rows
    ]


def _base() -> dict[str, Any]:
    builds = [
        new_build("base", number, days, REGIONS, commit=commit_of(number), tested="passed", used=number > 2)
        for number, days in ((1, 96), (2, 61), (3, 28), (4, 4.2))
    ]
    builds[-1]["state"] = "current"
    builds[0]["amis"][0]["prune"] = new_prune(
        "keep", "parent", f"app {id_of('ami', 'app', 1, REGIONS[0])} was built from it"
    )
    builds[-1]["amis"][0]["uses"] = new_uses(instances=[new_instance("base", number) for number in range(2)])
    builds[-1]["amis"][0]["shared_with"] = ["123456789012", "o-a1b2c3d4e5"]
    template, script = ("files", "images/base/base.pkr.hcl"), ("files", "images/base/setup.sh")
    source = ("base", "source AMI")
    add_changes(
        builds,
        [
            {template: "3f1c9a2", script: "77aa012", source: "ami-0aa1"},
            {template: "3f1c9a2", script: "81bc3d0", source: "ami-0bb2"},
            {template: "9e0d4b7", script: "77aa012", source: "ami-0bb2"},
            {template: "9e0d4b7", script: "77aa012", source: "ami-0cc3"},
        ],
    )
    return new_image(
        "base",
        "current",
        builds,
        regions=list(REGIONS),
        children=["app", "worker", "bastion", "ci-runner"],
        keep={"last": 3, "within_seconds": None},
        channels=[
            new_channel("stable", "base", region, builds[-1], by="arn:aws:sts::210987654321:assumed-role/ci/gitlab")
            for region in REGIONS
        ],
        definition=new_definition("base", ("common/users.sh", "common/sysctl.conf"), test="images/base/test.pkr.hcl"),
    )


def _app() -> dict[str, Any]:
    regions = REGIONS[:2]
    days = (72, 51, 33, 19.5, 8, 1.25)
    builds = [
        new_build("app", number, age, regions, commit=commit_of(10 + number), parent="base")
        for number, age in enumerate(days, 1)
    ]
    new, canary, old, prod = builds[5], builds[4], builds[1], builds[3]
    new |= {"state": "superseded", "used": True, "tested": "passed"}
    canary |= {"state": "untested", "tested": "changed", "dirty": True, "channels": ["staging"]}
    prod |= {"channels": ["prod"], "used": True}
    builds[0] |= {"state": "disabled", "commit": None, "used": None}
    builds[0]["amis"][0] |= {
        "state": "disabled",
        "quarantined": ago(5),
        "prune": new_prune("wait", "quarantine", "until 2026-03-11 09:30Z"),
        "uses": new_uses(instances=None, launch_templates=None),
        "gibibytes": None,
        "monthly_cost_usd": None,
    }
    builds[0]["amis"][1] |= {
        "state": "disabled",
        "quarantined": ago(20),
        "prune": new_prune("deregister", "quarantine", "ended 2026-02-24 09:30Z"),
    }
    old |= {"state": "revoked", "revoked": "CVE-2026-0001: OpenSSL accepts any certificate; use the next build"}
    old["amis"][0] |= {"prune": new_prune("report", "shared", "with 123456789012; no usage report yet")}
    old["amis"][0]["uses"] = new_uses(instances=[new_instance("app", "old", days=44, state="stopped")])
    builds[2]["amis"][0] |= {"prune": new_prune("disable", "expired", "nothing needs it")}
    prod["amis"][0] |= {"prune": new_prune("keep", "channel", "prod"), "last_launched": ago(0.8)}
    prod["amis"][0]["uses"] = new_uses(
        instances=[new_instance("app", number, days=number) for number in range(1, 4)],
        launch_templates=[
            {
                "id": id_of("lt", "app"),
                "name": "app-prod",
                "versions": [{"number": 6, "aliases": []}, {"number": 7, "aliases": ["$Default", "$Latest"]}],
            },
            {"id": id_of("lt", "app", 2), "name": None, "versions": None},
        ],
        auto_scaling_groups=["app-prod-blue"],
        launch_configurations=["app-2024"],
        others=[{"kind": "SSM parameter", "name": "/terraform/app/ami"}],
    )
    new["amis"][0]["prune"] = new_prune("keep", "current")
    prod["amis"][1]["prune"] = None
    setup, template, unit = (("files", f"images/app/{name}") for name in ("setup.sh", "app.pkr.hcl", "app.service"))
    variable, packer, salt = ("variables", "instance_type"), ("tools", "packer"), ("settings", "salt")
    base = ("base", "source AMI")
    first = {setup: "0a1b2c3", template: "5566778", base: "ami-0aa1", packer: "1.10.3", variable: "t3.small"}
    second = first | {setup: "4d5e6f7", base: "ami-0bb2"}
    third = second | {unit: "1112223", variable: "t3.medium"}
    fourth = third | {setup: "0a1b2c3", packer: "1.11.2"}
    fifth = fourth | {salt: "2", template: "8899aab"}
    sixth = {**fifth, base: "ami-0cc3", variable: "t3.small"}
    del sixth[unit]
    add_changes(builds, [first, second, third, fourth, fifth, sixth])
    builds[1]["changes"]["notes"] = ["the build before has no commit, so its files are not known"]
    older_values = [
        {"version": 2, "ami": old["amis"][0]["ami"], "modified": ago(30), "by": "ana"},
        {"version": 1, "ami": builds[0]["id"], "modified": None, "by": None},
    ]
    channels = [
        new_channel("prod", "app", regions[0], prod, history=older_values, problem="eu-west-1 has another build"),
        new_channel("prod", "app", regions[1], old, problem="its build is revoked"),
        new_channel("staging", "app", regions[0], canary, by=None),
        new_channel("staging", "app", regions[1], None),
    ]
    findings = [
        {
            "level": "error",
            "code": "missing-file",
            "file": "images/app/app.pkr.hcl",
            "line": 41,
            "message": "the provisioner reads files/motd, which does not exist",
            "todo": "Add the file, or correct the path.",
        },
        {
            "level": "warning",
            "code": "local-command",
            "file": "images/app/app.pkr.hcl",
            "line": 58,
            "message": "a local command may read files that cannot be found by reading it",
            "todo": "Name these files in inputs.",
        },
        {
            "level": "notice",
            "code": "unpinned-plugin",
            "file": "images/app/app.pkr.hcl",
            "line": None,
            "message": "the template accepts any version of the amazon plugin",
            "todo": "Pin its version in required_plugins.",
        },
    ]
    return new_image(
        "app",
        "behind",
        builds,
        action="bake",
        reasons=[
            {"kind": "file", "subject": "images/app/setup.sh", "detail": "changed since commit 1f2e3d4"},
            {"kind": "tool", "subject": "packer", "detail": "1.11.2 instead of 1.10.3"},
        ],
        regions=list(regions),
        parent="base",
        tags={"team": "payments", "tier": "web"},
        keep={"last": 3, "within_seconds": 30 * 86400},
        channels=channels,
        findings=findings,
        definition=_app_definition(),
    )


def _app_definition() -> dict[str, Any]:
    inputs = [
        new_input("images/app", kind="directory"),
        new_input("images/app/app.pkr.hcl"),
        new_input("images/app/app.service"),
        new_input("images/app/current", kind="symlink"),
        new_input("images/app/setup.sh", executable=True),
    ]
    return new_definition(
        "app",
        only=["amazon-ebs.app"],
        source="base",
        source_amis=[id_of("ami", "base", 4, REGIONS[0])],
        variables=[{"name": "instance_type", "text": "t3.small"}, {"name": "db_password", "text": None}],
        var_files=["images/app/prod.pkrvars.hcl"],
        environment=["BUILD_CHANNEL", "HTTP_PROXY"],
        salt="2",
        test="images/app/test.pkr.hcl",
    ) | {"except": ["amazon-ebs.debug"], "inputs": inputs}


def _worker() -> dict[str, Any]:
    builds = [new_build("worker", number, days, parent="base") for number, days in ((1, 40), (2, 9))]
    add_changes(builds, [{("files", "images/worker/setup.sh"): "1"}, {("files", "images/worker/setup.sh"): "2"}])
    building = {"by": "gitlab job 48213 (ci-runner-7)", "job": _JOB, "since": ago(0.008), "expires": ago(-0.005)}
    reasons = [{"kind": "file", "subject": "images/worker/setup.sh", "detail": "changed"}]
    return new_image(
        "worker",
        "building",
        builds,
        action="wait",
        reasons=reasons,
        building=building,
        parent="base",
        children=["worker-gpu"],
    )


def _worker_gpu() -> dict[str, Any]:
    reasons = [{"kind": "parent", "subject": "worker", "detail": "must be built first"}]
    return new_image("worker-gpu", "pending", action="pending", reasons=reasons, digest=None, parent="worker")


def _bastion() -> dict[str, Any]:
    build = new_build("bastion", 1, 15, state="current", parent="base", used=True, tested="passed")
    return new_image("bastion", "current", [build], parent="base", tags={})


def _monitoring() -> dict[str, Any]:
    builds = [
        new_build("monitoring", 1, 22, tested="passed", used=True),
        new_build("monitoring", 2, 0.1, state="failing-test", tested="failing"),
    ]
    add_changes(
        builds, [{("files", "images/monitoring/setup.sh"): "1"}, {("files", "images/monitoring/setup.sh"): "2"}]
    )
    builds[1]["digest"] = None
    reasons = [
        {"kind": "test", "subject": builds[1]["id"], "detail": "it failed the test images/monitoring/test.pkr.hcl"}
    ]
    definition = new_definition("monitoring", test="images/monitoring/test.pkr.hcl")
    return new_image("monitoring", "failing-test", builds, action="test", reasons=reasons, definition=definition)


def _vault() -> dict[str, Any]:
    build = new_build("vault", 1, 12, state="revoked", revoked="built with the wrong certificate authority", used=True)
    reasons = [{"kind": "revoked", "subject": build["id"], "detail": "its AMI is revoked"}]
    return new_image("vault", "revoked", [build], action="bake", reasons=reasons, tags={"team": "security"})


def _legacy_api() -> dict[str, Any]:
    build = new_build("legacy-api", 1, 200, state="disabled", commit=None, run=None, dirty=True)
    build["amis"][0] |= {"state": "disabled", "quarantined": ago(2), "prune": new_prune("enable", "current")}
    reasons = [{"kind": "disabled", "subject": build["id"], "detail": "its AMI is disabled; bake enables it"}]
    definition = new_definition("legacy-api", template="packer.json", source=None)
    return new_image("legacy-api", "disabled", [build], action="enable", reasons=reasons, definition=definition)


def _database() -> dict[str, Any]:
    build = new_build("database", 1, 0.04, state="untested", tested="untested")
    reasons = [{"kind": "test", "subject": build["id"], "detail": "it did not pass the current test yet"}]
    return new_image("database", "untested", [build], action="test", reasons=reasons, findings=None)


def _windows() -> dict[str, Any]:
    definition = new_definition("windows", source="Windows_Server-2022-English-Full-Base-* of amazon")
    definition["source_amis"] = [id_of("ami", "gone")]
    return new_image("windows", "not-built", action="bake", definition=definition)


def _broken() -> dict[str, Any]:
    build = new_build("broken", 1, 300, commit="0123abc", used=None)
    build |= {
        "state": "unknown",
        "created": None,
        "digest": None,
        "source_amis": [],
        "builds_behind": None,
        "seconds_behind": None,
    }
    build["amis"][0] |= {
        "created": None,
        "shared_with": None,
        "gibibytes": None,
        "monthly_cost_usd": None,
        "uses": dict.fromkeys(build["amis"][0]["uses"]),
        "prune": new_prune("keep", "unknown", "instances cannot be read"),
    }
    image = new_image(
        "broken",
        "unknown",
        action=None,
        error="images/broken/broken.pkr.hcl:3: an argument or block is expected, but found '}'",
        digest=None,
        regions=[REGIONS[2]],
        definition=None,
        findings=None,
    )
    return image | {"builds": [build]}


def _ci_runner() -> dict[str, Any]:
    builds = [
        new_build("ci-runner", 1, 30, REGIONS[:2], parent="base"),
        new_build("ci-runner", 2, 0.5, parent="base", state="current"),
    ]
    add_changes(builds, [{("base", "source AMI"): "1"}, {("base", "source AMI"): UBUNTU}])
    reasons = [{"kind": "region", "subject": REGIONS[1], "detail": "its AMI is not copied there"}]
    return new_image(
        "ci-runner",
        "not-copied",
        builds,
        action="copy",
        reasons=reasons,
        regions=list(REGIONS[:2]),
        amis={REGIONS[0]: builds[1]["id"]},
        parent="base",
    )
