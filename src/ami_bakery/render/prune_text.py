"""Renders what prune does with AMIs as a table and JSON, with sizes and costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ami_bakery.core.plan.describe import describe_time
from ami_bakery.core.prune.prunable import PruneOutcome
from ami_bakery.core.prune.retention import PruneAction
from ami_bakery.core.text.sanitize import one_line, safe_json
from ami_bakery.core.text.table import Cell, Table
from ami_bakery.render.text import FORMAT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ami_bakery.core.prune.retention import PruneDecision
    from ami_bakery.release.pruning import PrunedAmi, PruneRun

PRICE = 0.05
"""US dollars for a GiB of snapshots and a month: the list price of the standard tier in us-east-1."""
_DONE = {
    PruneAction.ENABLE: "enabled",
    PruneAction.REPORT: "report requested",
    PruneAction.DISABLE: "disabled",
    PruneAction.DEREGISTER: "deregistered",
}
_UNCHANGED = {PruneAction.KEEP: "kept", PruneAction.WAIT: "waiting"}
_COLORS = {PruneAction.DISABLE: "yellow", PruneAction.DEREGISTER: "red", PruneAction.ENABLE: "green"}


def prune_json(run: PruneRun) -> str:
    amis = [_ami_json(each, run) for each in run.amis]
    totals = {
        "amis": len(run.amis),
        "gibibytes": sum_gibibytes(run.amis),
        "monthly_cost_usd": monthly_cost(sum_gibibytes(run.amis)),
        **{f"{action.value}": len(amis_with(run, [action])) for action in PruneAction},
        "failed": sum(each.outcome is PruneOutcome.FAILED for each in run.amis),
        "skipped": sum(each.outcome is PruneOutcome.SKIPPED for each in run.amis),
    }
    document = {"format": FORMAT, "applied": run.applied, "usd_per_gibibyte_month": PRICE}
    return safe_json({**document, "amis": amis, "totals": totals}, indent=2)


def _ami_json(each: PrunedAmi, run: PruneRun) -> dict[str, Any]:
    ami, size = each.ami, each.ami.gibibytes
    rendered = {
        "image": ami.image,
        "region": ami.key.region,
        "ami": ami.key.id,
        "name": each.name,
        "build": ami.build.id,
        "created": ami.created.isoformat() if ami.created else None,
        "age_seconds": int((run.now - ami.created).total_seconds()) if ami.created else None,
        "state": "disabled" if ami.disabled else "available",
        "quarantined": ami.quarantined.isoformat() if ami.quarantined else None,
        **decision_json(each.decision),
        "outcome": each.outcome.value,
        "gibibytes": round(size, 2) if size is not None else None,
        "monthly_cost_usd": monthly_cost(size) if size is not None else None,
    }
    if each.why:
        rendered["skipped"] = each.why
    if each.error is not None:
        rendered["error"] = f"{each.error}\n{each.error.todo}"
    return rendered


def decision_json(decision: PruneDecision) -> dict[str, Any]:
    """Renders what happens to an AMI, and why."""
    return {
        "action": decision.action.value,
        "reason": decision.reason.value,
        "detail": decision.detail or None,
    }


def prune_table(run: PruneRun) -> Table:
    return Table(
        columns=("IMAGE", "AMI", "REGION", "AGE", "SIZE", "COST", "RESULT" if run.applied else "ACTION", "WHY"),
        rows=tuple(_cells(each, run) for each in run.amis),
        optional=("COST", "SIZE", "AGE", "REGION"),
    )


def _cells(each: PrunedAmi, run: PruneRun) -> tuple[Cell, ...]:
    ami, decision = each.ami, each.decision
    why = each.why or (decision.why if each.error is None else str(each.error))
    return (
        Cell(ami.image),
        Cell(ami.key.id, "bold"),
        Cell(ami.key.region),
        Cell(describe_time(ami.created, run.now).removesuffix(" ago")),
        Cell("-" if ami.gibibytes is None else f"{ami.gibibytes:.1f} GiB"),
        Cell("-" if ami.gibibytes is None else f"${monthly_cost(ami.gibibytes):.2f}"),
        Cell(_word(each), "red" if each.error is not None else _COLORS.get(decision.action, "")),
        Cell(why),
    )


def _word(each: PrunedAmi) -> str:
    if each.outcome in (PruneOutcome.FAILED, PruneOutcome.SKIPPED):
        return each.outcome.value
    action = each.decision.action
    if each.outcome is PruneOutcome.PLANNED:
        return action.value
    return _DONE[action] if each.outcome is PruneOutcome.DONE else _UNCHANGED.get(action, action.value)


def prune_totals(run: PruneRun) -> str:
    """Renders the totals, and how the costs are computed."""
    lines = ["", f"{_counted(run.amis)}: {_sum(run.amis)}."]
    for action in (PruneAction.DISABLE, PruneAction.DEREGISTER, PruneAction.ENABLE):
        some = amis_with(run, [action])
        if some:
            what = _DONE[action] if run.applied else f"to {action}"
            lines.append(f"{_counted(some)} {what}: {_sum(some)}.")
    lines.append(
        f"Costs are upper bounds at ${PRICE:.2f} per GiB and month, the list price of snapshots in us-east-1. "
        "Snapshots are incremental, so EC2 charges less."
    )
    return "\n".join(lines)


def prune_advice(run: PruneRun) -> str:
    """Renders one sentence on what to do."""
    if not run.amis:
        return "no finished AMIs of these images"
    if run.applied:
        failed = sum(each.outcome is PruneOutcome.FAILED for each in run.amis)
        skipped = sum(each.outcome is PruneOutcome.SKIPPED for each in run.amis)
        again = [f"{failed} failed"] if failed else []
        again += [f"{skipped} skipped"] if skipped else []
        if again:
            return f"{', '.join(again)}; run `ami-bakery prune --apply` again"
        return "done" if any(each.outcome is PruneOutcome.DONE for each in run.amis) else "nothing to do"
    acting = amis_with(run, _DONE)
    if acting:
        return "nothing was changed; to carry this out, run `ami-bakery prune --apply`"
    if all(each.decision.reason.value == "no-policy" for each in run.amis):
        return "nothing to do: none of these images has `keep`. To prune an image, add keep = { last = 5 } to it"
    return "nothing to do"


def amis_with(run: PruneRun, actions: Collection[PruneAction]) -> list[PrunedAmi]:
    """Returns the AMIs with these actions; after --apply, only those that were carried out."""
    return [
        each
        for each in run.amis
        if each.decision.action in actions
        and (not run.applied or each.outcome in (PruneOutcome.DONE, PruneOutcome.KEPT))
    ]


def _counted(amis: Collection[PrunedAmi]) -> str:
    return f"{len(amis)} AMI{'' if len(amis) == 1 else 's'}"


def _sum(amis: Collection[PrunedAmi]) -> str:
    size = sum_gibibytes(amis)
    unknown = sum(each.ami.gibibytes is None for each in amis)
    text = f"{size:.1f} GiB, at most ${monthly_cost(size):.2f} a month"
    return one_line(f"{text} ({unknown} of unknown size)" if unknown else text)


def sum_gibibytes(amis: Iterable[PrunedAmi]) -> float:
    return round(sum(each.ami.gibibytes or 0.0 for each in amis), 2)


def monthly_cost(gibibytes: float) -> float:
    return round(gibibytes * PRICE, 2)
