"""`prune`: what it shows, and what it changes, in whole histories of an account."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from ami_bakery.local import FaultKind, InjectedFault
from tests.conftest import ec2_client
from tests.harness import json_template
from tests.release.channels import baked
from tests.release.pruning import FRIEND, HOME, KEEP, OTHER, Stock, days_ago, decided, stocked

if TYPE_CHECKING:
    from typing import Any

    from ami_bakery.local import LocalAws
    from tests.harness import Harness

ALL = ("--limit-percent", "100")
_CHANGES = ("CreateTags", "DeleteTags", "DisableImage", "EnableImage", "DeregisterImage", "CreateKeyPair")


def template_with_many_versions(local: LocalAws, ami: str) -> None:
    """The AMI is in the oldest of 12 versions: EC2's default depth is 10."""
    ec2 = ec2_client(local)
    ec2.create_launch_template(LaunchTemplateName="old", LaunchTemplateData={"ImageId": ami})
    for _ in range(11):
        ec2.create_launch_template_version(LaunchTemplateName="old", LaunchTemplateData={"InstanceType": "t3.micro"})


def test_reasons_are_shown_and_nothing_is_changed(harness: Harness, local: LocalAws) -> None:
    stock = stocked(harness, local)
    current = stock.build(100, digest=harness.run("digest").answer)[HOME]
    newest = stock.build(5)[HOME]
    unused, promoted_before, promoted = stock.build(40), stock.build(31), stock.build(30)
    stock.promote(promoted_before)
    stock.promote(promoted)
    running, templated, shared = (stock.build(35 + number)[HOME] for number in range(3))
    instance = stock.launch(running)
    template_with_many_versions(local, templated)
    stock.share(shared)
    over, waiting = stock.build(60), stock.build(61)
    stock.quarantine(over, 15)
    stock.quarantine(waiting, 13)
    protected, young, parent = stock.build(62)[HOME], stock.build(0.5, revoked="bad")[HOME], stock.build(63)[HOME]
    ec2_client(local).enable_image_deregistration_protection(ImageId=protected)
    child = stock.build(64, image="gone", base=parent)[HOME]  # not listed: the image is not configured any more
    harness.control.clear_report()
    run = harness.run("prune", *ALL)
    assert run.status == 0, run.stderr
    assert not set(_CHANGES) & set(harness.calls())
    assert harness.packer_runs == 0
    assert decided(harness, *ALL) == {
        current: "keep current planned",
        newest: "keep last planned",
        unused[HOME]: "disable expired planned",
        promoted[HOME]: "keep channel planned",
        promoted_before[HOME]: "keep channel planned",
        running: "keep in-use planned",
        templated: "keep in-use planned",
        shared: "report shared planned",
        over[HOME]: "deregister quarantine planned",
        waiting[HOME]: "wait quarantine planned",
        protected: "keep protected planned",
        young: "keep young planned",
        parent: "keep parent planned",
    }
    for text in (
        f"instance {instance}",
        "launch template lt-",
        f"shared: with {FRIEND}; no usage report yet",
        "roll-back of stable",
        f"{child} (gone) was built from it",
        "8.0 GiB",
        "$0.40",
        "13 AMIs: 104.0 GiB, at most $5.20 a month.",
        "upper bounds at $0.05 per GiB and month",
    ):
        assert text in run.stdout, run.stdout
    assert "run `ami-bakery prune --apply`" in run.stderr


def test_a_year_of_an_image(harness: Harness, local: LocalAws) -> None:
    """Quarantine, a second run, the end of the quarantine, and back into use with the shares of before."""
    stock = stocked(harness, local, regions=(HOME, OTHER))
    old, older, newest = stock.build(40, HOME, OTHER), stock.build(50, HOME, OTHER), stock.build(5, HOME, OTHER)
    stock.share(old[HOME])
    assert decided(harness, "--apply", *ALL)[old[HOME]] == "report shared done"
    run = harness.run("prune", "--apply", *ALL)
    assert run.status == 0, run.stderr
    states = stock.states()
    assert {states[ami] for ami in (*old.values(), *older.values())} == {"disabled"}, run.stdout
    assert {states[ami] for ami in newest.values()} == {"available"}
    assert stock.tags(old[HOME])["ami-bakery:quarantined-shares"] == f"1 {FRIEND}"
    harness.control.clear_report()
    again = decided(harness, "--apply", *ALL)
    assert again[older[HOME]] == again[older[OTHER]] == "wait quarantine kept"
    assert again[old[HOME]] == "report shared done", "a report of after the beginning of the quarantine is needed"
    assert not set(_CHANGES) & set(harness.calls())
    for region, ami in older.items():
        age = days_ago(15).strftime("%Y-%m-%dT%H:%M:%SZ")
        tag: Any = [{"Key": "ami-bakery:quarantined", "Value": age}]
        ec2_client(local, region).create_tags(Resources=[ami], Tags=tag)
    harness.control.clear_report()
    ended = harness.run("prune", "--apply", *ALL)
    assert ended.status == 0, ended.stderr
    assert not {*older.values()} & stock.states().keys()
    assert len(stock.snapshots(HOME)) == 2, "with its snapshots"
    gone = [call.region for call in harness.control.report().calls if call.action == "DeregisterImage"]
    assert gone == [OTHER, HOME], "copies first"
    harness.write("bakery.toml", (harness.folder / "bakery.toml").read_text().replace(KEEP, "keep = { last = 9 }\n"))
    back = harness.run("prune", "--apply")
    assert back.status == 0, back.stderr
    assert set(stock.states().values()) == {"available"}
    assert stock.permissions(old[HOME]) == [FRIEND]
    assert not [name for name in stock.tags(old[HOME]) if name.startswith("ami-bakery:quarantined")]
    harness.control.clear_report()
    assert "nothing to do" in harness.run("prune", "--apply").stderr
    assert not set(_CHANGES) & set(harness.calls())


def test_current_ami_is_never_disabled(harness: Harness, local: LocalAws) -> None:
    """Even with the strictest policy; after a change of the definition, the old one is not current any more."""
    stock = stocked(harness, local, keep="keep = { last = 0 }\n")
    first = stock.build(40, digest=harness.run("digest").answer)[HOME]
    assert decided(harness, "--apply", "--quarantine", "0", *ALL) == {first: "keep current kept"}
    second = baked(harness, "2")[HOME]
    assert decided(harness, "--apply", *ALL) == {
        first: "disable expired done",
        second: "keep current kept",
    }
    harness.write("ami/setup.sh", "echo 1\n")
    assert decided(harness, "--apply", *ALL)[first] == "enable current done", "what a bake would do, too"
    assert harness.run("bake").answer == first
    assert harness.packer_runs == 1


def test_ami_that_a_definition_starts_from_is_kept(harness: Harness, local: LocalAws) -> None:
    """Nothing was built from it yet, and the image is not selected."""
    stock = stocked(harness, local, keep="keep = { last = 0 }\n")
    config = (harness.folder / "bakery.toml").read_text()
    pinned, listed, other = stock.build(50)[HOME], stock.build(51), stock.build(52)[HOME]
    stock.quarantine(listed, 20)
    template = json_template(source_ami=pinned)
    del template["builders"][0]["source_ami_filter"]
    harness.write("child/child.json", template)
    child = '[images.child]\ntemplate = "child/child.json"\nregions = ["us-east-1"]\n'
    more = f'[images.more]\ntemplate = "child/absent.json"\nregions = ["us-east-1"]\nfrom = "{listed[HOME]}"\n'
    harness.write("bakery.toml", f"{config}\n{child}\n{more}")
    assert decided(harness, "app", *ALL) == {
        other: "disable expired planned",
        pinned: "keep in-use planned",
        listed[HOME]: "enable in-use planned",
    }


def test_ami_that_is_older_than_its_maximum_age_is_kept_until_it_is_replaced(harness: Harness, local: LocalAws) -> None:
    stock = stocked(harness, local, keep='keep = { last = 0 }\nmax_age = "30d"\n')
    old = stock.build(40, digest=harness.run("digest").answer)[HOME]
    assert decided(harness, "--apply", "--quarantine", "0", *ALL) == {old: "keep current kept"}
    new = harness.run("bake", "--id").answer
    assert decided(harness, *ALL) == {old: "disable expired planned", new: "keep current planned"}


def test_account_that_does_not_exist_any_more_costs_no_other_its_permission(harness: Harness, local: LocalAws) -> None:
    stock = stocked(harness, local, keep="keep = { last = 0 }\n")
    wanted = stock.build(40, digest=harness.run("digest").answer)
    stock.quarantine(wanted, 2, FRIEND, "111122223333")
    harness.control.plan(InjectedFault(action="ModifyImageAttribute", code="InvalidAMIAttributeItemValue", times=2))
    run = harness.run("prune", "--apply", *ALL)
    assert run.status == 0, run.stderr
    assert "is not shared with 111122223333 as before its quarantine" in run.stderr
    assert stock.permissions(wanted[HOME]) == [FRIEND]


def test_build_that_another_run_deregisters_meanwhile_is_skipped(harness: Harness, local: LocalAws) -> None:
    stock = stocked(harness, local, keep="keep = { last = 0 }\n")
    first, second = stock.build(50)[HOME], stock.build(40)[HOME]
    harness.control.plan(InjectedFault(action="CreateKeyPair", kind=FaultKind.DELAY, seconds=600))
    running = harness.start("prune", "--apply", "--quarantine", "0", "--json", *ALL)
    while not harness.control.held():
        time.sleep(0.05)
    ec2_client(local).deregister_image(ImageId=second)
    harness.control.release()
    answer, notes = running.communicate(timeout=300)
    assert running.returncode == 0, notes
    outcomes = {each["ami"]: each["outcome"] for each in json.loads(answer)["amis"]}
    assert outcomes == {first: "done", second: "skipped"}


def test_selection_limits_what_is_changed_and_not_what_protects(harness: Harness, local: LocalAws) -> None:
    stock = stocked(harness, local, keep="keep = { last = 0 }\n")
    config = (harness.folder / "bakery.toml").read_text()
    template = json_template(source_ami="{{user `source_ami`}}")
    del template["builders"][0]["source_ami_filter"]
    template["variables"]["source_ami"] = ""
    harness.write("child/child.json", template)
    child = 'template = "child/child.json"\nregions = ["us-east-1"]\nfrom = "app"\nkeep = { last = 0 }\n'
    harness.write("bakery.toml", f"{config}\n[images.child]\n{child}")
    parent, other = stock.build(50)[HOME], stock.build(51)[HOME]
    built = stock.build(40, image="child", base=parent)[HOME]
    pending = harness.run("prune", *ALL)
    assert decided(harness, "child", *ALL) == {built: "keep unknown planned"}, "app is to be built first"
    assert "its current digest is unknown until image app is built" in pending.stdout
    harness.write("child/child.json", json_template())
    harness.write("bakery.toml", f"{config}\n[images.child]\n{child}".replace('from = "app"\n', ""))
    assert decided(harness, "app", "--quarantine", "0", *ALL) == {
        other: "deregister expired planned",
        parent: "keep parent planned",
    }
    run = harness.run("prune", "--apply", "--quarantine", "0", *ALL)
    assert run.status == 0, run.stderr
    assert stock.states() == {}
    gone = [line for line in run.stderr.splitlines() if "deregistered" in line]
    order = [next(ami for ami in (parent, other, built) if ami in line) for line in gone]
    assert order.index(built) < order.index(parent)


def test_what_cannot_be_read_is_kept(harness: Harness, local: LocalAws) -> None:
    stock = stocked(harness, local, regions=(HOME, OTHER))
    ami = stock.build(40, HOME, OTHER)
    stock.build(5)
    for action, code in (
        ("DescribeImageReferences", "UnauthorizedOperation"),
        ("DescribeAutoScalingGroups", "AccessDenied"),
        ("DescribeImageAttribute", "UnauthorizedOperation"),
        ("GetParameterHistory", "AccessDeniedException"),
        ("GetParametersByPath", "AccessDeniedException"),
    ):
        stock.promote(stock.build(6, HOME, OTHER)) if action == "GetParameterHistory" else None
        harness.control.plan(InjectedFault(action=action, region=OTHER, code=code, times=0))
        run = harness.run("prune", "--json", *ALL)
        assert run.status == 0, run.stderr
        found = {each["ami"]: each for each in run.document["amis"]}[ami[HOME]]
        assert (found["action"], found["reason"]) == ("keep", "unknown"), action
        assert action in found["detail"]
        harness.control.clear_faults()
    harness.write("ami/app.json", "{")
    broken = harness.run("prune", "--apply", *ALL)
    assert broken.status == 0
    assert "image app cannot be planned, so its AMIs are kept" in broken.stderr
    assert set(stock.states().values()) == {"available"}


def test_unfinished_and_foreign_amis_are_never_touched(harness: Harness, local: LocalAws) -> None:
    stock = stocked(harness, local, keep="keep = { last = 0 }\n")
    finished = {"ami-bakery:image": "app", "ami-bakery:format": "1", "ami_config_checksum": "a" * 64}
    for number, tags in enumerate(
        (
            {**finished, "ami-bakery:format": ""},
            {name: value for name, value in finished.items() if name != "ami_config_checksum"},
            {**finished, "ami_config_checksum": "a" * 40},
            {**finished, "ami-bakery:image": "gone"},
        )
    ):
        created = days_ago(50).strftime("%Y-%m-%dT%H:%M:%SZ")
        harness.control.add_image(HOME, {"name": f"other-{number}", "tags": tags, "created": created})
    harness.control.add_image(
        HOME, {"name": "foreign", "tags": finished, "owner": "444455556666", "created": "2020-01-01T00:00:00Z"}
    )
    run = harness.run("prune", "--apply", "--quarantine", "0", *ALL)
    assert run.status == 0
    assert "no finished AMIs" in run.stderr
    assert len(stock.states()) == 4


def test_limits_and_failures(harness: Harness, local: LocalAws) -> None:
    """A failure of one AMI does not stop the others; parents of a failed child are not deregistered."""
    stock = stocked(harness, local, keep="keep = { last = 0 }\n")
    parent, other = stock.build(50)[HOME], stock.build(51)[HOME]
    child = stock.build(40, base=parent)[HOME]
    assert sorted(decided(harness, "--limit", "1").values()) == [
        "disable expired planned",
        "keep limit planned",
        "keep limit planned",
    ]
    fault = InjectedFault(action="DeregisterImage", code="IncorrectState", skip=1)
    harness.control.plan(fault)
    run = harness.run("prune", "--apply", "--quarantine", "0", *ALL, "--json")
    assert run.status == 1
    outcomes = {each["ami"]: (each["outcome"], each.get("error", "")) for each in run.document["amis"]}
    assert outcomes[other][0] == "done"
    assert outcomes[child][0] == "failed"
    assert "IncorrectState" in outcomes[child][1]
    assert outcomes[parent][0] == "skipped"
    assert stock.states().keys() == {parent, child}
    harness.control.clear_faults()
    ec2 = ec2_client(local)
    ec2.enable_image_deregistration_protection(ImageId=child, WithCooldown=True)
    ec2.disable_image_deregistration_protection(ImageId=child)
    cooling = harness.run("prune", "--apply", "--quarantine", "0", *ALL)
    assert cooling.status == 0, cooling.stderr
    assert "EC2 refuses to deregister it" in cooling.stdout
    assert stock.states().keys() == {parent, child}
    harness.control.change(cooldown_seconds=0)
    assert harness.run("prune", "--apply", "--quarantine", "0", *ALL).status == 0
    assert stock.states() == {}


def test_each_return_code_of_a_snapshot_counts(harness: Harness, local: LocalAws) -> None:
    stock = stocked(harness, local, keep="keep = { last = 0 }\n")
    ami = stock.build(50)[HOME]
    (snapshot,) = stock.snapshots()
    harness.control.plan(InjectedFault(action="DeleteSnapshot", code="InternalError", times=0))
    run = harness.run("prune", "--apply", "--quarantine", "0", *ALL)
    assert run.status == 1
    assert f"{ami} is deregistered, but 1 of its snapshots still exist" in run.stderr
    assert f"{snapshot}: DeregisterImage returned internal-error" in run.stderr
    assert f"aws ec2 delete-snapshot --region us-east-1 --snapshot-id {snapshot}" in run.stderr
    assert "run `ami-bakery images --orphans --clean`" in run.stderr
    harness.control.clear_faults()
    found = harness.run("images", "--orphans", "--clean", "--yes")
    assert found.status == 0, found.stderr
    assert f"snapshot {snapshot}" in " ".join(found.stdout.split())
    assert "its AMI was deregistered" in found.stdout
    assert stock.snapshots() == set()


def test_lock_of_a_bake_is_respected(harness: Harness, local: LocalAws) -> None:
    stock = stocked(harness, local, keep="keep = { last = 0 }\n")
    ami = stock.build(50)[HOME]
    name = f"ami-bakery-lock-{1:064x}"
    tags: Any = [{"Key": "ami-bakery:lock", "Value": f"{1:064x}"}, {"Key": "ami-bakery:holder", "Value": "build-7"}]
    expires = {"Key": "ami-bakery:expires", "Value": days_ago(-1).strftime("%Y-%m-%dT%H:%M:%SZ")}
    kind: Any = [{"ResourceType": "key-pair", "Tags": [*tags, expires]}]
    ec2 = ec2_client(local)
    pair = ec2.create_key_pair(KeyName=name, TagSpecifications=kind)["KeyPairId"]
    run = harness.run("prune", "--apply", *ALL)
    assert run.status == 0
    assert f"skipped {ami}: another runner bakes or prunes this definition: build-7" in run.stderr
    expires["Value"] = days_ago(0.1).strftime("%Y-%m-%dT%H:%M:%SZ")
    ec2.create_tags(Resources=[pair], Tags=[expires])  # type: ignore[list-item]
    run = harness.run("prune", "--apply", *ALL)
    assert "an interrupted bake of this definition still has the lock" in run.stderr
    assert stock.states() == {ami: "available"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--limit", "x"), "expected a whole number, 0 or more, got 'x'"),
        (("--limit-percent", "101"), "expected a number from 0 to 100, got '101'"),
        (("--quarantine", "14"), "expected a duration such as 0, 12h, 14d or 4w, got '14'"),
        (("nothing",), "has no image of this name"),
    ],
)
def test_wrong_arguments(harness: Harness, local: LocalAws, arguments: tuple[str, ...], text: str) -> None:
    Stock(harness, local)
    harness.write("bakery.toml", 'version = 1\n[images.app]\ntemplate = "a.json"\n')
    run = harness.run("prune", *arguments)
    assert run.status == 2
    assert text in run.stderr
