"""Renders the outcomes of a bake as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ami_bakery.core.plan.desired_state import StepKind
from ami_bakery.core.plan.outcome import Outcome, Result
from ami_bakery.core.text.table import Cell, Table, clock_time

if TYPE_CHECKING:
    from ami_bakery.core.plan.plan import ImagePlan

_COLORS = {
    Result.BAKED: "green",
    Result.REUSED: "dim",
    Result.COPIED: "cyan",
    Result.TESTED: "green",
    Result.ENABLED: "cyan",
    Result.FAILED: "red",
}
_LONGEST = 60
"""Maximum length of a reason in the table; the full reason was reported before."""
_BRIEF = {
    "base-deprecated": "source AMI is deprecated",
    "base-missing": "source AMI was deleted",
    "ami-deleted": "AMI was deleted",
    "forced": "forced",
    "never-baked": "never baked",
    "quarantined": "was in quarantine",
    "quarantine-not-ended": "its permissions were not restored yet",
    "too-old": "older than max_age",
}
_KEPT = {StepKind.TAG: "tags", StepKind.GRANT: "permissions", StepKind.REVOKE: "permissions"}
_CAVEATS = ("git-refused", "commit-missing", "commit-unknown", "tree-was-dirty", "commit-incomplete", "filter-not-run")
_OMITTED = frozenset({"no-ami", "not-finished", "multiple-amis", "definition-changed", *_CAVEATS})
"""Reasons that add nothing to the other reasons."""
_PARTS = frozenset({"files-changed", "variables-changed", "base-changed", "tools-changed", "settings-changed"})
"""Reasons that add nothing if a more specific reason follows."""


def summary(outcomes: Sequence[Outcome], answered: frozenset[str] = frozenset()) -> Table:
    """Returns a row for each image, and one for each further region. REGION is shown only if there are several.

    answered  images whose ids stdout shows on the same terminal: they are not repeated
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
            cells = _cells(outcome) if index == 0 else (Cell(""), Cell(""), Cell(""), Cell(""))
            name, result, time, reason = cells
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


def _cells(outcome: Outcome) -> tuple[Cell, Cell, Cell, Cell]:
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
    reasons = list(dict.fromkeys(_brief_reasons(outcome.plan)))
    if not reasons:
        changed = any(reason.kind == "definition-changed" for reason in outcome.plan.reasons)
        return "the definition changed" if changed else "no AMI with this digest"
    return reasons[0] + (f" and {len(reasons) - 1} more" if len(reasons) > 1 else "")


def _brief_reasons(plan: ImagePlan) -> Iterator[str]:
    following = (*(reason.kind for reason in plan.reasons[1:]), "no-ami")
    for reason, after in zip(plan.reasons, following, strict=False):
        if reason.kind in _PARTS and after not in _PARTS | _OMITTED:
            continue
        if reason.kind == "region-missing":
            yield f"not yet copied to {reason.subject}"
        elif reason.kind == "key-changed":
            yield f"KMS key changed in {reason.subject}"
        elif reason.kind not in _OMITTED:
            yield _BRIEF.get(reason.kind, reason.detail)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
