"""`ami-bakery plan`: shows what `bake` would do, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cli.commands.context import CommandContext, add_init, add_packer, add_regions, add_selection
from ami_bakery.cli.commands.output import OutputFormat, add_output, output_files, write_all
from ami_bakery.plan.planner import make_plans, with_locks
from ami_bakery.plan.sharing import add_steps
from ami_bakery.plan.uncovered import warn_of_unseen
from ami_bakery.render.text import document, error_text, github_plan, plan_json, plan_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ami_bakery.cli.commands.output import OutputFile
    from ami_bakery.core.plan.plan import ImagePlan
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.errors import BakeryError

_FORMATS = (OutputFormat.JSON, OutputFormat.MARKDOWN, OutputFormat.GITHUB)
_COMMENT_LIMIT, _GITLAB_COMMENT_LIMIT = 65_536, 1_000_000
"""The longest comments that GitHub and GitLab accept, in characters; bytes are counted, which are never fewer."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    parser.add_argument("--force", action="store_true", help="plan a rebuild even if an AMI exists")
    add_regions(parser)
    parser.add_argument("--jobs", type=int, metavar="N", help="accepted for consistency with bake; has no effect")
    add_packer(parser)
    add_init(parser)
    add_output(parser, "the plan", _FORMATS)
    parser.add_argument("--steps", action="store_true", help="with --json: include the steps of each image, in order")
    parser.add_argument(
        "--detailed-exitcode",
        action="store_true",
        help="exit 2 if there are changes, as `terraform plan` does",
    )


def run(context: CommandContext) -> int:
    resolver = context.resolver()
    names = context.selected(resolver)
    outputs = output_files(resolver, context, names, _FORMATS)
    forced = frozenset(names if context.arguments.force else ())
    failures: dict[str, BakeryError] = {}
    planned = make_plans(resolver, names, forced=forced, failures=failures)
    _report(context, resolver, tuple(failures.values()))
    planned = add_steps(resolver, with_locks(resolver, planned))
    warn_of_unseen(resolver, planned)
    plans = [item.plan for item in planned if item.plan.image in names or item.plan.to_do]
    rendered = document([plan_json(plan, steps=context.arguments.steps) for plan in plans])
    if context.arguments.json:
        context.answer(rendered)
    elif plans:
        context.answer(plan_text(plans, context.style))
    if context.annotate is not None:
        from ami_bakery.render.markdown import plans_markdown

        context.annotate((), plans_markdown(plans))
    write_all(outputs, context, lambda output: _content(context, output, plans, rendered))
    return 2 if any(plan.to_do for plan in plans) and context.arguments.detailed_exitcode else 0


def _content(context: CommandContext, output: OutputFile, plans: Sequence[ImagePlan], rendered: str) -> str:
    if output.format is OutputFormat.GITHUB:
        return github_plan(plans)
    if output.format is OutputFormat.MARKDOWN:
        from ami_bakery.render.markdown import plan_comment

        return plan_comment(plans, _GITLAB_COMMENT_LIMIT if context.environment.get("GITLAB_CI") else _COMMENT_LIMIT)
    return rendered + "\n"


def _report(context: CommandContext, resolver: Resolver, failures: Sequence[BakeryError]) -> None:
    """Reports all failures and raises the last one: there is no partial plan."""
    for failure in failures[:-1]:
        resolver.ports.reporter.error(error_text(failure, context.error_style))
        if context.annotate is not None:
            from ami_bakery.core.ci.annotations import error_notes
            from ami_bakery.render.markdown import error_markdown

            context.annotate(error_notes(failure), error_markdown("plan", failure))
    if failures:
        raise failures[-1]
