"""`ami-bakery plan`: say what `bake` would do, and why, naming what changed; change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cli.commands.context import CommandContext, add_init, add_packer, add_regions, add_selection
from ami_bakery.cli.commands.output import OutputFormat, add_output, output_files, write_all
from ami_bakery.plan.planner import make_plans, warn_of_unseen, with_locks
from ami_bakery.plan.sharing import add_steps
from ami_bakery.render.text import document, error_text, github_plan, plan_json, plan_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ami_bakery.define.resolver import Resolver
    from ami_bakery.errors import BakeryError

_FORMS = (OutputFormat.JSON, OutputFormat.GITHUB)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    parser.add_argument("--force", action="store_true", help="plan to bake the chosen images whatever is there")
    add_regions(parser)
    parser.add_argument("--jobs", type=int, metavar="N", help="accepted for symmetry with bake; changes nothing here")
    add_packer(parser)
    add_init(parser)
    add_output(parser, "the plan", _FORMS)
    parser.add_argument(
        "--steps", action="store_true", help="with --json: add the steps of each image, in the order of a bake"
    )
    parser.add_argument(
        "--detailed-exitcode",
        action="store_true",
        help="exit with 2 where there is something to do, as Terraform does",
    )


def run(context: CommandContext) -> int:
    resolver = context.resolver()
    names = context.selected(resolver)
    outputs = output_files(resolver, context, names, _FORMS)
    forced = frozenset(names if context.arguments.force else ())
    failures: dict[str, BakeryError] = {}
    made = make_plans(resolver, names, forced=forced, failures=failures)
    _tell(context, resolver, tuple(failures.values()))
    planned = add_steps(resolver, with_locks(resolver, made))
    warn_of_unseen(resolver, planned)
    plans = [item.plan for item in planned if item.plan.image in names or item.plan.to_do]
    rendered = document([plan_json(plan, steps=context.arguments.steps) for plan in plans])
    if context.arguments.json:
        context.answer(rendered)
    elif plans:
        context.answer(plan_text(plans, context.style))
    if context.tell_ci is not None:
        from ami_bakery.render.markdown import plans_markdown

        context.tell_ci((), plans_markdown(plans))
    write_all(
        outputs,
        context,
        lambda output: github_plan(plans) if output.form is OutputFormat.GITHUB else rendered + "\n",
    )
    return 2 if any(plan.to_do for plan in plans) and context.arguments.detailed_exitcode else 0


def _tell(context: CommandContext, resolver: Resolver, failures: Sequence[BakeryError]) -> None:
    """A plan is of all images or is none: but who mends them wants to know of every one that cannot be planned."""
    for failure in failures[:-1]:
        resolver.ports.reporter.error(error_text(failure, context.error_style))
        if context.tell_ci is not None:
            from ami_bakery.core.ci.annotations import error_notes
            from ami_bakery.render.markdown import error_markdown

            context.tell_ci(error_notes(failure), error_markdown("plan", failure))
    if failures:
        raise failures[-1]
