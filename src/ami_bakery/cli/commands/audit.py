"""`ami-bakery audit`: finds files that a build reads outside the digest."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ami_bakery.cli.commands.context import CommandContext, add_packer, add_selection, add_template
from ami_bakery.core.audit.comparison import AuditKind
from ami_bakery.core.audit.mode import AuditMode
from ami_bakery.core.check.audit_findings import audit_findings, how_to_complete
from ami_bakery.core.check.finding import Level
from ami_bakery.render.audit import audit_json, audit_summary
from ami_bakery.render.text import document, error_text, finding_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ami_bakery.core.ci.annotations import Note
    from ami_bakery.inspect.audit_runs import AuditResult

URL_VARIABLE = "AMI_BAKERY_LOCAL_URL"
"""Set in an embedded EC2. Without it, a build would start in AWS."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    add_template(parser, "audit")
    add_packer(parser)
    parser.add_argument("--in-local", action="store_true", help=argparse.SUPPRESS)


def run(context: CommandContext) -> int:
    context.check_template()
    if not (context.arguments.in_local and URL_VARIABLE in context.environment):
        return context.rerun_in_local("--in-local")
    # Imported here, because the first process only starts the second one.
    from ami_bakery.inspect.audit_runs import audit_images

    resolver = context.resolver()
    file = resolver.config.file
    results: list[AuditResult] = []
    for result in audit_images(resolver, context.selected(resolver), context.add_local_ami):
        results.append(result)
        if result.error is not None:
            resolver.ports.reporter.error(f"{result.image.name}: {error_text(result.error, context.error_style)}")
        if not context.arguments.json and result.report is not None:
            _print(context, result, file)
    if context.arguments.json:
        context.answer(document([_rendered(result) for result in results]))
    _annotate(context, results, file)
    return 1 if any(_is_bad(result) for result in results) else 0


def _is_bad(result: AuditResult) -> bool:
    return result.error is not None or result.report is None or result.report.is_incomplete


def _print(context: CommandContext, result: AuditResult, file: str) -> None:
    assert result.report is not None
    for finding in audit_findings(result.report, result.image, file, AuditMode.STRICT):
        if finding.level is not Level.NOTICE or not context.arguments.quiet:
            context.answer(finding_text([result.image.name], finding, context.style))
    context.answer(audit_summary(result.image.name, result.report))
    if len(result.report.of(AuditKind.NOT_IN_DIGEST)) > 1:
        context.answer(how_to_complete(result.report, result.image))


def _rendered(result: AuditResult) -> dict[str, object]:
    rendered: dict[str, object] = {"image": result.image.name}
    if result.report is not None:
        rendered |= audit_json(result.report)
    if result.error is not None:
        rendered["error"] = f"{result.error}\n{result.error.todo}"
    return rendered


def _annotate(context: CommandContext, results: Sequence[AuditResult], file: str) -> None:
    if context.annotate is None:
        return
    from ami_bakery.core.ci.annotations import error_notes, finding_note
    from ami_bakery.render.markdown import findings_markdown

    found = {
        result.image.name: audit_findings(result.report, result.image, file, AuditMode.STRICT)
        for result in results
        if result.report is not None
    }
    notes: list[Note] = [finding_note([name], finding) for name, findings in found.items() for finding in findings]
    for result in results:
        if result.error is not None:
            notes += error_notes(result.error, result.image.name)
    notes.sort(key=lambda note: note.level.order)
    context.annotate(notes, findings_markdown(found))
