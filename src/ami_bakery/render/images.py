"""Renders AMIs and orphans as tables, trees and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ami_bakery.core.ec2.ami import COMMIT_TAG, DIGEST_TAG, Ami, AmiState
from ami_bakery.core.ec2.quarantine import read_quarantine
from ami_bakery.core.plan.describe import describe_age, describe_time
from ami_bakery.core.plan.tested import AmiTestState
from ami_bakery.core.text.sanitize import safe_json
from ami_bakery.core.text.table import Cell, Table
from ami_bakery.core.text.tree import Tree
from ami_bakery.render.text import FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from ami_bakery.core.ec2.lineage import Lineage
    from ami_bakery.core.orphan.orphan import Orphan
    from ami_bakery.inspect.inventory import ImageAmi, Listing, Outdated

_SHORT = 12
"""Number of characters shown of a digest or a commit."""


def images_json(amis: Sequence[ImageAmi], now: datetime) -> str:
    return safe_json({"format": FORMAT, "images": [ami_json(item, now) for item in amis]}, indent=2)


def outdated_json(outdated: Sequence[Outdated], now: datetime) -> str:
    images = [
        {
            **ami_json(item.made, now),
            "current_digest": item.digest.hex if item.digest else None,
            "awaits": item.awaits,
            "changed": [part.value for part in item.moved],
        }
        for item in outdated
    ]
    return safe_json({"format": FORMAT, "images": images}, indent=2)


def trees_json(listing: Listing, trees: Mapping[str, Sequence[Lineage]], now: datetime) -> str:
    """Renders the trees of each region as nested objects."""

    def node(lineage: Lineage) -> dict[str, Any]:
        ami = lineage.ami
        return {
            "ami": lineage.key.id,
            "region": lineage.key.region,
            "image": listing.image_of(lineage.key),
            "name": ami.name if ami else None,
            "state": ami.state.value if ami else "gone",
            "revoked": (ami.revoked if ami else "") or None,
            **_time_json(ami, now),
            "digest": ami.tags.get(DIGEST_TAG) if ami else None,
            "children": [node(child) for child in lineage.children],
        }

    regions = [{"region": region, "roots": [node(root) for root in roots]} for region, roots in trees.items()]
    return safe_json({"format": FORMAT, "regions": regions}, indent=2)


def orphan_json(orphan: Orphan, now: datetime) -> dict[str, Any]:
    began = orphan.began
    return {**orphan_members(orphan), "age_seconds": int((now - began).total_seconds()) if began else None}


def orphan_members(orphan: Orphan) -> dict[str, Any]:
    """Renders what is known about an orphan, without its age."""
    return {
        "kind": orphan.resource.kind.value,
        "id": orphan.resource.id,
        "name": orphan.resource.name,
        "region": orphan.resource.region,
        "image": orphan.image or None,
        "run": orphan.run or None,
        "began": orphan.began.isoformat() if orphan.began else None,
        "why": orphan.why,
        "sure": orphan.sure,
    }


def orphans_json(orphans: Sequence[Mapping[str, Any]]) -> str:
    return safe_json({"format": FORMAT, "orphans": list(orphans)}, indent=2)


def orphans_table(orphans: Sequence[Orphan], now: datetime) -> Table:
    return Table(
        columns=("KIND", "ID", "REGION", "IMAGE", "RUN", "AGE", "WHY"),
        rows=tuple(
            (
                Cell(orphan.resource.kind.value),
                Cell(orphan.resource.id, "bold"),
                Cell(orphan.resource.region),
                Cell(orphan.image or "-"),
                Cell(orphan.run or "-"),
                Cell(describe_time(orphan.began, now)),
                Cell(orphan.why, "" if orphan.sure else "yellow"),
            )
            for orphan in orphans
        ),
        optional=("RUN", "AGE", "IMAGE"),
    )


def ami_json(item: ImageAmi, now: datetime) -> dict[str, Any]:
    """Renders an AMI. Views of the same AMIs add members to it."""
    base = item.base_ami
    return {
        "image": item.image,
        "region": item.ami.region,
        "ami": item.ami.id,
        "name": item.ami.name,
        "state": item.ami.state.value,
        "revoked": item.ami.revoked or None,
        "quarantined": quarantined_since(item.ami),
        **_time_json(item.ami, now),
        "digest": item.ami.tags.get(DIGEST_TAG),
        "base": item.base.id if item.base else None,
        "base_region": item.base.region if item.base else None,
        "base_name": base.name if base else None,
        "base_created": base.created.isoformat() if base and base.created else None,
        "base_state": base.state.value if base else "gone" if item.base else None,
        "commit": item.ami.tags.get(COMMIT_TAG),
        "copy_of": item.copy_of.id if item.copy_of else None,
        "tested": _TESTED[item.tested][0] if item.tested else None,
    }


def _time_json(ami: Ami | None, now: datetime) -> dict[str, Any]:
    if ami is None or ami.created is None:
        return {"created": None, "age_seconds": None}
    return {"created": ami.created.isoformat(), "age_seconds": int((now - ami.created).total_seconds())}


_TESTED = {
    AmiTestState.PASSED: ("yes", "green"),
    AmiTestState.UNTESTED: ("no", "yellow"),
    AmiTestState.CHANGED: ("old", "yellow"),
    AmiTestState.FAILED: ("failed", "red"),
}
"""Words and colors of the states of tests."""


def images_table(amis: Sequence[ImageAmi], now: datetime) -> Table:
    """Returns a row for each AMI; `-` for a missing tag. The column TESTED is only shown if an image has a test.

    A narrow terminal omits the states only if all AMIs are available.
    """
    has_tests = any(item.tested for item in amis)
    tested = ("TESTED",) if has_tests else ()
    columns = ("IMAGE", "REGION", "AMI", "AGE", "STATE", "DIGEST", *tested, "BASE", "BASE AGE", "COMMIT")
    rows = tuple(
        (
            Cell(item.image, "bold"),
            Cell(item.ami.region),
            Cell(item.ami.id),
            Cell(_age(item.ami, now)),
            state_cell(item.ami),
            Cell(_digest(item.ami)),
            *((_tested(item),) if has_tests else ()),
            Cell(item.base.id if item.base else "-"),
            _base_age(item, now),
            Cell(_commit(item.ami), "dim"),
        )
        for item in amis
    )
    states = () if any(item.ami.revoked or not item.ami.available for item in amis) else ("STATE",)
    return Table(columns=columns, rows=rows, optional=("COMMIT", "BASE AGE", *states, "BASE", *tested, "DIGEST"))


def _tested(item: ImageAmi) -> Cell:
    return Cell(*_TESTED[item.tested]) if item.tested else Cell("-")


def outdated_table(outdated: Sequence[Outdated], now: datetime) -> Table:
    columns = ("IMAGE", "REGION", "AMI", "AGE", "DIGEST", "CURRENT DIGEST", "CHANGED")
    optional = ("CURRENT DIGEST", "DIGEST", "AGE")
    rows = tuple(
        (
            Cell(item.made.image, "bold"),
            Cell(item.made.ami.region),
            Cell(item.made.ami.id),
            Cell(_age(item.made.ami, now)),
            Cell(_digest(item.made.ami)),
            Cell(item.digest.short if item.digest else "unknown"),
            Cell(_changes(item), "yellow"),
        )
        for item in outdated
    )
    return Table(columns=columns, rows=rows, optional=optional)


def lineage_trees(listing: Listing, trees: Mapping[str, Sequence[Lineage]], now: datetime) -> Iterator[Tree]:
    """Yields a tree for each region."""

    def drawn(lineage: Lineage, region: str) -> Tree:
        branches = tuple(drawn(child, region) for child in lineage.children)
        return Tree(label=tuple(_label(listing, lineage, region, now)), branches=branches)

    for region, roots in trees.items():
        yield Tree(label=(Cell(region, "bold"),), branches=tuple(drawn(root, region) for root in roots))


def _label(listing: Listing, lineage: Lineage, region: str, now: datetime) -> Iterator[Cell]:
    image, ami, key = listing.image_of(lineage.key), lineage.ami, lineage.key
    yield Cell(key.id)
    if key.region != region:
        yield Cell(f"({key.region})")
    if ami is None:
        yield Cell("gone", "red")
        return
    yield Cell(image, "bold") if image else Cell(ami.name or "no name")
    yield Cell(_age(ami, now), "dim")
    if image:
        yield Cell(_digest(ami), "dim")
    if ami.revoked or not ami.available:
        yield state_cell(ami)


def _age(ami: Ami, now: datetime) -> str:
    return "-" if ami.created is None else describe_age(ami, now).removesuffix(" ago")


def _base_age(item: ImageAmi, now: datetime) -> Cell:
    if item.base is None:
        return Cell("-")
    return Cell("gone", "red") if item.base_ami is None else Cell(_age(item.base_ami, now))


def state_cell(ami: Ami) -> Cell:
    """Returns EC2's state, or what ami-bakery made of it: `revoked`, `quarantined`."""
    state = "quarantined" if quarantined_since(ami) else ami.state.value
    if ami.revoked:
        return Cell("revoked" if ami.available else f"revoked, {state}", "red")
    return Cell(state, "green" if ami.available else "yellow")


def quarantined_since(ami: Ami) -> str | None:
    """Returns when prune disabled an AMI. An enabled AMI may still have the tags."""
    quarantine = read_quarantine(ami.tags) if ami.state is AmiState.DISABLED else None
    return quarantine.since.isoformat() if quarantine else None


def _digest(ami: Ami) -> str:
    return ami.tags.get(DIGEST_TAG, "-")[:_SHORT]


def _commit(ami: Ami) -> str:
    commit, _, dirty = ami.tags.get(COMMIT_TAG, "-").partition("+")
    return commit[:_SHORT] + (f"+{dirty}" if dirty else "")


def _changes(outdated: Outdated) -> str:
    parts = [
        f"{part} (waiting for {outdated.awaits})" if part == "base" and outdated.awaits else part
        for part in outdated.moved
    ]
    return ", ".join(parts) or "unknown (the AMI has no record)"
