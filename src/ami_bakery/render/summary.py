"""What became of all images of a bake, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.plan.desired_state import StepKind
from ami_bakery.core.plan.outcome import Outcome, Result
from ami_bakery.core.text.table import Cell, Table, clock_time

if TYPE_CHECKING:
    from ami_bakery.core.plan.plan import ImagePlan

_COLORS = {Result.BAKED: "green", Result.REUSED: "dim", Result.COPIED: "cyan", Result.FAILED: "red"}
_LONGEST = 60
"""Characters of a reason in the table; the whole of it was told when it happened."""
_BRIEF = {
    "base-deprecated": "its base is deprecated",
    "base-missing": "its base is gone",
    "ami-deleted": "its AMI was deleted",
    "forced": "forced",
    "never-baked": "never baked",
    "too-old": "older than max_age",
}
_KEPT = {StepKind.TAG: "tags", StepKind.GRANT: "permissions", StepKind.REVOKE: "permissions"}
_CAVEATS = ("git-refused", "commit-missing", "commit-unknown", "tree-was-dirty", "commit-incomplete", "filter-not-run")
_NOT_TOLD = frozenset({"no-ami", "not-finished", "multiple-amis", "definition-changed", *_CAVEATS})
"""Reasons that say nothing beside the others."""
_PARTS = frozenset({"files-changed", "variables-changed", "base-changed", "tools-changed", "settings-changed"})
"""Reasons that say nothing where the very thing follows."""


def summary(outcomes: Sequence[Outcome], answered: frozenset[str] = frozenset()) -> Table:
    """A row for each image, and one more for each further region; the regions only where there are several.

    answered  images whose ids the answer has, in the same place: they are not repeated
    """
    outcomes = tuple(outcomes)
    shows_ids = not answered or any(
        outcome.amis and (outcome.error or outcome.image not in answered) for outcome in outcomes
    )
    regions = {region for outcome in outcomes for region in outcome.plan.regions}
    several = len(regions) > 1 and shows_ids
    rows = []
    for outcome in outcomes:
        places = outcome.plan.regions or ("",)
        for index, region in enumerate(places):
            ami = outcome.amis.get(region)
            told = _told(outcome) if index == 0 else (Cell(""), Cell(""), Cell(""), Cell(""))
            name, result, time, reason = told
            where = (Cell(region),) if several else ()
            repeated = outcome.image in answered and outcome.error is None
            shown = (Cell("" if repeated else ami.id if ami else "-"),) if shows_ids else ()
            if index == 0 or shows_ids:
                rows.append((name, result, *where, *shown, time, reason))
    columns = (
        "IMAGE",
        "OUTCOME",
        *(("REGION",) if several else ()),
        *(("AMI",) if shows_ids else ()),
        "TIME",
        "REASON",
    )
    return Table(columns=columns, rows=tuple(rows))


def _told(outcome: Outcome) -> tuple[Cell, Cell, Cell, Cell]:
    color = _COLORS[outcome.result]
    return (
        Cell(outcome.image, "bold"),
        Cell(outcome.result.value, color),
        Cell(clock_time(outcome.seconds)),
        Cell(_shortened(_reason(outcome)), color if outcome.error else "dim"),
    )


def _reason(outcome: Outcome) -> str:
    if outcome.error is not None:
        return outcome.error.wrong.partition("\n")[0].partition(";")[0]
    if outcome.result is Result.REUSED:
        kinds = dict.fromkeys(_KEPT[step.kind] for step in outcome.kept if step.kind in _KEPT)
        return f"{' and '.join(kinds)} changed" if kinds else "unchanged"
    told = list(dict.fromkeys(_brief_reasons(outcome.plan)))
    if not told:
        changed = any(reason.kind == "definition-changed" for reason in outcome.plan.reasons)
        return "the definition changed" if changed else "no AMI with this digest"
    return told[0] + (f" and {len(told) - 1} more" if len(told) > 1 else "")


def _brief_reasons(plan: ImagePlan) -> Iterator[str]:
    following = (*(reason.kind for reason in plan.reasons[1:]), "no-ami")
    for reason, after in zip(plan.reasons, following, strict=False):
        if reason.kind in _PARTS and after not in _PARTS | _NOT_TOLD:
            continue
        if reason.kind == "region-missing":
            yield f"{reason.subject} had none"
        elif reason.kind == "key-changed":
            yield f"another key in {reason.subject}"
        elif reason.kind not in _NOT_TOLD:
            yield _BRIEF.get(reason.kind, reason.detail)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
