"""Copies and descendants of AMIs, which are revoked together."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.core.channel.descendants import affected_images, reason_problem, with_copies, with_descendants
from ami_bakery.core.ec2.ami import Ami, AmiState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def ami(
    ami_id: str, *, region: str = "us-east-1", origin: str = "", base: str = "", digest: str = "d", image: str = "app"
) -> Ami:
    tags = {
        "ami_config_checksum": digest,
        "ami-bakery:image": image,
        "ami-bakery:origin": origin or ami_id,
        "ami-bakery:from": base,
    }
    return Ami(id=ami_id, region=region, name=ami_id, state=AmiState.AVAILABLE, created=NOW, owner="1", tags=tags)


BASE = ami("ami-1", digest="b", image="base")
BASE_COPY = ami("ami-2", region="eu-west-1", origin="ami-1", digest="b", image="base")
CHILD = ami("ami-3", base="ami-1", digest="c")
CHILD_COPY = ami("ami-4", region="eu-west-1", origin="ami-3", base="ami-1", digest="c")
GRANDCHILD = ami("ami-5", base="ami-3", digest="g", image="web")
CHILD_OF_COPY = ami("ami-6", region="eu-west-1", base="ami-2", digest="e", image="far")
OTHER = ami("ami-7", base="ami-99", digest="o")
REBUILT = ami("ami-8", digest="b", image="base")
ALL = (BASE, BASE_COPY, CHILD, CHILD_COPY, GRANDCHILD, CHILD_OF_COPY, OTHER, REBUILT)


def ids(amis: tuple[Ami, ...]) -> set[str]:
    return {each.id for each in amis}


def test_copies_are_revoked_with_an_ami_but_not_another_build_of_the_digest() -> None:
    assert ids(with_copies([BASE], ALL)) == {"ami-1", "ami-2"}
    assert ids(with_copies([BASE_COPY], ALL)) == {"ami-1", "ami-2"}


def test_descendants_are_everything_built_from_it_or_from_a_copy() -> None:
    assert ids(with_descendants([BASE], ALL)) == {"ami-1", "ami-2", "ami-3", "ami-4", "ami-5", "ami-6"}
    assert affected_images(with_descendants([BASE], ALL)) == ("app", "base", "far", "web")
    assert ids(with_descendants([CHILD_COPY], ALL)) == {"ami-3", "ami-4", "ami-5"}


def test_an_ami_without_tags_has_no_copies() -> None:
    bare = Ami(id="ami-0", region="us-east-1", name="", state=AmiState.AVAILABLE, created=NOW, owner="1")
    other = Ami(id="ami-9", region="us-east-1", name="", state=AmiState.AVAILABLE, created=NOW, owner="1")
    assert with_descendants([bare], [other, *ALL]) == (bare,)


@given(order=st.permutations(ALL), seeds=st.lists(st.sampled_from(ALL), min_size=1))
def test_descendants_depend_on_no_order_and_are_closed(order: list[Ami], seeds: list[Ami]) -> None:
    found = with_descendants(seeds, order)
    assert found == with_descendants(seeds, ALL)
    assert with_descendants(found, ALL) == found
    assert ids(tuple(seeds)) <= ids(found)


@given(parents=st.dictionaries(st.integers(0, 9), st.integers(0, 9)))
def test_circular_tags_end(parents: dict[int, int]) -> None:
    """Anyone who may write tags can make a circle."""
    amis = [ami(f"ami-{child}", base=f"ami-{parent}", digest=str(child)) for child, parent in parents.items()]
    if amis:
        assert ids(with_descendants(amis[:1], amis)) <= ids(tuple(amis))


@pytest.mark.parametrize("reason", ["", "  ", "a\nb", "\x1b[31m", "x" * 257])
def test_unusable_reasons(reason: str) -> None:
    assert reason_problem(reason)


@pytest.mark.parametrize("reason", ["CVE-2026-1234", "x" * 256, "große Lücke ✓"])
def test_usable_reasons(reason: str) -> None:
    assert reason_problem(reason) == ""
