"""Region names: botocore's list, and suggestions for misspelt names."""

from __future__ import annotations

import botocore.session
import pytest

from ami_bakery.core.ec2.regions import REGIONS, unknown_region
from ami_bakery.core.text.suggestions import distance


def test_list_has_every_region_of_botocore() -> None:
    session = botocore.session.get_session()
    partitions = session.get_available_partitions()
    known = {name for partition in partitions for name in session.get_available_regions("ec2", partition)}
    assert known <= REGIONS


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("us-esat-1", "us-east-1"),
        ("us-eats-1", "us-east-1"),
        ("eu-wset-1", "eu-west-1"),
        ("us-east1", "us-east-1"),
        ("ap-southeats-2", "ap-southeast-2"),
        ("us_east_1", "us-east-1"),
        ("ca-cnetral-1", "ca-central-1"),
        ("US-EAST-1", "us-east-1"),
    ],
)
def test_region_with_swapped_letters_is_suggested(misspelt: str, meant: str) -> None:
    assert unknown_region(misspelt, ()) == f"AWS has no region {misspelt!r}; did you mean {meant!r}?"


def test_swapped_letters_are_one_edit() -> None:
    assert [distance("esat", other) for other in ("esat", "east", "west", "")] == [0, 1, 2, 4]
