"""Renders the reports of audits as JSON and text."""

from __future__ import annotations

from typing import Any, assert_never

from ami_bakery.core.audit.comparison import AuditFinding, AuditKind, AuditReport


def audit_json(report: AuditReport) -> dict[str, Any]:
    return {
        "opened": report.opened,
        "covered": report.covered,
        "findings": [_finding_json(finding) for finding in report.findings],
        "inputs": list(report.inputs),
        "unseen": list(report.unseen),
    }


def _finding_json(finding: AuditFinding) -> dict[str, Any]:
    kind, path, process = finding.kind.value, finding.path, finding.process
    match finding.kind:
        case AuditKind.NOT_IN_DIGEST:
            return {"kind": kind, "path": path, "process": process, "how": finding.how, "inputs": path}
        case AuditKind.ABSENT:
            return {"kind": kind, "path": path, "process": process}
        case AuditKind.NEVER_READ:
            return {"kind": kind, "path": path}
        case AuditKind.HOST_CONTACTED:
            return {"kind": kind, "host": finding.host, "process": process}
        case _:
            assert_never(finding.kind)


def audit_summary(image: str, report: AuditReport) -> str:
    """Renders the counts of one image on a line."""
    counts = {kind: len(report.of(kind)) for kind in AuditKind}
    found = "; ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    opened = f"{report.opened} file{'' if report.opened == 1 else 's'} opened, {report.covered} of them in the digest"
    return f"{image}: {opened}{f'; {found}' if found else ''}"
