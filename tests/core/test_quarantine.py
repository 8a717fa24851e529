"""The tags of AMIs in quarantine."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.core.ec2.ami import copied_tags
from ami_bakery.core.ec2.quarantine import Quarantine, quarantine_tag_names, quarantine_tags, read_quarantine

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
ORGANIZATION = "arn:aws:organizations::123456789012:organization/o-exampleorgid"
UNIT = "arn:aws-us-gov:organizations::123456789012:ou/o-exampleorgid/ou-examplerootid111-exampleouid111"
ACCOUNTS = [f"{number:012}" for number in range(200)]


def test_quarantine_is_recorded_in_readable_tags() -> None:
    tags = quarantine_tags(NOON.astimezone(timezone(timedelta(hours=2))), ["all", "123456789012"])
    assert tags == {
        "ami-bakery:quarantined": "2026-06-01T12:00:00Z",
        "ami-bakery:quarantined-shares": "2 123456789012 all",
    }


def test_ami_that_is_not_shared_records_that() -> None:
    tags = quarantine_tags(NOON, ())
    assert tags["ami-bakery:quarantined-shares"] == "0"
    assert read_quarantine(tags) == Quarantine(since=NOON)


@given(permissions=st.sets(st.sampled_from([*ACCOUNTS, "all", ORGANIZATION, UNIT]), max_size=150))
def test_recorded_permissions_are_read_again(permissions: set[str]) -> None:
    tags = quarantine_tags(NOON, permissions)
    assert all(len(value) <= 256 for value in tags.values())
    assert read_quarantine({"Name": "app", **tags}) == Quarantine(since=NOON, permissions=frozenset(permissions))


def test_permissions_that_need_more_than_ten_tags_are_refused() -> None:
    assert len(quarantine_tags(NOON, ACCOUNTS[:185])) == 11
    with pytest.raises(ValueError, match="200 launch permissions do not fit into 10 tags"):
        quarantine_tags(NOON, ACCOUNTS)


def test_permission_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="marketplace-code cannot be recorded"):
        quarantine_tags(NOON, ["marketplace-code"])


@pytest.mark.parametrize(
    "changed",
    [
        {"ami-bakery:quarantined": ""},
        {"ami-bakery:quarantined": "yesterday"},
        {"ami-bakery:quarantined": "2026-6-1T12:00:00Z"},
        {"ami-bakery:quarantined": "2026-06-01T12:00:00"},
        {"ami-bakery:quarantined-shares": ""},
        {"ami-bakery:quarantined-shares": "-1"},
        {"ami-bakery:quarantined-shares": "00"},
        {"ami-bakery:quarantined-shares": "²"},
        {"ami-bakery:quarantined-shares": "1"},
        {"ami-bakery:quarantined-shares": "1 everyone"},
        {"ami-bakery:quarantined-shares": "1 1234567890123"},
        {"ami-bakery:quarantined-shares": "2 123456789012 123456789012"},
        {"ami-bakery:quarantined-shares": "1 123456789012 all"},
        {"ami-bakery:quarantined-shares-2": "all"},
    ],
)
def test_malformed_tags_are_no_quarantine(changed: dict[str, str]) -> None:
    assert read_quarantine({**quarantine_tags(NOON, ()), **changed}) is None


def test_missing_tag_is_noticed() -> None:
    tags = quarantine_tags(NOON, ACCOUNTS[:50])
    for name in quarantine_tag_names(tags):
        assert read_quarantine({other: value for other, value in tags.items() if other != name}) is None


def test_copies_have_no_tags_of_a_quarantine() -> None:
    tags = {"Name": "app", **quarantine_tags(NOON, ACCOUNTS[:50])}
    assert copied_tags(tags, {}, "") == {"Name": "app"}
    assert set(quarantine_tag_names(tags)) == tags.keys() - {"Name"}
