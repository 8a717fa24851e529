"""Renders the document of a report. docs/reference/report.schema.json describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ami_bakery.core.ec2.ami import DIGEST_TAG
from ami_bakery.core.ec2.run import RUN_TAG
from ami_bakery.core.lock.lock import JOB_TAG
from ami_bakery.core.plan.tested import AmiTestState
from ami_bakery.core.prune.retention import PruneAction
from ami_bakery.core.text.sanitize import safe_json
from ami_bakery.render.channel_text import short_user
from ami_bakery.render.images import orphan_members, quarantined_since
from ami_bakery.render.prune_text import PRICE, amis_with, decision_json, monthly_cost, sum_gibibytes
from ami_bakery.render.text import FORMAT, entry_json, finding_json, reason_json
from ami_bakery.render.usage_table import uses_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ami_bakery.core.config.model import RetentionPolicy
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.ec2.lineage import AmiKey
    from ami_bakery.core.lock.lock import LockRecord
    from ami_bakery.core.report.build_history import BuildChanges
    from ami_bakery.core.report.lineage_graph import LineageGraph
    from ami_bakery.inspect.used_amis import UsedAmi
    from ami_bakery.release.channel_listing import ChannelRow
    from ami_bakery.report.report_facts import (
        ReportedAmi,
        ReportedBuild,
        ReportedCommit,
        ReportedDefinition,
        ReportedImage,
        ReportedRepository,
        ReportFacts,
    )

_TESTED = {
    AmiTestState.PASSED: "passed",
    AmiTestState.CHANGED: "changed",
    AmiTestState.UNTESTED: "untested",
    AmiTestState.FAILED: "failing",
}


def report_json(document: Mapping[str, Any]) -> str:
    return safe_json(document, indent=2)


def report_document(facts: ReportFacts, version: str) -> dict[str, Any]:
    """Returns the document. `version`: that of ami-bakery."""
    return {
        "format": FORMAT,
        "generated": _time(facts.now),
        "version": version,
        "account": facts.account,
        "regions": list(facts.regions),
        "repository": _repository(facts.repository),
        "job": facts.job or None,
        "unknown": [" ".join(sentence.split()) for sentence in facts.unknown],
        "images": [_image(image) for image in facts.images],
        "source_amis": [_source_ami(key, ami) for key, ami in facts.sources.items()],
        "lineage": _lineage(facts.lineage),
        "commits": {commit: _commit(known) for commit, known in facts.commits.items()},
        "orphans": None if facts.orphans is None else [orphan_members(orphan) for orphan in facts.orphans],
        "prune": _prune_totals(facts),
    }


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None


def _repository(repository: ReportedRepository | None) -> dict[str, Any] | None:
    if repository is None:
        return None
    return {
        "commit": repository.commit,
        "dirty": repository.dirty,
        "url": repository.url,
        "commit_url": repository.commit_url,
    }


def _commit(commit: ReportedCommit) -> dict[str, Any]:
    return {"url": commit.url, "subject": commit.subject, "committed": _time(commit.committed)}


def _image(image: ReportedImage) -> dict[str, Any]:
    plan = image.plan
    build_ids = {(each.ami.region, each.ami.id): build.id.id for build in image.builds for each in build.amis}
    return {
        "image": image.image.name,
        "state": image.state.value,
        "action": plan.action.value if plan is not None else None,
        "reasons": [reason_json(reason) for reason in plan.reasons] if plan is not None else [],
        "error": f"{image.error}. {image.error.todo}" if image.error is not None else None,
        "digest": image.digest.hex if image.digest is not None else None,
        "building": _building(image.lock),
        "tags": dict(image.image.tags),
        "regions": list(image.regions),
        "amis": {region: ami.id for region, ami in plan.amis.items()} if plan is not None else {},
        "parent": image.parent,
        "children": list(image.children),
        "keep": _keep(image.image.keep),
        "definition": _definition(image.definition),
        "builds": [_build(build) for build in image.builds],
        "channels": None if image.channels is None else [_channel(row, build_ids) for row in image.channels],
        "findings": None if image.findings is None else [finding_json(finding) for finding in image.findings],
    }


def _building(lock: LockRecord | None) -> dict[str, Any] | None:
    if lock is None:
        return None
    return {
        "by": lock.holder,
        "job": lock.tags.get(JOB_TAG) or None,
        "since": _time(lock.acquired_at),
        "expires": _time(lock.expires_at),
    }


def _keep(policy: RetentionPolicy | None) -> dict[str, Any] | None:
    if policy is None:
        return None
    within = policy.within
    last = policy.last or (None if policy.within is not None else 0)
    return {"last": last, "within_seconds": int(within.total_seconds()) if within is not None else None}


def _definition(definition: ReportedDefinition | None) -> dict[str, Any] | None:
    if definition is None:
        return None
    return {
        "template": definition.template,
        "workdir": definition.workdir,
        "only": list(definition.only),
        "except": list(definition.except_),
        "source": definition.source,
        "source_amis": list(definition.source_amis),
        "variables": [{"name": name, "text": text} for name, text in definition.variables],
        "var_files": list(definition.var_files),
        "environment": list(definition.environment),
        "tools": [{"name": name, "version": version} for name, version in definition.tools],
        "salt": definition.salt or None,
        "test": definition.test,
        "inputs": [entry_json(entry) for entry in definition.inputs],
    }


def _build(build: ReportedBuild) -> dict[str, Any]:
    first, behind = build.first, build.behind
    return {
        "id": build.id.id,
        "region": build.id.region,
        "created": _time(first.created),
        "state": build.state.value,
        "digest": first.tags.get(DIGEST_TAG) or None,
        "commit": build.commit or None,
        "dirty": build.dirty,
        "run": first.tags.get(RUN_TAG) or None,
        "source_amis": list(build.source_amis),
        "parent": build.parent,
        "tested": _TESTED[build.tested] if build.tested is not None else None,
        "revoked": build.revoked or None,
        "channels": None if build.channels is None else list(build.channels),
        "builds_behind": behind.builds if behind is not None else None,
        "seconds_behind": int(behind.time.total_seconds()) if behind is not None else None,
        "used": build.is_used,
        "amis": [_ami(each) for each in build.amis],
        "changes": _changes(build.changes) if build.changes is not None else None,
    }


def _changes(changes: BuildChanges) -> dict[str, Any]:
    return {
        "since": changes.since,
        "items": [
            {
                "part": change.part.value,
                "subject": change.subject,
                "before": change.before,
                "after": change.after,
                "detail": change.detail,
            }
            for change in changes.items
        ],
        "notes": list(changes.notes),
    }


def _ami(each: ReportedAmi) -> dict[str, Any]:
    ami, copy_of, size = each.ami, each.use.made.copy_of, each.gibibytes
    return {
        "ami": ami.id,
        "region": ami.region,
        "name": ami.name,
        "state": ami.state.value,
        "created": _time(ami.created),
        "copy_of": copy_of.id if copy_of is not None else None,
        "tags": dict(ami.tags),
        "shared_with": None if each.shared_with is None else list(each.shared_with),
        "gibibytes": round(size, 2) if size is not None else None,
        "monthly_cost_usd": monthly_cost(size) if size is not None else None,
        "last_launched": _time(ami.last_launched),
        "quarantined": quarantined_since(ami),
        "uses": _uses(each.use),
        "prune": decision_json(each.decision) if each.decision is not None else None,
    }


def _uses(use: UsedAmi) -> dict[str, Any]:
    rendered = uses_json(use)
    others = rendered["others"]
    named = None if others is None else [{"kind": each["kind"], "name": each["name"]} for each in others]
    return {**rendered, "others": named}


def _channel(row: ChannelRow, builds: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    current, older = row.current, tuple(reversed(row.parameter.versions))[1:]
    shown = current.value if current is not None and current.holds_amis else None
    return {
        "channel": row.channel,
        "region": row.region,
        "parameter": row.parameter.name,
        "ami": shown,
        "build": builds.get((row.region, shown)) if shown else None,
        "version": current.number if current is not None else None,
        "modified": _time(current.modified) if current is not None else None,
        "by": short_user(current.user) if current is not None and current.user else None,
        "builds_behind": row.behind,
        "problem": row.problem or None,
        "history": [
            {
                "version": version.number,
                "ami": version.value,
                "modified": _time(version.modified),
                "by": short_user(version.user) if version.user else None,
            }
            for version in older
            if version.holds_amis
        ],
    }


def _source_ami(key: AmiKey, ami: Ami | None) -> dict[str, Any]:
    return {
        "ami": key.id,
        "region": key.region,
        "name": ami.name or None if ami is not None else None,
        "owner": ami.owner or None if ami is not None else None,
        "created": _time(ami.created) if ami is not None else None,
        "state": ami.state.value if ami is not None else "gone",
        "deprecated": _time(ami.deprecated_at) if ami is not None else None,
    }


def _lineage(graph: LineageGraph) -> dict[str, Any]:
    return {
        "nodes": [
            {
                "id": node.id,
                "kind": node.kind.value,
                "label": node.label,
                "image": node.image,
                "ami": node.ami,
                "region": node.region,
                "state": node.state.value,
            }
            for node in graph.nodes
        ],
        "edges": [{"kind": edge.kind.value, "origin": edge.origin, "target": edge.target} for edge in graph.edges],
    }


def _prune_totals(facts: ReportFacts) -> dict[str, Any] | None:
    run = facts.prune
    if run is None:
        return None
    disabled = amis_with(run, [PruneAction.DISABLE])
    deregistered = amis_with(run, [PruneAction.DEREGISTER])
    later = amis_with(run, [PruneAction.DISABLE, PruneAction.WAIT])
    return {
        "usd_per_gibibyte_month": PRICE,
        "quarantine_seconds": int(facts.quarantine.total_seconds()),
        "amis": len(run.amis),
        "gibibytes": (size := sum_gibibytes(run.amis)),
        "monthly_cost_usd": monthly_cost(size),
        "to_disable": len(disabled),
        "to_deregister": len(deregistered),
        "freed_gibibytes": (freed := sum_gibibytes(deregistered)),
        "freed_monthly_cost_usd": monthly_cost(freed),
        "freed_later_gibibytes": (freed_later := sum_gibibytes(later)),
        "freed_later_monthly_cost_usd": monthly_cost(freed_later),
    }
