"""The words, numbers and links of the report's page."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.render.report_page import humanized
from ami_bakery.render.report_page.console_links import console_url
from ami_bakery.render.report_page.embedding import anchor, embedded_json, visible_text, web_url
from ami_bakery.render.report_page.labels import PRUNE_ACTIONS, PRUNE_REASONS, STATES
from ami_bakery.render.report_page.lineage_rows import lineage_rows
from ami_bakery.render.report_page.overview_rows import overview_rows, reason_clauses
from ami_bakery.render.report_page.page_templates import by_part, keep_words, tag_groups, with_image
from ami_bakery.render.report_page.prune_rows import prune_counts, prune_rows, prune_why
from ami_bakery.render.report_page.usage_words import usage_counts, usage_lines, used_beyond_channels
from tests.documents import ROOT
from tests.report.documents import small_document

SCHEMA = json.loads((ROOT / "docs/reference/report.schema.json").read_text())["$defs"]
AMI = "ami-0123456789abcdef0"
NO_USES: dict[str, list[Any] | None] = {
    "instances": [],
    "launch_templates": [],
    "auto_scaling_groups": [],
    "launch_configurations": [],
    "others": [],
}


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "eu-west-1.console.aws.amazon.com"),
        ("cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_an_ami_links_to_the_console_of_its_partition(region: str, host: str) -> None:
    assert console_url(region, AMI) == f"https://{host}/ec2/home?region={region}#ImageDetails:imageId={AMI}"


@pytest.mark.parametrize(
    ("region", "ami"),
    [("us-iso-east-1", AMI), ("us-east-1", 'ami-1" onclick="x'), ("x/../y", AMI), ("us-east-1", None)],
)
def test_what_is_no_ami_of_a_known_partition_links_nowhere(region: str, ami: str | None) -> None:
    assert console_url(region, ami) is None


@pytest.mark.parametrize("url", ["https://example.org/a?b=c#d", "http://localhost:8080/"])
def test_a_web_url_is_a_link(url: str) -> None:
    assert web_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "javascript:alert(1)",
        " https://example.org",
        "https://a b",
        "//example.org",
        "https://",
        "http://[",
        "file:///x",
    ],
)
def test_other_urls_are_not_links(url: str | None) -> None:
    assert web_url(url) is None


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_embedded_json_round_trips_and_cannot_end_a_script(value: object) -> None:
    text = embedded_json(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")


@given(st.text())
def test_visible_text_has_no_control_characters_and_keeps_the_others(text: str) -> None:
    shown = visible_text(text)
    assert not [c for c in shown if ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029\u202d\u202e\u2066\u2069"]
    if shown != text:
        assert "\\" in shown


def test_visible_text_names_what_it_replaces() -> None:
    assert visible_text("a\x1b[1m\n\u202egpj") == "a\\x1b[1m\\n\\u202egpj"
    assert visible_text("+++ ::name é 👩‍🚀 שלום") == "+++ ::name é 👩‍🚀 שלום"


def test_the_id_of_a_view_has_only_characters_that_urls_keep() -> None:
    assert anchor("image", "my app/ü?#%") == "/image/my%20app%2F%C3%BC%3F%23%25"


def test_times_are_shown_in_utc() -> None:
    moment = humanized.moment("2026-03-01T01:30:59+02:00")
    assert moment is not None
    assert (moment.machine, moment.minute) == ("2026-02-28T23:30:59Z", "2026-02-28 23:30")
    assert humanized.moment("yesterday") is None
    assert humanized.moment(None) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds"),
        (59, "59 seconds"),
        (60, "1 minute"),
        (7300, "2 hours"),
        (86400, "1 day"),
        (86400 * 1800, "1,800 days"),
    ],
)
def test_durations_have_one_unit(seconds: int, text: str) -> None:
    assert humanized.rounded_duration(seconds) == text


def test_sizes_and_costs_are_rounded_and_unknown_ones_say_so() -> None:
    assert (humanized.gibibytes(1234.56), humanized.gibibytes(None)) == ("1,234.6 GiB", "unknown")
    assert (humanized.dollars(0.4), humanized.dollars(None)) == ("$0.40", "unknown")


def test_only_digests_and_full_commits_are_shortened() -> None:
    assert humanized.shortened("a" * 64) == "a" * 12
    assert humanized.shortened("v1.2.3") == "v1.2.3"
    assert humanized.shortened("../" * 20) == "../" * 20


def test_every_word_of_the_schema_has_a_label() -> None:
    assert set(SCHEMA["state"]["enum"]) | set(SCHEMA["build"]["properties"]["state"]["enum"]) == set(STATES)
    assert set(SCHEMA["prune"]["properties"]["action"]["enum"]) == set(PRUNE_ACTIONS)


def test_every_reason_of_prune_has_words() -> None:
    from ami_bakery.core.prune.retention import PruneReason

    assert {reason.value for reason in PruneReason} == set(PRUNE_REASONS)


def test_uses_are_counted_once_and_unread_kinds_are_unknown() -> None:
    instance = {"id": "i-1", "state": "running", "launched": None}
    uses = NO_USES | {"instances": [instance], "others": None}
    assert usage_counts([uses, uses]) == ("1 instance", "unknown: other references")
    some = [uses, NO_USES | {"others": [{"kind": "recipe", "name": "web"}]}]
    assert usage_counts(some) == ("1 instance", "1 other reference", "unknown for some AMIs: other references")
    assert usage_counts([NO_USES]) == ()
    assert usage_counts([dict.fromkeys(NO_USES)]) == ("unknown",)


def test_uses_have_their_names_and_what_is_special() -> None:
    template = {"id": "lt-1", "name": "web", "versions": [{"number": 3, "aliases": ["$Latest"]}]}
    stopped = {"id": "i-1", "state": "stopped", "launched": None}
    uses = NO_USES | {"instances": [stopped], "launch_templates": [template], "launch_configurations": None}
    assert usage_lines(uses) == (
        ("Instances", ("i-1 (stopped)",)),
        ("Launch templates", ("web lt-1 (version 3 $Latest)",)),
        ("Unknown", ("launch configurations",)),
    )


def test_a_row_of_the_overview_has_the_oldest_ami_in_use() -> None:
    rows = {row.image: row for row in overview_rows(small_document()["images"])}
    lag = rows["app"].lag
    assert lag is not None
    assert (lag.builds, rows["app"].older, rows["base"].older) == (2, True, False)
    assert rows["worker-gpu"].amis == ()
    missing = [each.region for each in rows["ci-runner"].amis if each.ami is None]
    assert missing == ["eu-west-1"]


def test_a_row_does_not_call_a_revoked_or_unplanned_image_older() -> None:
    rows = {row.image: row for row in overview_rows(small_document()["images"])}
    assert (rows["vault"].older, rows["database"].older, rows["worker-gpu"].older) == (False, False, False)
    (app,) = [image for image in small_document()["images"] if image["image"] == "app"]
    assert overview_rows([app | {"digest": None}])[0].older is None


def test_a_row_does_not_call_unknown_uses_and_dates_nothing() -> None:
    rows = {row.image: row for row in overview_rows(small_document()["images"])}
    assert (rows["broken"].in_use, rows["broken"].built, rows["broken"].created) == (None, True, None)
    assert (rows["windows"].in_use, rows["windows"].built) == (False, False)


def test_a_row_is_found_by_old_amis_digests_and_what_uses_them() -> None:
    (app,) = [image for image in small_document()["images"] if image["image"] == "app"]
    (row,) = overview_rows([app])
    oldest = app["builds"][-1]
    for text in (oldest["id"], oldest["digest"], "app-prod-blue", "tier=web", "prod"):
        assert text.lower() in row.searched


def test_a_reason_names_its_subject_once() -> None:
    reasons = [
        {"kind": "no-ami", "subject": "x", "detail": "no AMI"},
        {"kind": "file", "subject": "a.sh", "detail": "a.sh changed"},
        {"kind": "tool", "subject": "packer", "detail": "1.11.2"},
    ]
    assert reason_clauses({"error": None, "reasons": reasons}) == ("a.sh changed", "packer: 1.11.2")
    assert reason_clauses({"error": None, "reasons": reasons[:1]}) == ("x: no AMI",)
    assert reason_clauses({"error": "no template", "reasons": reasons}) == ("no template",)


def test_the_file_that_changed_is_the_reason_and_not_that_files_changed() -> None:
    changed = {"kind": "definition-changed", "subject": "ami-1", "detail": "the definition changed since ami-1"}
    files = {"kind": "files-changed", "subject": "files", "detail": "files changed"}
    file = {"kind": "file-changed", "subject": "a.sh", "detail": "a.sh changed"}
    none = {"kind": "no-ami", "subject": "x", "detail": "no AMI x"}
    assert reason_clauses({"error": None, "reasons": [changed, files, file, none]}) == ("a.sh changed",)
    assert reason_clauses({"error": None, "reasons": [changed, files, none]}) == ("files changed",)
    assert reason_clauses({"error": None, "reasons": [changed, none]}) == ("the definition changed since ami-1",)


def test_prune_lists_what_changes_and_counts_what_stays() -> None:
    images = small_document()["images"]
    assert [row.action for row in prune_rows(images)] == ["deregister", "disable", "enable", "wait", "report"]
    counts = prune_counts(images)
    considered = [ami for image in images for build in image["builds"] for ami in build["amis"] if ami["prune"]]
    assert sum(row.amis for row in counts) == len(considered)
    assert counts[0].action == "deregister"


@pytest.mark.parametrize(
    ("action", "reason", "detail", "text"),
    [
        ("keep", "channel", "prod", "channel: prod"),
        ("keep", "last", "one of the newest 3 builds", "one of the newest 3 builds"),
        ("keep", "unknown", "EC2 has no creation date", "unknown: EC2 has no creation date"),
        ("keep", "no-policy", None, "the image has no keep setting"),
        ("wait", "quarantine", "until 2026-03-11 09:30Z", "quarantine until 2026-03-11 09:30Z"),
        ("deregister", "expired", "nothing needs it", "nothing needs it"),
        ("keep", "new-reason", "x", "new-reason: x"),
    ],
)
def test_why_prune_chose_an_action_says_nothing_twice(action: str, reason: str, detail: str | None, text: str) -> None:
    assert prune_why({"prune": {"action": action, "reason": reason, "detail": detail}}) == text


def test_lineage_rows_have_both_directions_and_copies() -> None:
    rows = {row.node["label"]: row for row in lineage_rows(small_document()["lineage"])}
    assert {node["label"] for node in rows["base"].built} == {"app", "bastion", "ci-runner", "worker"}
    assert [node["label"] for node in rows["app"].origins] == ["base"]
    assert {node["region"] for node in rows["base"].copied} == {"eu-west-1", "ap-southeast-2"}


def test_commands_are_marked_and_names_are_quoted_for_a_shell() -> None:
    assert with_image("Run `bake {image}`.", "a b<`") == "Run <code>bake &#39;a b&lt;`&#39;</code>."


def test_equal_tags_of_regions_are_one_group() -> None:
    amis = [
        {"region": "a", "tags": {"k": "1"}},
        {"region": "b", "tags": {"k": "1"}},
        {"region": "c", "tags": {"k": "2"}},
    ]
    assert tag_groups({"amis": amis}) == ((("a", "b"), ("k = 1",)), (("c",), ("k = 2",)))


def test_keep_is_described() -> None:
    assert keep_words({"last": 1, "within_seconds": None}) == "the newest 1 build"
    assert keep_words({"last": 5, "within_seconds": 86400}) == "the newest 5 builds, and builds younger than 1 day"


def test_a_channel_of_the_image_is_not_a_use() -> None:
    channels = [{"parameter": "/ami-bakery/app/prod"}]
    own = NO_USES | {"others": [{"kind": "SSM parameter", "name": "/ami-bakery/app/prod"}]}
    other = NO_USES | {"others": [{"kind": "SSM parameter", "name": "/terraform/ami-bakery/app/prod"}]}
    assert not used_beyond_channels({"used": True, "amis": [{"uses": own}]}, channels)
    assert used_beyond_channels({"used": True, "amis": [{"uses": own}, {"uses": other}]}, channels)
    assert used_beyond_channels({"used": True, "amis": [{"uses": NO_USES}]}, channels)
    assert not used_beyond_channels({"used": None, "amis": [{"uses": other}]}, channels)


def test_changes_are_grouped_and_name_their_subject_once() -> None:
    changes = [
        {"part": "tools", "subject": "packer", "detail": "changed from 1 to 2"},
        {"part": "files", "subject": "a.sh", "detail": "a.sh changed"},
    ]
    assert by_part(changes) == (
        ("Files", (("a.sh", "changed"),)),
        ("Tools", (("packer", "changed from 1 to 2"),)),
    )
