"""Which resources are orphaned, and which may be removed without asking, by tags, names and times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from ami_bakery.core.ec2.resource import Resource, ResourceKind
from ami_bakery.core.lock.lock import LockRecord
from ami_bakery.core.orphan.attribution import Attribution
from ami_bakery.core.orphan.orphan import RunIndex, candidates, classify, expired_lock, index_runs
from ami_bakery.values import replace

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
OLD = "20260131T080000Z-0a0a0a0a"
YOUNG = "20260131T114500Z-0b0b0b0b"
DIGEST = "d" * 64


def lock(run: str, minutes: int, **more: str) -> LockRecord:
    """A lock that expires in `minutes` from now."""
    expires = (NOW + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    tags = {
        "ami-bakery:lock": DIGEST,
        "ami-bakery:run": run,
        "ami-bakery:expires": expires,
        **{f"ami-bakery:{name.replace('_', '-')}": value for name, value in more.items()},
    }
    return LockRecord(id="key-1", region="us-east-1", tags=tags, seen_at=NOW)


def resource(kind: ResourceKind = ResourceKind.SECURITY_GROUP, run: str = OLD, **more: object) -> Resource:
    name = {"name": "packer_1"} if kind in (ResourceKind.SECURITY_GROUP, ResourceKind.KEY_PAIR) else {}
    uses = {"uses": ("packer_1",)} if kind is ResourceKind.INSTANCE else {}
    tags: Mapping[str, str] = {"ami-bakery:run": run, "ami-bakery:image": "app"} if run else {}
    given: dict[str, object] = {"kind": kind, "id": "x-1", "region": "us-east-1", "tags": tags, **name, **uses, **more}
    return Resource(**given)  # type: ignore[arg-type]


def verdict(item: Resource, *locks: LockRecord, recorded_run: str = "") -> bool | None:
    """Whether the resource is certainly orphaned; None if it is not orphaned."""
    orphan = classify(item, index_runs(locks, {}), NOW, recorded_run=recorded_run)
    return orphan.sure if orphan else None


@pytest.mark.parametrize(
    "kind",
    [
        ResourceKind.INSTANCE,
        ResourceKind.SECURITY_GROUP,
        ResourceKind.KEY_PAIR,
        ResourceKind.AMI,
        ResourceKind.SNAPSHOT,
    ],
)
def test_resource_is_orphaned_if_its_run_is_dead(kind: ResourceKind) -> None:
    assert verdict(resource(kind), lock(OLD, +1)) is None
    assert verdict(resource(kind), lock(OLD, -10)) is True
    assert verdict(resource(kind)) is True, "older than three hours"
    assert verdict(resource(kind, YOUNG)) is False
    assert verdict(resource(kind, YOUNG), lock(YOUNG, -10)) is True
    assert verdict(resource(kind, YOUNG), lock(OLD, -10)) is False, "the lock of another run"


def test_finished_ami_is_not_orphaned() -> None:
    tags = {"ami-bakery:run": OLD, "ami-bakery:format": "1"}
    assert verdict(resource(ResourceKind.AMI, tags=tags), lock(OLD, -10)) is None
    original = {"ami-bakery:run": OLD, "ami_config_checksum": "a" * 40}
    assert verdict(resource(ResourceKind.AMI, tags=original), lock(OLD, -10)) is None, (
        "the original's checksum needs no more"
    )
    assert verdict(resource(ResourceKind.SNAPSHOT, tags=original)) is None


def test_lock_that_has_just_expired_may_still_be_renewed() -> None:
    assert verdict(resource(), lock(OLD, -4)) is False
    assert verdict(resource(), lock(OLD, -6)) is True


def test_ami_that_the_next_bake_will_adopt_is_not_certainly_orphaned() -> None:
    ami = resource(ResourceKind.AMI, id="ami-1")
    assert verdict(ami, lock(OLD, -10, verified="us-east-1:ami-1 eu-west-1:ami-2")) is False
    assert verdict(ami, lock(YOUNG, -10, inherited_verified="us-east-1:ami-1")) is False
    assert verdict(ami, lock(OLD, -10, verified="eu-west-1:ami-1")) is True


def test_ami_that_a_live_run_has_inherited_is_not_orphaned() -> None:
    ami = resource(ResourceKind.AMI, id="ami-1")
    assert verdict(ami, lock(YOUNG, +1)) is True
    assert verdict(ami, lock(YOUNG, +1, inherited_verified="us-east-1:ami-1")) is None
    assert verdict(ami, lock(YOUNG, +1, inherited_unverified="us-east-1:ami-1")) is None


def test_abandoned_ami_is_orphaned() -> None:
    tags = {"ami-bakery:run": YOUNG, "ami-bakery:abandoned": "20260131T110000Z-0c0c0c0c"}
    assert verdict(resource(ResourceKind.AMI, tags=tags)) is True


def test_instance_that_only_has_the_tags_is_never_certainly_orphaned() -> None:
    assert verdict(resource(ResourceKind.INSTANCE, uses=("production",)), lock(OLD, -10)) is False
    digest_only = {"ami_config_checksum": DIGEST}
    assert verdict(resource(ResourceKind.INSTANCE, "", tags=digest_only, uses=("production",))) is None
    assert verdict(resource(ResourceKind.INSTANCE, "", tags=digest_only)) is False


@pytest.mark.parametrize("kind", [ResourceKind.VOLUME, ResourceKind.SNAPSHOT])
def test_volumes_and_snapshots_with_only_a_digest_are_not_orphaned(kind: ResourceKind) -> None:
    assert verdict(resource(kind, "", tags={"ami_config_checksum": DIGEST})) is None


def test_resource_with_the_digest_of_a_live_lock_is_not_orphaned() -> None:
    item = resource(ResourceKind.AMI, "", tags={"ami_config_checksum": DIGEST})
    assert verdict(item) is False
    assert verdict(item, lock(YOUNG, +1)) is None


def test_untagged_resource_recorded_by_a_dead_lock_is_orphaned() -> None:
    assert verdict(resource(run=""), lock(YOUNG, -10), recorded_run=YOUNG) is True
    assert verdict(resource(run=""), lock(YOUNG, +1), recorded_run=YOUNG) is None
    by_name = resource(ResourceKind.AMI, "", name="the name that its run wanted to give")
    assert verdict(by_name, lock(YOUNG, -10), recorded_run=YOUNG) is False, "the name may be another's"
    assert verdict(resource(ResourceKind.INSTANCE, "", uses=("chosen",)), lock(YOUNG, -10), recorded_run=YOUNG) is False


def test_run_index_has_the_records_of_dead_locks_only() -> None:
    notes = index_runs([lock(OLD, -10, key_pair="packer_1"), lock(YOUNG, +1, key_pair="packer_2")], {})
    assert notes.recorded("ami-bakery:key-pair") == {"packer_1": OLD}


def test_lock_without_a_readable_expiry_is_expired() -> None:
    assert expired_lock(lock(OLD, +1)) is None
    found = expired_lock(lock(OLD, -10))
    assert found is not None and found.sure
    needed = expired_lock(lock(OLD, -10, rollback_to="us-east-1:ami-1"))
    assert needed is not None and not needed.sure, "the next roll-back of the channel continues this one"
    assert expired_lock(lock(OLD, +1, expires="soon")) is not None


def test_only_possible_orphans_are_candidates() -> None:
    tagged = {
        "key-lock": lock(OLD, -10).tags,
        "ami-finished": {"ami-bakery:run": OLD, "ami-bakery:format": "1"},
        "i-alive": {"ami-bakery:run": YOUNG},
        "i-dead": {"ami-bakery:run": OLD},
    }
    assert list(candidates(tagged, RunIndex(alive=frozenset({YOUNG})))) == ["i-dead"]


def test_group_of_an_instance_belongs_to_the_instances_run() -> None:
    known = Attribution(tagged={}, runs=index_runs([lock(OLD, -10, key_pair="packer_1")], {}))
    group = resource(run="", id="sg-1", name="packer_2")
    found = replace(known, instances=(resource(ResourceKind.INSTANCE, "", id="i-1", groups=("sg-1", "sg-users")),))
    assert (known.group_ids, known.run_of(group)) == ([], "")
    assert (found.group_ids, found.run_of(group)) == (["sg-1", "sg-users"], OLD)
    assert not found.is_of_run(resource(run="", id="sg-users", name="mine"))


def test_instance_with_a_key_pair_of_the_user_names_neither_groups_nor_key_pairs() -> None:
    copied = resource(ResourceKind.INSTANCE, id="i-1", uses=("mine",), groups=("sg-users",))
    known = Attribution(tagged={}, runs=RunIndex(alive=frozenset()), instances=(copied,))
    assert (known.group_ids, dict(known.all_key_pairs), dict(known.source_instances)) == ([], {}, {})
