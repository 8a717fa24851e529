"""Lineage of AMIs, from tags and EC2's data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.core.ec2.ami import FROM_TAG, ORIGIN_TAG, Ami, AmiState
from ami_bakery.core.ec2.lineage import AmiKey, Lineage, baked_from, copied_from, grow, key_of
from ami_bakery.core.text.table import Cell
from ami_bakery.core.text.tree import Tree
from ami_bakery.values import replace

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOME = "us-east-1"
AMI = Ami(id="ami-1", region=HOME, name="x", state=AmiState.AVAILABLE, created=NOW, owner="1")


def test_source_ami_is_read_from_the_tag_or_from_ec2() -> None:
    tagged = replace(AMI, tags={FROM_TAG: "ami-b", ORIGIN_TAG: "ami-1"}, source="ami-b", source_region=HOME)
    assert (baked_from(tagged, HOME), copied_from(tagged, HOME)) == (AmiKey(HOME, "ami-b"), None)
    assert baked_from(replace(tagged, tags={}), HOME) == AmiKey(HOME, "ami-b")
    assert baked_from(AMI, HOME) is None


def test_ec2_decides_between_several_source_amis() -> None:
    tagged = replace(AMI, tags={FROM_TAG: "ami-a ami-b"})
    assert baked_from(replace(tagged, source="ami-b"), HOME) == AmiKey(HOME, "ami-b")
    assert baked_from(tagged, HOME) == AmiKey(HOME, "ami-a")


def test_source_ami_of_a_copy_is_in_the_build_region() -> None:
    copy = replace(AMI, id="ami-2", region="eu-west-1", tags={FROM_TAG: "ami-b", ORIGIN_TAG: "ami-1"}, source="ami-1")
    for ami in (replace(copy, source_region=HOME), replace(copy, source=None)):
        assert copied_from(ami, HOME) == AmiKey(HOME, "ami-1")
        assert baked_from(ami, HOME) == AmiKey(HOME, "ami-b")
    untagged = replace(copy, tags={}, source_region=HOME)
    assert (copied_from(untagged, HOME), baked_from(untagged, HOME)) == (AmiKey(HOME, "ami-1"), None)


def test_copy_within_a_region_is_a_copy() -> None:
    encrypted = replace(AMI, id="ami-2", tags={ORIGIN_TAG: "ami-1"}, source="ami-1", source_region=HOME)
    assert copied_from(encrypted, HOME) == AmiKey(HOME, "ami-1")


def shape(trees: tuple[Lineage, ...]) -> list[object]:
    return [(tree.key.id, shape(tree.children)) for tree in trees]


def test_trees_list_the_newest_first_and_missing_source_amis_as_roots() -> None:
    amis = [replace(AMI, id=name, created=NOW - timedelta(days=days)) for name, days in (("a", 3), ("b", 1), ("c", 2))]
    known = {key_of(ami): ami for ami in amis}
    a, b, c, gone = (AmiKey(HOME, name) for name in ("a", "b", "c", "gone"))
    trees = grow({a: gone, b: gone, c: None}, known)
    assert shape(trees) == [("c", []), ("gone", [("b", []), ("a", [])])]
    assert trees[1].ami is None


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.none() | st.sampled_from("abcdefghxy")))
def test_every_ami_is_in_the_trees_once_even_if_tags_are_circular(made: dict[str, str | None]) -> None:
    parents = {AmiKey(HOME, name): AmiKey(HOME, parent) if parent else None for name, parent in made.items()}

    def names(trees: tuple[Lineage, ...]) -> list[str]:
        return [name for tree in trees for name in (tree.key.id, *names(tree.children))]

    found = names(grow(parents, {}))
    assert sorted(found) == sorted({*made, *(parent for parent in made.values() if parent)})


def test_tree_is_drawn_with_ascii_characters() -> None:
    def leaf(name: str) -> Tree:
        return Tree(label=(Cell(name),))

    tree = Tree(
        label=(Cell("top"),),
        branches=(
            Tree(label=(Cell("a"), Cell("bold", "bold")), branches=(leaf("a1"), leaf("a2"))),
            Tree(label=(Cell("b"),), branches=(Tree(label=(Cell("b1"),), branches=(leaf("deep"),)),)),
        ),
    )
    assert [lead + " ".join(cell.text for cell in label) for lead, label in tree.lines()] == [
        "top",
        "|-- a bold",
        "|   |-- a1",
        "|   `-- a2",
        "`-- b",
        "    `-- b1",
        "        `-- deep",
    ]
