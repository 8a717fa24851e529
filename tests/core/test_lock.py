"""The tags of a lock, its times, and the URL of the CI job."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ami_bakery.core.ci.job import ci_job
from ami_bakery.core.ec2.ami import ORIGIN_TAG, Ami, AmiState
from ami_bakery.core.lock.inherited import InheritedAmis
from ami_bakery.core.lock.lock import (
    ACQUIRED_TAG,
    CREATED_AMI_TAG,
    EXPIRES_TAG,
    INHERITED_TAG,
    INHERITED_VERIFIED_TAG,
    VERIFIED_TAG,
    LockRecord,
    Timing,
    expiry,
    format_amis,
    lock_timing,
    new_lock_tags,
    parse_amis,
    past_expiry,
)
from ami_bakery.errors import UsageError
from ami_bakery.values import replace

NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
TIMING = Timing()
DIGEST = "d" * 64


def lock(
    tags: Mapping[str, str] | None = None, *, after: float = 0, inherited: InheritedAmis | None = None
) -> LockRecord:
    new = new_lock_tags(
        digest=DIGEST,
        image="app",
        run="20260131T120000Z-0a",
        holder="build-7 (pid 42)",
        job="https://ci.example/job/7",
        now=NOON,
        timing=TIMING,
        inherited=inherited or InheritedAmis(),
    )
    seen_at = NOON + timedelta(seconds=after)
    return LockRecord(id="key-1", region="us-east-1", tags={**new, **(tags or {})}, seen_at=seen_at)


def ami(number: str, region: str) -> Ami:
    return Ami(id=f"ami-{number}", region=region, name="", state=AmiState.AVAILABLE, created=None, owner="")


def test_lock_shows_its_holder_and_its_job() -> None:
    assert lock().describe() == "build-7 (pid 42) since 12:00:00 UTC, https://ci.example/job/7"
    assert "since 2026-01-31 12:00:00 UTC" in lock(after=24 * 60 * 60).describe()
    assert replace(lock(), tags={}).describe() == "an unknown holder"
    assert (lock().digest, lock().run) == (DIGEST, "20260131T120000Z-0a")


def test_lock_expires_by_the_clock_of_ec2() -> None:
    assert not lock(after=180).expired
    assert lock(after=181).expired
    assert not lock({EXPIRES_TAG: expiry(NOON + timedelta(seconds=200.5), TIMING)}, after=300).expired
    assert lock({EXPIRES_TAG: past_expiry(NOON)}).expired
    assert lock({EXPIRES_TAG: "tomorrow"}).expired, "a lock without a readable expiry blocks no runner"


def test_lock_is_finished_once_the_digest_is_on_it() -> None:
    assert not lock().finished
    assert lock({ORIGIN_TAG: "ami-1"}).finished


def test_lock_passes_on_the_amis_that_dead_holders_recorded() -> None:
    assert lock().inherited == InheritedAmis()
    noted = lock({VERIFIED_TAG: "us-east-1:ami-1 eu-west-1:ami-2", CREATED_AMI_TAG: "ami-1"})
    assert noted.inherited == InheritedAmis("us-east-1:ami-1 eu-west-1:ami-2")
    half = lock({CREATED_AMI_TAG: "ami-3", INHERITED_VERIFIED_TAG: "us-east-1:ami-1", INHERITED_TAG: "us-east-1:ami-4"})
    assert half.inherited == InheritedAmis("us-east-1:ami-1", frozenset({"us-east-1:ami-3", "us-east-1:ami-4"}))
    assert lock(inherited=half.inherited).inherited == half.inherited
    assert lock({VERIFIED_TAG: "us-east-1:i-1; rm -rf /", INHERITED_TAG: "ami-1"}).inherited == InheritedAmis()


def test_only_one_verified_ami_is_inherited_as_verified() -> None:
    assert InheritedAmis("r:ami-1") | InheritedAmis("r:ami-2", frozenset({"r:ami-1"})) == InheritedAmis(
        "r:ami-1", frozenset({"r:ami-2"})
    )
    assert InheritedAmis() | InheritedAmis("r:ami-2") == InheritedAmis("r:ami-2")
    assert not InheritedAmis()


def test_recorded_amis_fit_into_a_tag_and_the_home_region_is_first() -> None:
    regions = [f"region-{number}" for number in range(20)]
    text = format_amis(
        [ami(f"0123456789abcde{number:02}", region) for number, region in enumerate(regions)], "region-9"
    )
    assert len(text) <= 256
    read = parse_amis(text)
    assert next(iter(read.items())) == ("region-9", "ami-0123456789abcde09")
    assert len(read) == 8


def test_lock_tags_are_never_empty_and_never_too_long() -> None:
    new = new_lock_tags(
        digest=DIGEST,
        image="app",
        run="r",
        holder="h" * 300,
        job="",
        now=NOON,
        timing=TIMING,
        inherited=InheritedAmis(),
    )
    assert max(map(len, new.values())) == 256
    assert all(new.values())


def test_all_times_are_proportional_to_the_lifetime() -> None:
    assert (TIMING.lifetime_seconds, TIMING.renew_seconds, TIMING.settling_seconds) == (180, 45, 15)
    short = lock_timing({"AMI_BAKERY_LOCK_TTL_SECONDS": " 12 "})
    assert (short.lifetime_seconds, short.renew_seconds, short.settling_seconds, short.poll_seconds) == (12, 3, 1, 1)
    assert lock_timing({}) == TIMING == lock_timing({"AMI_BAKERY_LOCK_TTL_SECONDS": ""})


@pytest.mark.parametrize("text", ["1", "0", "-5", "3m", "1.5", "nan", "86401", "9" * 30, "٣٣"])
def test_invalid_lifetime_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a whole number of seconds from 2 to 86400"):
        lock_timing({"AMI_BAKERY_LOCK_TTL_SECONDS": text})


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        (
            {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "a/b", "GITHUB_RUN_ID": "7"},
            "https://github.com/a/b/actions/runs/7",
        ),
        ({"CI_JOB_URL": "https://gitlab.example:8443/a/b/-/jobs/7"}, "https://gitlab.example:8443/a/b/-/jobs/7"),
        ({"BUILD_URL": "http://user:secret@[::1]:8080/job/a/7/?token=t#x"}, "http://[::1]:8080/job/a/7/"),
        (
            {
                "SYSTEM_COLLECTIONURI": "https://dev.azure.com/org/",
                "SYSTEM_TEAMPROJECT": "project",
                "BUILD_BUILDID": "7",
            },
            "https://dev.azure.com/org/project/_build/results?buildId=7",
        ),
        (
            {"BITBUCKET_REPO_FULL_NAME": "a/b", "BITBUCKET_BUILD_NUMBER": "7"},
            "https://bitbucket.org/a/b/pipelines/results/7",
        ),
        ({"BUILD_URL": "not an address"}, ""),
        ({"BUILD_URL": "https://[bad"}, ""),
        ({"BUILD_URL": "https://host/a b\nforged: line"}, ""),
        ({"GITHUB_SERVER_URL": "https://github.com"}, ""),
        ({}, ""),
    ],
)
def test_job_url_has_no_credentials_and_no_query(environment: dict[str, str], address: str) -> None:
    assert ci_job(environment) == address


DAY = timedelta(days=1)


def far(**changes: Any) -> LockRecord:
    """A lock whose expiry no renewal can have written, 25 hours after it was created."""
    tags = {EXPIRES_TAG: "2099-01-01T00:00:00Z", **changes}
    return lock(tags, after=25 * 60 * 60)


def test_lock_with_an_impossible_expiry_expires_after_the_longest_lifetime() -> None:
    assert far().exceeds_maximum
    assert far().expired
    assert not lock({EXPIRES_TAG: "2099-01-01T00:00:00Z"}, after=23 * 60 * 60).expired


@pytest.mark.parametrize("since", ["2098-01-01T00:00:00Z", "yesterday", ""])
def test_without_a_usable_acquisition_time_age_counts_from_the_first_sighting(since: str) -> None:
    lying = far(**{ACQUIRED_TAG: since})
    assert lying.exceeds_maximum
    assert not lying.expired
    assert not replace(lying, exists_since=lying.seen_at - DAY + timedelta(seconds=1)).expired
    assert replace(lying, exists_since=lying.seen_at - DAY - timedelta(seconds=1)).expired


def test_longest_configurable_lifetime_is_accepted() -> None:
    timing = Timing(lifetime_seconds=24 * 60 * 60)
    renewed = replace(lock({EXPIRES_TAG: expiry(NOON + 9 * DAY, timing)}), seen_at=NOON + 9 * DAY)
    assert not renewed.exceeds_maximum
    assert not renewed.expired, "it was created nine days ago, and is renewed"


def test_lock_has_the_configured_tags_and_its_own_tags_win() -> None:
    configured = [("team", "web"), (EXPIRES_TAG, "never"), ("empty", "")]
    tags = new_lock_tags(
        digest=DIGEST, image="app", run="r", holder="h", job="", now=NOON, timing=TIMING, inherited=InheritedAmis(),
        configured=configured,
    )  # fmt: skip
    assert (tags["team"], tags["empty"]) == ("web", "")
    assert tags[EXPIRES_TAG] == expiry(NOON, TIMING)


def test_configured_tags_leave_room_for_the_records_on_a_lock() -> None:
    many = [(f"tag-{number:02}", "x") for number in range(40)]
    tags = new_lock_tags(
        digest=DIGEST, image="app", run="r", holder="h", job="j", now=NOON, timing=TIMING,
        inherited=InheritedAmis("us-east-1:ami-1"), configured=many,
    )  # fmt: skip
    assert len(tags) == 33, "25 of those, and 8 of the 22 that a lock may come to have"
    assert "tag-24" in tags
