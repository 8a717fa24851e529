"""Renders plans, outcomes, inputs and findings as text, JSON and variables."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, assert_never

from ami_bakery.core.plan.describe import reason_lines, step_lines
from ami_bakery.core.plan.desired_state import Step, StepKind
from ami_bakery.core.plan.outcome import Outcome, Result
from ami_bakery.core.plan.plan import Action, ImagePlan
from ami_bakery.core.text.sanitize import one_line, printable, safe_json
from ami_bakery.core.text.table import Style, plain

if TYPE_CHECKING:
    from ami_bakery.core.check.finding import Finding, Level
    from ami_bakery.core.definition.digest import Digest
    from ami_bakery.core.definition.manifest import Entry
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.plan.plan import Reason
    from ami_bakery.define.inputs import Inventory
    from ami_bakery.errors import BakeryError
    from ami_bakery.template.facts import TemplateFacts

FORMAT = 1
"""The version of every JSON document."""

_SIGNS = {
    Action.REUSE: ("=", "green"),
    Action.BAKE: ("+", "yellow"),
    Action.COPY: (">", "cyan"),
    Action.TEST: ("*", "cyan"),
    Action.ENABLE: ("^", "cyan"),
    Action.WAIT: ("~", "cyan"),
    Action.PENDING: ("?", "magenta"),
}


def document(images: Sequence[Mapping[str, Any]]) -> str:
    return safe_json({"format": FORMAT, "images": list(images)}, indent=2)


def error_text(error: BakeryError, style: Style = plain) -> str:
    """Renders the three parts of an error: operation, cause and advice, each on its own line or lines."""
    wrong = error.wrong.replace("\n", "\n  ")
    return f"{style('error:', 'red')} {one_line(error.doing)}\n  {printable(wrong)}\n  {printable(error.todo)}"


def plan_json(plan: ImagePlan, *, steps: bool = False) -> dict[str, Any]:
    """Renders a plan. `steps`: include the steps of `bake`, in order."""
    rendered: dict[str, Any] = {
        "image": plan.image,
        "action": plan.action.value,
        "digest": plan.digest.hex if plan.digest else None,
        "reasons": [reason_json(reason) for reason in plan.reasons],
        "amis": {region: ami.id for region, ami in plan.amis.items()},
    }
    if plan.tested is not None:
        rendered["test"] = {"digest": plan.test, "state": plan.tested.value}
    return {**rendered, "steps": [step_json(step) for step in plan.steps]} if steps else rendered


def reason_json(reason: Reason) -> dict[str, Any]:
    return {"kind": reason.kind, "subject": reason.subject, "detail": reason.detail}


def step_json(step: Step) -> dict[str, Any]:
    """Renders a step with the members of its kind; the id of a resource that does not exist yet is null."""
    rendered: dict[str, Any] = {"step": step.kind.value, "region": step.region}
    if not step.certain:
        rendered["certain"] = False
    match step.kind:
        case StepKind.BAKE:
            return rendered
        case StepKind.TEST:
            return {**rendered, "ami": step.ami}
        case StepKind.ENABLE:
            return {**rendered, "ami": step.ami, "targets": list(step.targets)}
        case StepKind.COPY:
            return {**rendered, "ami": step.ami, "from": step.source, "kms_key": step.kms_key or None}
        case StepKind.TAG:
            return {**rendered, "ami": step.ami, "tags": dict(step.tags)}
        case StepKind.GRANT | StepKind.REVOKE:
            snapshot = {"snapshot": step.snapshot} if step.on_snapshot else {}
            return {**rendered, "ami": step.ami, **snapshot, "targets": list(step.targets)}
        case _:
            assert_never(step.kind)


def plan_text(plans: Sequence[ImagePlan], style: Style = plain) -> str:
    """Renders one line for each image; several reasons, and further steps, on lines below; and totals."""
    width = max((len(plan.image) for plan in plans), default=0)
    lines = []
    for plan in plans:
        sign, color = _SIGNS[plan.action]
        digest = plan.digest.short if plan.digest else "-"
        reasons = [one_line(line) for line in reason_lines(plan.reasons)]
        only, below = ("", reasons) if len(reasons) != 1 else (f"  {reasons[0]}", [])
        head = f"{style(f'{sign} {plan.action:7}', color)} {style(f'{plan.image:{width}}', 'bold')}"
        lines.append(f"{head}  {digest:12}{only}".rstrip())
        lines += [f"            {line}" for line in below]
        lines += [f"          {style('>', 'cyan')} {one_line(line)}" for line in step_lines(plan)]
    counts = {action: sum(plan.action is action for plan in plans) for action in Action}
    totals = ", ".join(f"{count} to {_VERBS[action]}" for action, count in counts.items() if count)
    changed = sum(plan.action is Action.REUSE and bool(plan.steps) for plan in plans)
    return "\n".join([*lines, "", f"{totals}{f' ({changed} with tags or permissions to change)' if changed else ''}."])


_VERBS = {
    Action.REUSE: "reuse",
    Action.BAKE: "bake",
    Action.COPY: "copy",
    Action.TEST: "test",
    Action.ENABLE: "enable",
    Action.WAIT: "wait for",
    Action.PENDING: "decide when the parent image is built",
}


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    digest = outcome.plan.digest
    rendered: dict[str, Any] = {
        "image": outcome.image,
        "outcome": outcome.result.value,
        "digest": digest.hex if digest else None,
        "amis": {region: ami.id for region, ami in outcome.amis.items()},
        "seconds": round(outcome.seconds, 3),
    }
    if outcome.error is not None:
        rendered["error"] = f"{outcome.error}\n{outcome.error.todo}"
    if outcome.audit is not None:
        from ami_bakery.render.audit import audit_json

        rendered["audit"] = audit_json(outcome.audit)
    return rendered


def outcome_text(outcomes: Sequence[Outcome]) -> str:
    """Renders the id for one image in one region; otherwise `image<TAB>region<TAB>ami` lines, without failed images."""
    finished = (outcome for outcome in outcomes if outcome.error is None)
    rows = [(outcome.image, region, ami.id) for outcome in finished for region, ami in outcome.amis.items()]
    if len(rows) == 1 and len(outcomes) == 1 and len(outcomes[0].plan.regions) == 1:
        return rows[0][2]
    return "\n".join("\t".join(row) for row in rows)


def outcome_id(outcomes: Sequence[Outcome]) -> str:
    """Returns the AMI id in the first region of a single image; empty if it failed."""
    (outcome,) = outcomes
    first = outcome.amis.get(outcome.plan.regions[0]) if outcome.plan.regions and outcome.error is None else None
    return first.id if first else ""


def outcome_note(outcome: Outcome, *, ids: bool = True) -> str:
    """Renders a line for stderr. `ids`: False if the same terminal shows the ids anyway."""
    if outcome.result is Result.REUSED:
        why = "; ".join(reason_lines(outcome.plan.reasons)) if ids else "unchanged"
        return one_line(f"{outcome.image}: reused: {why}")
    amis = ", ".join(f"{ami.id} ({region})" for region, ami in outcome.amis.items()) if ids else ""
    return f"{outcome.image}: {outcome.result}{f': {amis}' if amis else ''} in {outcome.seconds:.0f} s"


def digest_json(image: str, digest: Digest | None, awaits: str | None) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "image": image,
        "scheme": digest.scheme.value if digest else "sha256",
        "digest": digest.hex if digest else None,
    }
    return rendered if awaits is None else {**rendered, "awaits": awaits}


def inputs_json(facts: TemplateFacts | None, inventory: Inventory) -> dict[str, Any]:
    """Renders the inputs of an image or of its test."""
    inputs = []
    for entry in inventory.entries:
        rendered: dict[str, Any] = {
            **entry_json(entry),
            "named_by": [{"file": location.file, "line": location.line} for location in inventory.named_by[entry.path]],
        }
        inputs.append(rendered)
    unresolved = [
        {
            "file": item.location.file,
            "line": item.location.line,
            "expression": item.expression,
            "why": item.why,
        }
        for item in (facts.unresolved if facts else ())
    ]
    return {"inputs": inputs, "unresolved": unresolved}


def entry_json(entry: Entry) -> dict[str, Any]:
    """Renders one input."""
    return {
        "path": entry.path,
        "type": entry.kind.value,
        "executable": entry.executable,
        "sha256": entry.sha256,
    }


def inputs_text(rendered: Mapping[str, Any], inventory: Inventory) -> str:
    """Renders a line for each input: digest, type and mode, path, and the first place that references it."""
    lines = []
    for item, entry in zip(rendered["inputs"], inventory.entries, strict=True):
        mark = {"file": "x" if item["executable"] else "-", "directory": "/", "symlink": "@"}[item["type"]]
        locations = item["named_by"]
        more = f" and {len(locations) - 1} more" if len(locations) > 1 else ""
        target = f" -> {entry.target}" if entry.target is not None else ""
        digest = (item["sha256"] or "")[:12]
        where = f"{locations[0]['file']}:{locations[0]['line']}{more}" if locations else ""
        lines.append(f"{digest:12} {mark} {one_line(item['path'] + target)}\t{one_line(where)}")
    for item in rendered["unresolved"]:
        where = f"{item['file']}:{item['line']}"
        lines.append(one_line(f"unresolved     {where}: {item['expression']} ({item['why']})"))
    return "\n".join(lines)


def finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "level": finding.level.value,
        "code": finding.code,
        "file": finding.location.file,
        "line": finding.location.line,
        "message": finding.message,
        "todo": finding.todo,
    }


_LEVEL_COLORS = {"error": "red", "warning": "yellow", "notice": "dim"}


def finding_text(images: Sequence[str], finding: Finding, style: Style = plain) -> str:
    """Renders `file:line: level: message`, a format that editors and CI systems parse."""
    from ami_bakery.core.check.finding import images_named

    level = style(f"{finding.level}:", _LEVEL_COLORS[finding.level])
    message = one_line(f"{finding.message} [{finding.code}, {images_named(images)}]")
    return f"{one_line(str(finding.location))}: {level} {message}\n  {one_line(finding.todo)}"


TFVARS = ("ami_id", "ami_ids", "amis")
"""The variables of `tfvars`. The first two require a single image."""


def tfvars(outcomes: Sequence[Outcome], only: str | None = None) -> str:
    """Renders Terraform variables: `ami_id` and `ami_ids` (by region) for a single image; `amis` (by image and region).

    only  the only variable to include: Terraform warns about values of undeclared variables
    """
    amis = {outcome.image: {region: ami.id for region, ami in outcome.amis.items()} for outcome in outcomes}
    values: dict[str, Any] = {"amis": amis}
    if len(outcomes) == 1:
        ids = amis[outcomes[0].image]
        values = {"ami_id": next(iter(ids.values()), ""), "ami_ids": ids, **values}
    return safe_json(values if only is None else {only: values[only]}, indent=2) + "\n"


def terraform_external(image: str, digest: Digest | None, amis: Mapping[str, str], region: str) -> str:
    """Renders the result of a Terraform `external` data source.

    Terraform accepts only strings, so `amis` is JSON text, for `jsondecode`.
    """
    answer = {
        "image": image,
        "region": region,
        "ami_id": amis[region],
        "digest": digest.hex if digest else "",
        "amis": safe_json(dict(amis)),
    }
    return safe_json(answer)


def dotenv(outcomes: Sequence[Outcome], limit: int | None = None) -> tuple[str, tuple[str, ...]]:
    """Renders the AMIs' ids as dotenv variables, without quotes.

    The variables are AMI_ID for a single image, and AMI_ID_<IMAGE> and AMI_ID_<IMAGE>_<REGION> for all.

    limit  GitLab's maximum number of variables

    Returns the text, and the names of variables that were omitted because of the limit.
    """
    variables = list(_variables(outcomes))
    kept = variables
    if limit is not None:
        from ami_bakery.core.ci.dotenv import fitting

        general = frozenset(
            {"AMI_ID", *(name for outcome in outcomes for name in variable_names(outcome.image, ("",))[:1])}
        )
        kept = list(fitting(variables, general, limit))
    names = {name for name, _ in kept}
    omitted = tuple(name for name, _ in variables if name not in names)
    return "".join(f"{name}={ami}\n" for name, ami in kept), omitted


def shell_exports(outcomes: Sequence[Outcome]) -> str:
    """Renders the same variables as `export` commands of a shell."""
    return "".join(f"export {name}={ami}\n" for name, ami in _variables(outcomes))


def _variables(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, str]]:
    if len(outcomes) == 1:
        yield from (("AMI_ID", ami.id) for ami in list(outcomes[0].amis.values())[:1])
    for outcome in outcomes:
        ids = [ami.id for ami in outcome.amis.values()]
        yield from zip(variable_names(outcome.image, tuple(outcome.amis)), [*ids[:1], *ids], strict=True)


def variable_names(image: str, regions: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of the image's variables: one for its first region, and one for each region."""
    name = f"AMI_ID_{_constant(image)}"
    return (name, *(f"{name}_{_constant(region)}" for region in regions)) if regions else ()


def github_output(outcomes: Sequence[Outcome]) -> str:
    """Renders outputs for GitHub Actions: `ami-id` of a single image, `amis` as JSON on one line, and `outcome`."""
    order = (Result.FAILED, Result.BAKED, Result.TESTED, Result.COPIED, Result.ENABLED, Result.REUSED)
    results = {outcome.result for outcome in outcomes}
    outcome = next((result for result in order if result in results), Result.REUSED)
    return _github_output({outcome.image: outcome.amis for outcome in outcomes}, outcome)


def github_plan(plans: Sequence[ImagePlan]) -> str:
    """Renders the same outputs for a plan: AMIs that can be used now, and the most expensive action."""
    order = (
        Action.BAKE,
        Action.PENDING,
        Action.WAIT,
        Action.TEST,
        Action.COPY,
        Action.ENABLE,
        Action.REUSE,
    )
    actions = {plan.action for plan in plans}
    action = next((action for action in order if action in actions), Action.REUSE)
    return _github_output({plan.image: plan.ready for plan in plans}, action)


def github_findings(levels: Collection[Level]) -> str:
    """Renders the output `outcome` of `check`: `error`, `warning` or `passed`."""
    worst = min(levels, key=lambda level: level.order, default=None)
    return f"outcome={worst if worst in ('error', 'warning') else 'passed'}\n"


def _github_output(amis: Mapping[str, Mapping[str, Ami]], outcome: str) -> str:
    ids = {image: {region: ami.id for region, ami in found.items()} for image, found in amis.items()}
    single = [f"ami-id={ami}" for found in ids.values() for ami in list(found.values())[:1] if len(ids) == 1]
    lines = [*single, f"amis={safe_json(ids)}", f"outcome={outcome}"]
    return "".join(f"{line}\n" for line in lines)


def _constant(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", text).upper()
