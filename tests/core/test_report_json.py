"""Parts of the document of a report that no account in the embedded EC2 shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ami_bakery.core.config.model import (
    BaseFilter,
    BaseId,
    BaseImage,
    BaseParameter,
    BaseSource,
    ImageConfig,
    RetentionPolicy,
)
from ami_bakery.core.lock.inherited import InheritedAmis
from ami_bakery.core.lock.lock import LockRecord, Timing, new_lock_tags
from ami_bakery.core.report.image_states import ImageState
from ami_bakery.core.report.lineage_graph import LineageGraph
from ami_bakery.render.report_json import report_document
from ami_bakery.report.report_facts import ReportedImage, ReportFacts
from ami_bakery.report.reported_definitions import source_text
from ami_bakery.values import replace

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
IMAGE = ReportedImage(
    image=ImageConfig(name="app", template="app.json"),
    state=ImageState.BUILDING,
    plan=None,
    error=None,
    lock=None,
    regions=("us-east-1",),
    parent=None,
    children=(),
    definition=None,
    builds=(),
    channels=(),
)
FACTS = ReportFacts(
    now=NOW,
    account=None,
    regions=("us-east-1",),
    repository=None,
    job="",
    unknown=(),
    images=(IMAGE,),
    sources={},
    lineage=LineageGraph(nodes=(), edges=()),
    orphans=None,
    prune=None,
)


def test_runner_that_builds_an_image_is_named_with_its_job() -> None:
    tags = new_lock_tags(
        digest="a" * 64,
        image="app",
        run="r",
        holder="build-7 (pid 42)",
        job="https://ci.example/7",
        now=NOW,
        timing=Timing(lifetime_seconds=180),
        inherited=InheritedAmis(None, frozenset()),
    )
    lock = LockRecord(id="key-1", region="us-east-1", tags=tags, seen_at=NOW)
    document = report_document(replace(FACTS, images=(replace(IMAGE, lock=lock),)), "1")
    assert document["images"][0]["building"] == {
        "by": "build-7 (pid 42)",
        "job": "https://ci.example/7",
        "since": "2026-06-01T12:00:00+00:00",
        "expires": "2026-06-01T12:03:00+00:00",
    }


@pytest.mark.parametrize(
    ("policy", "rendered"),
    [
        (None, None),
        (RetentionPolicy(last=3), {"last": 3, "within_seconds": None}),
        (RetentionPolicy(within=timedelta(days=1)), {"last": None, "within_seconds": 86400}),
        (RetentionPolicy(last=0), {"last": 0, "within_seconds": None}),
    ],
)
def test_policy_has_only_what_is_configured(policy: RetentionPolicy | None, rendered: object) -> None:
    image = replace(IMAGE, image=replace(IMAGE.image, keep=policy))
    assert report_document(replace(FACTS, images=(image,)), "1")["images"][0]["keep"] == rendered


@pytest.mark.parametrize(
    ("base", "text"),
    [
        (BaseId(ami="ami-1"), "ami-1"),
        (BaseImage(image="base"), "base"),
        (BaseParameter(parameter="/aws/ubuntu"), "ssm: /aws/ubuntu"),
        (
            BaseFilter(owners=("self", "099720109477"), filters=(("name", ("ubuntu/*",)), ("state", ("available",)))),
            "name: ubuntu/*; state: available; owners: self, 099720109477",
        ),
    ],
)
def test_source_is_shown_as_configured(base: BaseSource, text: str) -> None:
    assert source_text(base) == text


def test_sentence_is_one_line() -> None:
    unknown = report_document(replace(FACTS, unknown=("a\n  b",)), "1")["unknown"]
    assert unknown == ["a b"]
