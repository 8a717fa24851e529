"""Names, versions and decisions of channels."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.core.channel.names import ChannelSettings, channel_name_problem, prefix_problem
from ami_bakery.core.channel.parameter import (
    AMI_DATA_TYPE,
    Blocked,
    ChannelParameter,
    ChannelVersion,
    Obstacle,
    Unchanged,
    WriteVersion,
    channel_description,
    decide_write,
    earlier_amis,
    last_written,
    listed_amis,
)
from ami_bakery.core.channel.promotable import (
    PromotionRules,
    build_key,
    copies_of,
    same_build,
    why_not_promoted,
    why_not_restored,
)
from ami_bakery.core.ec2.ami import Ami, AmiState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OURS = channel_description("app", "stable")
RULES = PromotionRules(image="app", account="123456789012", tested=False)
TAGS = {"ami_config_checksum": "d", "ami-bakery:format": "1", "ami-bakery:image": "app", "ami-bakery:origin": "ami-1"}

images = st.text("aZ09._-", min_size=1, max_size=20)
ids = st.integers(1, 5).map(lambda number: f"ami-{number:08x}")


def version(number: int, value: str, *, description: str = OURS, labels: tuple[str, ...] = ()) -> ChannelVersion:
    return ChannelVersion(
        number=number,
        value=value,
        kind="String",
        data_type=AMI_DATA_TYPE,
        description=description,
        modified=NOW + timedelta(seconds=number),
        labels=labels,
    )


def parameter(*values: str, region: str = "us-east-1") -> ChannelParameter:
    versions = tuple(version(number, value) for number, value in enumerate(values, 1))
    return ChannelParameter(region=region, name="/ami-bakery/app/stable", versions=versions)


def ami(ami_id: str = "ami-1", region: str = "us-east-1", **changes: str) -> Ami:
    tags = {**TAGS, **{f"ami-bakery:{name}": value for name, value in changes.items()}}
    return Ami(
        id=ami_id,
        region=region,
        name="app",
        state=AmiState.AVAILABLE,
        created=NOW,
        owner="123456789012",
        tags=tags,
    )


@given(image=images, channel=st.text(max_size=70))
def test_a_channel_is_found_by_its_parameter(image: str, channel: str) -> None:
    settings = ChannelSettings()
    found = settings.channel_of(image, settings.parameter(image, channel))
    assert found == (None if channel_name_problem(channel) else channel)


@given(other=images)
def test_parameters_of_other_images_are_no_channels_of_this_one(other: str) -> None:
    settings = ChannelSettings()
    assert other == "app" or settings.channel_of("app", settings.parameter(other, "stable")) is None


def test_only_listed_channels_are_allowed() -> None:
    settings = ChannelSettings(names=("beta", "stable"))
    assert settings.problem("app", "stable") == ""
    assert "did you mean 'stable'?" in settings.problem("app", "stabel")


def test_names_that_do_not_fit_a_lock_are_refused() -> None:
    assert "has 231 characters" in ChannelSettings(prefix="/" + "x" * 101).problem("a" * 63, "c" * 64)


@pytest.mark.parametrize("prefix", ["", "/", "ami", "/ami/", "/a b", "/aws/x", "/AWS", "/ssm-x", "/a//b", "/a" * 14])
def test_prefixes_that_ssm_does_not_allow(prefix: str) -> None:
    assert prefix_problem(prefix)


@pytest.mark.parametrize("prefix", ["/ami-bakery", "/golden/images", "/a.b_c-d", "/a" * 13])
def test_prefixes_that_ssm_allows(prefix: str) -> None:
    assert prefix_problem(prefix) == ""


def test_missing_parameter_is_created() -> None:
    assert decide_write(parameter(), "ami-1") == WriteVersion(ami="ami-1", previous=None)


@given(values=st.lists(ids, min_size=1, max_size=8), wanted=ids)
def test_only_another_value_is_written(values: list[str], wanted: str) -> None:
    found = parameter(*values)
    write = decide_write(found, wanted)
    expected = (
        Unchanged(version=len(values)) if values[-1] == wanted else WriteVersion(ami=wanted, previous=found.current)
    )
    assert write == expected


@given(values=st.lists(ids, max_size=8), wanted=ids)
def test_second_write_of_an_ami_changes_nothing(values: list[str], wanted: str) -> None:
    match decide_write(parameter(*values), wanted):
        case WriteVersion(ami=written):
            after = parameter(*values, written)
        case _:
            after = parameter(*values)
    assert decide_write(after, wanted) == Unchanged(version=len(after.versions))


def test_foreign_parameter_needs_adopt() -> None:
    found = ChannelParameter(region="us-east-1", name="/x", versions=(version(3, "ami-1", description=""),))
    blocked = decide_write(found, "ami-1")
    assert isinstance(blocked, Blocked) and blocked.obstacle is Obstacle.FOREIGN
    assert isinstance(decide_write(found, "ami-1", adopt=True), WriteVersion)


def test_other_type_is_blocked_even_with_adopt() -> None:
    secret = ChannelVersion(number=1, value="", kind="SecureString", data_type="text", description="", modified=NOW)
    found = ChannelParameter(region="us-east-1", name="/x", versions=(secret,))
    blocked = decide_write(found, "ami-1", adopt=True)
    assert isinstance(blocked, Blocked) and blocked.obstacle is Obstacle.OTHER_TYPE


@given(count=st.integers(1, 100), labelled=st.integers(1, 100))
def test_only_a_label_on_the_oldest_of_100_versions_blocks(count: int, labelled: int) -> None:
    versions = tuple(
        version(number, "ami-1", labels=("golden",) if number == labelled else ()) for number in range(1, count + 1)
    )
    write = decide_write(ChannelParameter(region="us-east-1", name="/x", versions=versions), "ami-2")
    assert isinstance(write, Blocked) == (count == 100 and labelled == 1)


@given(values=st.lists(ids, min_size=1, max_size=12))
def test_earlier_amis_are_all_others_once_newest_first(values: list[str]) -> None:
    earlier = list(earlier_amis(parameter(*values)))
    assert {each.value for each in earlier} == set(values) - {values[-1]}
    assert len({each.value for each in earlier}) == len(earlier)
    assert [each.number for each in earlier] == sorted((each.number for each in earlier), reverse=True)
    for each in earlier:
        assert each.value not in values[each.number : -1]


@given(values=st.lists(ids, min_size=1, max_size=12))
def test_listed_amis_are_the_current_one_and_all_earlier_ones(values: list[str]) -> None:
    found = parameter(*values)
    assert list(listed_amis(found)) == [found.current, *earlier_amis(found)]


def test_earlier_values_that_are_no_amis_are_ignored() -> None:
    assert [each.value for each in earlier_amis(parameter("ami-12", "text", "ami-; rm", "ami-34"))] == ["ami-12"]


@given(counts=st.lists(st.integers(0, 5), max_size=5))
def test_last_written_region_is_the_first_of_the_newest(counts: list[int]) -> None:
    regions = [parameter(*["ami-1"] * count, region=str(at)) for at, count in enumerate(counts)]
    found = last_written(regions)
    newest = max(counts, default=0)
    assert (found is None) == (newest == 0)
    assert found is None or found.region == str(counts.index(newest))


def test_finished_ami_is_promotable() -> None:
    assert why_not_promoted([ami()], RULES) is None


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"revoked": "bad"}, "it is revoked: bad"),
        ({"format": ""}, "it has no tag ami-bakery:format"),
        ({"image": "web"}, "it is an AMI of image web, not of app"),
    ],
)
def test_unusable_ami_is_not_promotable(changed: dict[str, str], why: str) -> None:
    found = why_not_promoted([ami(), ami("ami-2", "eu-west-1", **changed)], RULES)
    assert found is not None
    assert (found[0].id, why in found[1]) == ("ami-2", True)


def test_copy_is_tested_if_its_original_is() -> None:
    rules = PromotionRules(image="app", account="123456789012", tested=True)
    assert why_not_promoted([ami(), ami("ami-2", "eu-west-1")], rules) is not None
    assert why_not_promoted([ami(tested="t"), ami("ami-2", "eu-west-1")], rules) is None


def test_missing_and_revoked_amis_are_not_restored() -> None:
    assert why_not_restored(None) == "it does not exist any more, or is disabled"
    assert why_not_restored(ami(revoked="bad")) == "it is revoked: bad"
    assert why_not_restored(ami()) == ""


def test_copies_of_one_build_share_digest_and_origin() -> None:
    original, copy = ami(), ami("ami-2", "eu-west-1")
    rebuilt = ami("ami-3", "eu-west-1", origin="ami-9")
    assert same_build([original, copy])
    assert not same_build([original, rebuilt])
    assert not same_build([original, None])
    assert copies_of(original, [copy, rebuilt, ami("ami-4")]) == {"us-east-1": (original,), "eu-west-1": (copy,)}
    assert build_key(original) != build_key(rebuilt)
    assert not same_build([ami(origin=""), ami("ami-2", "eu-west-1", origin="")]), "nothing shows that one is a copy"
