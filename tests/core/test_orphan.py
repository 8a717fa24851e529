"""What is a leftover, what is not, and what may be removed without asking twice: by tags, names and times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from ami_bakery.core.ec2.resource import Resource, ResourceKind
from ami_bakery.core.lock.lock import SeenLock
from ami_bakery.core.orphan.orphan import RunIndex, candidates, classify, expired_lock, read_notes

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
OLD = "20260131T080000Z-0a0a0a0a"
YOUNG = "20260131T114500Z-0b0b0b0b"
DIGEST = "d" * 64


def lock(run: str, minutes: int, **more: str) -> SeenLock:
    """One that expires so many minutes from now."""
    expires = (NOW + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    tags = {
        "ami-bakery:lock": DIGEST,
        "ami-bakery:run": run,
        "ami-bakery:expires": expires,
        **{f"ami-bakery:{name.replace('_', '-')}": value for name, value in more.items()},
    }
    return SeenLock(id="key-1", region="us-east-1", tags=tags, seen_at=NOW)


def thing(kind: ResourceKind = ResourceKind.SECURITY_GROUP, run: str = OLD, **more: object) -> Resource:
    name = {"name": "packer_1"} if kind in (ResourceKind.SECURITY_GROUP, ResourceKind.KEY_PAIR) else {}
    uses = {"uses": ("packer_1",)} if kind is ResourceKind.INSTANCE else {}
    tags: Mapping[str, str] = {"ami-bakery:run": run, "ami-bakery:image": "app"} if run else {}
    given: dict[str, object] = {"kind": kind, "id": "x-1", "region": "us-east-1", "tags": tags, **name, **uses, **more}
    return Resource(**given)  # type: ignore[arg-type]


def verdict(one: Resource, *locks: SeenLock, noted: str = "") -> bool | None:
    """Whether it is surely a leftover; None where it is none."""
    judged = classify(one, read_notes(locks, {}), NOW, noted=noted)
    return judged.sure if judged else None


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
def test_a_thing_is_as_dead_as_its_run(kind: ResourceKind) -> None:
    assert verdict(thing(kind), lock(OLD, +1)) is None
    assert verdict(thing(kind), lock(OLD, -10)) is True
    assert verdict(thing(kind)) is True, "older than three hours"
    assert verdict(thing(kind, YOUNG)) is False
    assert verdict(thing(kind, YOUNG), lock(YOUNG, -10)) is True
    assert verdict(thing(kind, YOUNG), lock(OLD, -10)) is False, "the lock of another run"


def test_what_is_finished_is_no_leftover() -> None:
    tags = {"ami-bakery:run": OLD, "ami-bakery:format": "1"}
    assert verdict(thing(ResourceKind.AMI, tags=tags), lock(OLD, -10)) is None
    original = {"ami-bakery:run": OLD, "ami_config_checksum": "a" * 40}
    assert verdict(thing(ResourceKind.AMI, tags=original), lock(OLD, -10)) is None, (
        "the original's checksum needs no more"
    )
    assert verdict(thing(ResourceKind.SNAPSHOT, tags=original)) is None


def test_a_lock_that_has_just_expired_may_be_renewed_yet() -> None:
    assert verdict(thing(), lock(OLD, -4)) is False
    assert verdict(thing(), lock(OLD, -6)) is True


def test_an_ami_that_the_next_bake_will_take_over_is_not_surely_one() -> None:
    ami = thing(ResourceKind.AMI, id="ami-1")
    assert verdict(ami, lock(OLD, -10, verified="us-east-1:ami-1 eu-west-1:ami-2")) is False
    assert verdict(ami, lock(YOUNG, -10, inherited_verified="us-east-1:ami-1")) is False
    assert verdict(ami, lock(OLD, -10, verified="eu-west-1:ami-1")) is True


def test_an_ami_that_a_living_run_has_taken_over_is_alive() -> None:
    ami = thing(ResourceKind.AMI, id="ami-1")
    assert verdict(ami, lock(YOUNG, +1)) is True
    assert verdict(ami, lock(YOUNG, +1, inherited_verified="us-east-1:ami-1")) is None
    assert verdict(ami, lock(YOUNG, +1, inherited_unverified="us-east-1:ami-1")) is None


def test_an_ami_that_was_given_up_is_one() -> None:
    tags = {"ami-bakery:run": YOUNG, "ami-bakery:abandoned": "20260131T110000Z-0c0c0c0c"}
    assert verdict(thing(ResourceKind.AMI, tags=tags)) is True


def test_an_instance_that_only_has_the_tags_is_never_surely_one() -> None:
    assert verdict(thing(ResourceKind.INSTANCE, uses=("production",)), lock(OLD, -10)) is False
    digest_only = {"ami_config_checksum": DIGEST}
    assert verdict(thing(ResourceKind.INSTANCE, "", tags=digest_only, uses=("production",))) is None
    assert verdict(thing(ResourceKind.INSTANCE, "", tags=digest_only)) is False


@pytest.mark.parametrize("kind", [ResourceKind.VOLUME, ResourceKind.SNAPSHOT])
def test_volumes_and_snapshots_with_a_digest_only_are_somebodys(kind: ResourceKind) -> None:
    assert verdict(thing(kind, "", tags={"ami_config_checksum": DIGEST})) is None


def test_what_carries_the_digest_of_a_living_lock_is_alive() -> None:
    one = thing(ResourceKind.AMI, "", tags={"ami_config_checksum": DIGEST})
    assert verdict(one) is False
    assert verdict(one, lock(YOUNG, +1)) is None


def test_what_a_dead_lock_notes_is_a_leftover_without_tags() -> None:
    assert verdict(thing(run=""), lock(YOUNG, -10), noted=YOUNG) is True
    assert verdict(thing(run=""), lock(YOUNG, +1), noted=YOUNG) is None
    by_name = thing(ResourceKind.AMI, "", name="the name that its run wanted to give")
    assert verdict(by_name, lock(YOUNG, -10), noted=YOUNG) is False, "the name may be another's"
    assert verdict(thing(ResourceKind.INSTANCE, "", uses=("chosen",)), lock(YOUNG, -10), noted=YOUNG) is False


def test_notes_are_those_of_dead_locks() -> None:
    notes = read_notes([lock(OLD, -10, key_pair="packer_1"), lock(YOUNG, +1, key_pair="packer_2")], {})
    assert notes.noted("ami-bakery:key-pair") == {"packer_1": OLD}


def test_a_lock_that_does_not_say_until_when_it_lives_is_dead() -> None:
    assert expired_lock(lock(OLD, +1)) is None
    assert expired_lock(lock(OLD, -10)) is not None
    assert expired_lock(lock(OLD, +1, expires="soon")) is not None


def test_only_what_may_be_a_leftover_is_looked_at() -> None:
    tagged = {
        "key-lock": lock(OLD, -10).tags,
        "ami-finished": {"ami-bakery:run": OLD, "ami-bakery:format": "1"},
        "i-alive": {"ami-bakery:run": YOUNG},
        "i-dead": {"ami-bakery:run": OLD},
    }
    assert list(candidates(tagged, RunIndex(alive=frozenset({YOUNG})))) == ["i-dead"]
