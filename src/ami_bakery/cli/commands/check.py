"""`ami-bakery check`: validates configuration and templates without building."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ami_bakery.cli.commands.context import (
    CommandContext,
    add_init,
    add_packer,
    add_regions,
    add_selection,
    add_template,
)
from ami_bakery.cli.commands.output import OutputFormat, add_output, output_files, write_all
from ami_bakery.core.check.finding import Level, group_findings
from ami_bakery.core.ci.annotations import code_quality, finding_note
from ami_bakery.errors import UsageError
from ami_bakery.inspect.checks import JOBS
from ami_bakery.release.revoked_use import check_with_uses
from ami_bakery.render.text import document, finding_json, finding_text, github_findings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ami_bakery.cli.commands.output import OutputFile
    from ami_bakery.core.ci.annotations import Note

_FORMATS = (OutputFormat.JSON, OutputFormat.GITHUB, OutputFormat.CODE_QUALITY)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    add_template(parser, "check")
    parser.add_argument("--strict", action="store_true", help="treat warnings as errors (exit status 1)")
    add_regions(parser)
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        default=JOBS,
        help=f"max. concurrent `packer validate` runs (default: {JOBS})",
    )
    add_packer(parser)
    add_init(parser)
    add_output(parser, "the findings", _FORMATS)


def run(context: CommandContext) -> int:
    jobs: int = context.arguments.jobs
    if jobs < 1:
        raise UsageError("reading --jobs", f"expected a number of at least 1, got {jobs}", "Correct the number.")
    context.check_template()
    resolver = context.resolver()
    names = context.selected(resolver)
    outputs = output_files(resolver, context, names, _FORMATS)
    found = check_with_uses(resolver, names, jobs)
    grouped = group_findings(found)
    rendered = document(
        [{"image": name, "findings": [finding_json(item) for item in items]} for name, items in found.items()]
    )
    if context.arguments.json:
        context.answer(rendered)
    else:
        for images, item in grouped:
            context.answer(finding_text(images, item, context.style))
    notes = [finding_note(images, item) for images, item in grouped]
    notes.sort(key=lambda note: note.level.order)
    if context.annotate is not None:
        from ami_bakery.render.markdown import findings_markdown

        context.annotate(notes, findings_markdown(found))
    write_all(outputs, context, lambda output: _content(context, resolver.config.root, output, notes, rendered))
    levels = [note.level for note in notes]
    if found and not levels:
        resolver.ports.reporter.note(f"OK: {len(found)} image{'' if len(found) == 1 else 's'}, no problems")
    return 1 if Level.ERROR in levels or (Level.WARNING in levels and context.arguments.strict) else 0


def _content(context: CommandContext, root: str, output: OutputFile, notes: Sequence[Note], rendered: str) -> str:
    if output.format is OutputFormat.GITHUB:
        return github_findings([note.level for note in notes])
    if output.format is OutputFormat.CODE_QUALITY:
        project = os.path.realpath(context.environment.get("CI_PROJECT_DIR") or root)
        within = f"{root}/".startswith(f"{project.rstrip('/')}/")
        return code_quality(notes, root=root, workspace=project if within else root)
    return rendered + "\n"
