"""`ami-bakery plan`: say what `bake` would do, and why, naming what changed; change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.commands.invocation import Invocation, add_packer, add_regions, add_selection
from ami_bakery.core.plan import Action
from ami_bakery.planning import make_plans, warn_of_unseen
from ami_bakery.render import document, plan_json, plan_text

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    parser.add_argument("--force", action="store_true", help="plan to bake the chosen images whatever is there")
    add_regions(parser)
    parser.add_argument("--jobs", type=int, metavar="N", help="accepted for symmetry with bake; changes nothing here")
    add_packer(parser)
    parser.add_argument(
        "--detailed-exitcode",
        action="store_true",
        help="exit with 2 where there is something to do, as Terraform does",
    )


def run(invocation: Invocation) -> int:
    resolver = invocation.resolver()
    names = invocation.selected(resolver)
    forced = frozenset(names if invocation.arguments.force else ())
    planned = make_plans(resolver, names, forced=forced)
    warn_of_unseen(resolver, planned)
    plans = [item.plan for item in planned if item.plan.image in names or item.plan.action is not Action.REUSE]
    if invocation.arguments.json:
        invocation.answer(document([plan_json(plan) for plan in plans]))
    elif plans:
        invocation.answer(plan_text(plans, invocation.style))
    to_do = any(plan.action is not Action.REUSE for plan in plans)
    return 2 if to_do and invocation.arguments.detailed_exitcode else 0
