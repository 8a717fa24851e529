"""Which AMIs of an account prune may consider, and what was made from each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ami_bakery.core.channel.parameter import ChannelParameter, ChannelVersion
from ami_bakery.core.channel.retained import channel_amis, rollback_amis
from ami_bakery.core.ec2.ami import Ami, AmiState
from ami_bakery.core.ec2.lineage import AmiKey
from ami_bakery.core.prune.builds import FinishedAmi, finished_amis

HOME, OTHER = "us-east-1", "eu-west-1"
OWN = "123456789012"
HOMES = {"app": HOME, "base": HOME}


def ami(number: int, region: str = HOME, *, image: str = "app", digest: int | None = None, **more: Any) -> Ami:
    tags = {
        "ami-bakery:image": image,
        "ami-bakery:format": "1",
        "ami_config_checksum": f"{number if digest is None else digest:064x}",
        **more.pop("tags", {}),
    }
    fields: dict[str, Any] = {"state": AmiState.AVAILABLE, "owner": OWN, "created": datetime(2026, 1, 1, tzinfo=UTC)}
    return Ami(id=f"ami-{number:04}", region=region, name=f"{image}-{number}", tags=tags, **{**fields, **more})


def found(*amis: Ami) -> dict[str, FinishedAmi]:
    return {each.ami.id: each for each in finished_amis(amis, HOMES, OWN)}


@pytest.mark.parametrize(
    "other",
    [
        ami(1, owner="444455556666"),
        ami(1, tags={"ami-bakery:format": ""}),
        ami(1, tags={"ami_config_checksum": "a" * 40}),
        ami(1, tags={"ami_config_checksum": ""}),
        ami(1, image="gone"),
        ami(1, state=AmiState.PENDING),
        ami(1, state=AmiState.FAILED),
    ],
)
def test_only_finished_amis_of_this_account_and_these_images_count(other: Ami) -> None:
    assert found(other) == {}
    assert found(ami(1)).keys() == {"ami-0001"}
    assert found(ami(1, state=AmiState.DISABLED)).keys() == {"ami-0001"}


def test_copies_belong_to_the_build_that_they_were_copied_from() -> None:
    original = ami(1, tags={"ami-bakery:origin": "ami-0001"})
    tagged = ami(2, OTHER, digest=1, tags={"ami-bakery:origin": "ami-0001"})
    recorded = ami(3, "eu-west-2", digest=1, source="ami-0002", source_region=OTHER)
    assert {each.build for each in found(original, tagged, recorded).values()} == {AmiKey(HOME, "ami-0001")}
    assert found(tagged)["ami-0002"].build == AmiKey(HOME, "ami-0001"), "the original does not exist any more"


def test_circles_of_tags_end() -> None:
    one = ami(1, tags={"ami-bakery:origin": "ami-0002"})
    other = ami(2, tags={"ami-bakery:origin": "ami-0001"})
    assert len(found(one, other)) == 2


def test_copies_with_tags_of_another_build_are_a_problem() -> None:
    one = ami(1, tags={"ami-bakery:origin": "ami-0001"})
    other = ami(2, OTHER, tags={"ami-bakery:origin": "ami-0001"})
    assert {each.problem for each in found(one, other).values()} == {"its copies have tags of another build"}


def test_build_of_another_build_region_may_be_current_there() -> None:
    """The region may come from the environment. Its copy in our region says nothing about that."""
    original = ami(1, OTHER, tags={"ami-bakery:origin": "ami-0001"})
    copy = ami(2, HOME, digest=1, tags={"ami-bakery:origin": "ami-0001"}, source="ami-0001", source_region=OTHER)
    problem = f"it was built in {OTHER}, and the image is built in {HOME} now"
    assert [each.problem for each in found(original, copy).values()] == [problem, problem]
    assert found(copy)["ami-0002"].problem == ""


def test_source_amis_are_those_of_the_tags_and_of_ec2() -> None:
    bases = [ami(1, image="base"), ami(2, image="base"), ami(3, image="base")]
    child = ami(4, tags={"ami-bakery:from": "ami-0001 ami-0002"}, source="ami-0003")
    keys = {AmiKey(HOME, f"ami-000{number}") for number in (1, 2, 3)}
    assert set(found(*bases, child)["ami-0004"].bases) == keys


@pytest.mark.parametrize(
    "child",
    [
        ami(2, image="gone", tags={"ami-bakery:from": "ami-0001"}),
        ami(2, source="ami-0001", tags={"ami-bakery:format": ""}),
        ami(2, OTHER, state=AmiState.PENDING, tags={"ami-bakery:origin": "ami-0001"}),
        ami(2, source="ami-0001", state=AmiState.PENDING),
        ami(2, digest=1, source="ami-0001", source_region=HOME, tags={"ami-bakery:origin": "ami-0001"}),
    ],
)
def test_children_that_prune_never_touches_are_named(child: Ami) -> None:
    (name,) = found(ami(1), child)["ami-0001"].children
    assert name.startswith("ami-0002 (")


def channel(*values: int, region: str = HOME) -> ChannelParameter:
    versions = tuple(
        ChannelVersion(
            number=number,
            value=f"ami-{value:04}",
            kind="String",
            data_type="aws:ec2:image",
            description="",
            modified=None,
        )
        for number, value in enumerate(values, 1)
    )
    return ChannelParameter(region=region, name="/ami-bakery/app/stable", versions=versions)


def ids(keys: frozenset[AmiKey]) -> list[str]:
    return sorted(key.id for key in keys)


def test_roll_back_needs_the_previous_build_that_may_return() -> None:
    amis = [ami(1), ami(2), ami(3)]
    assert ids(channel_amis([channel(1, 2, 3)])) == ["ami-0003"]
    assert ids(rollback_amis([channel(1, 2, 3)], amis)) == ["ami-0002"]
    assert ids(rollback_amis([channel(1, 2, 3)], [ami(1), ami(3)])) == ["ami-0001"], "it does not exist any more"
    revoked = ami(2, tags={"ami-bakery:revoked": "bad"})
    assert ids(rollback_amis([channel(1, 2, 3)], [ami(1), revoked, ami(3)])) == ["ami-0001"]
    assert rollback_amis([channel(3)], amis) == frozenset()


def test_roll_back_that_would_skip_a_disabled_build_needs_both() -> None:
    quarantined = ami(2, state=AmiState.DISABLED, tags={"ami-bakery:quarantined": "2026-01-01T00:00:00Z"})
    assert ids(rollback_amis([channel(1, 2, 3)], [ami(1), quarantined, ami(3)])) == ["ami-0001", "ami-0002"]
    by_hand = ami(2, state=AmiState.DISABLED)
    assert ids(rollback_amis([channel(1, 2, 3)], [ami(1), by_hand, ami(3)])) == ["ami-0001"]


def test_roll_back_needs_a_build_in_all_regions() -> None:
    """The second build has no copy: a roll-back skips it, but it may get one."""
    first = [ami(1), ami(11, OTHER, digest=1)]
    for each in first:
        each.tags.update({"ami-bakery:origin": "ami-0001"})  # type: ignore[attr-defined]
    amis = [*first, ami(2), ami(3)]
    assert ids(rollback_amis([channel(1, 2, 3), channel(11, region=OTHER)], amis)) == [
        "ami-0001",
        "ami-0002",
        "ami-0011",
    ]
