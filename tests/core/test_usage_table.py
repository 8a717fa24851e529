"""The table and JSON of what uses AMIs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from ami_bakery.core.channel.builds_behind import Behind
from ami_bakery.core.ec2.ami import REVOKED_TAG, Ami, AmiState
from ami_bakery.core.ec2.quarantine import quarantine_tags
from ami_bakery.core.ec2.usage import AmiReference, InstanceAmi, ReferenceKind, TemplateVersion
from ami_bakery.core.text.table import draw
from ami_bakery.inspect.inventory import ImageAmi
from ami_bakery.inspect.used_amis import UsedAmi, UsedTemplate
from ami_bakery.render.images import images_table, state_cell
from ami_bakery.render.usage_table import usage_json, usage_table
from ami_bakery.values import replace

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
AMI = Ami(
    id="ami-1",
    region="us-east-1",
    name="app-1",
    state=AmiState.AVAILABLE,
    created=NOON - timedelta(days=20),
    owner="123456789012",
)
MADE = ImageAmi(image="app", ami=AMI, base=None, base_ami=None, copy_of=None)
UNUSED = UsedAmi(
    made=MADE,
    behind=Behind(builds=0, time=timedelta()),
    instances=(),
    templates=(),
    groups=(),
    configurations=(),
    others=(),
)


def instance(number: int, state: str = "running") -> InstanceAmi:
    return InstanceAmi(instance=f"i-{number}", ami="ami-1", state=state, launched=NOON)


def used_by(item: UsedAmi) -> str:
    return usage_table([item]).rows[0][-1].text


def as_json(item: UsedAmi) -> dict[str, Any]:
    (found,) = json.loads(usage_json([item], NOON))["images"]
    return dict(found)


def test_resources_are_named_and_many_are_counted() -> None:
    version = TemplateVersion(template="lt-1", name="web", version=3, ami="ami-1", aliases=("$Default", "$Latest"))
    item = replace(
        UNUSED,
        behind=Behind(builds=1, time=timedelta(days=14, hours=3)),
        instances=(*(instance(number) for number in range(4)), instance(5, "stopped")),
        templates=(UsedTemplate(template="lt-1", versions=(replace(version, version=1, aliases=()), version)),),
        groups=(AmiReference(kind=ReferenceKind.AUTO_SCALING_GROUP, name="web"),),
        others=(AmiReference(kind=ReferenceKind.PARAMETER, name="/golden"),),
    )
    assert used_by(item) == (
        "instances i-0, i-1, i-2 and 2 more; launch template lt-1 web (1, 3 $Default $Latest); "
        "Auto Scaling group web; SSM parameter /golden"
    )
    assert "1 build, 14 days" in draw(usage_table([item]))
    found = as_json(item)
    assert (found["used"], found["behind_builds"], len(found["instances"])) == (True, 1, 5)
    assert found["instances"][4] == {"id": "i-5", "state": "stopped", "launched": "2026-06-01T12:00:00+00:00"}
    assert found["launch_templates"][0]["versions"][1] == {"number": 3, "aliases": ["$Default", "$Latest"]}
    assert (found["auto_scaling_groups"], found["launch_configurations"]) == (["web"], [])


def test_unused_ami_is_a_dash() -> None:
    assert used_by(UNUSED) == "-"
    assert as_json(UNUSED)["used"] is False


def test_uses_that_cannot_be_read_are_unknown() -> None:
    item = replace(UNUSED, behind=None, groups=None, configurations=None)
    assert used_by(item) == "unknown: Auto Scaling groups, launch configurations"
    assert (as_json(item)["used"], as_json(item)["auto_scaling_groups"]) == (None, None)
    also_used = replace(item, instances=(instance(1),), templates=(UsedTemplate(template="lt-1", versions=None),))
    assert used_by(also_used).startswith("instance i-1; launch template lt-1 (versions unknown); unknown: ")
    assert as_json(also_used)["used"] is True


def test_state_shows_revocation_and_quarantine() -> None:
    quarantined = replace(AMI, state=AmiState.DISABLED, tags=quarantine_tags(NOON, ()))
    enabled = replace(quarantined, state=AmiState.AVAILABLE)
    disabled = replace(AMI, state=AmiState.DISABLED)
    states = [state_cell(ami).text for ami in (AMI, quarantined, enabled, disabled)]
    assert states == ["available", "quarantined", "available", "disabled"]
    revoked = [replace(ami, tags={**ami.tags, REVOKED_TAG: "bad"}) for ami in (AMI, quarantined)]
    assert [state_cell(ami).text for ami in revoked] == ["revoked", "revoked, quarantined"]
    narrow = draw(images_table([replace(MADE, ami=quarantined)], NOON), width=60)
    assert "quarantined" in narrow, "a narrow terminal shows it, too"
    found = as_json(replace(UNUSED, made=replace(MADE, ami=revoked[1])))
    assert (found["state"], found["revoked"], found["quarantined"]) == ("disabled", "bad", "2026-06-01T12:00:00+00:00")
