"""The comment for a pull request: complete if it fits, and never longer than the limit."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_bakery.core.definition.digest import Digest, Scheme
from ami_bakery.core.plan.plan import Action, ImagePlan, Reason
from ami_bakery.render.markdown import COMMENT_MARK, plan_comment

DIGEST = Digest(scheme=Scheme.SHA256, hex="ab" * 32)


def plan(name: str, *reasons: str, action: Action = Action.BAKE) -> ImagePlan:
    found = tuple(Reason("files-changed", reason, reason) for reason in reasons)
    return ImagePlan(image=name, action=action, digest=DIGEST, reasons=found, regions=("us-east-1",), amis={})


def test_actions_are_in_a_table_and_reused_images_are_collapsed() -> None:
    plans = [plan("app", "a.sh changed", "b.sh changed"), plan("base", action=Action.REUSE)]
    assert plan_comment(plans, 65_536).splitlines() == [
        COMMENT_MARK,
        "### ami-bakery plan: 1 reuse, 1 bake",
        "",
        "| action | image | digest | why |",
        "| --- | --- | --- | --- |",
        "| **bake** | app | `abababababab` | a.sh changed (and 1 more) |",
        "",
        "<details><summary>app: bake</summary>",
        "",
        "- a.sh changed",
        "- b.sh changed",
        "",
        "</details>",
        "",
        "<details><summary>1 image to reuse</summary>",
        "",
        "| image | digest | AMIs |",
        "| --- | --- | --- |",
        "| base | `abababababab` |  |",
        "",
        "</details>",
    ]


def test_nothing_to_do_is_two_lines() -> None:
    assert plan_comment([], 65_536) == f"{COMMENT_MARK}\n### ami-bakery plan: nothing to do\n"


@pytest.mark.parametrize("limit", [65_536, 1_000_000])
def test_thousands_of_images_fit(limit: int) -> None:
    plans = [plan(f"image-{number}", "é" * 100, "x" * 200) for number in range(8_000)]
    text = plan_comment(plans, limit)
    assert limit - 1_000 < len(text.encode()) <= limit
    rows = len(re.findall(r"^\| \*\*bake", text, re.MULTILINE))
    assert text.endswith(f"Not shown: {8_000 - rows} images.\n")


@given(
    st.lists(st.tuples(st.text(max_size=20), st.lists(st.text(max_size=50), max_size=3), st.booleans()), max_size=8),
    st.integers(400, 3_000),
)
def test_the_limit_is_kept_and_every_section_is_closed(images: list[tuple[str, list[str], bool]], limit: int) -> None:
    plans = [plan(name, *reasons, action=Action.REUSE if done else Action.BAKE) for name, reasons, done in images]
    text = plan_comment(plans, limit)
    assert len(text.encode()) <= limit
    assert text.count("<details>") == text.count("</details>")
    assert text.startswith(COMMENT_MARK)
    assert text.count(COMMENT_MARK) == 1


def test_names_cannot_close_a_section_or_mention_anybody() -> None:
    text = plan_comment([plan("a", "</details> | <img> `x` @team", "b")], 65_536)
    assert text.count("</details>") == 1
    assert "<img>" not in text
    assert "@team" not in text
