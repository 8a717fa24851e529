"""`ami-bakery images`: list the AMIs made so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.commands.invocation import Invocation, add_regions, add_selection
from ami_bakery.planning import made_so_far
from ami_bakery.render import ami_json, amis_text, document

if TYPE_CHECKING:
    import argparse

ABOUT = "list the AMIs made so far"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    add_regions(parser)


def run(invocation: Invocation) -> int:
    resolver = invocation.resolver()
    names = invocation.selected(resolver)
    amis = made_so_far(resolver, names)
    now = resolver.outside.clock.now()
    if invocation.arguments.json:
        invocation.answer(document([ami_json(ami, image, now) for image, ami in amis]))
    elif amis:
        invocation.answer(amis_text(amis, now))
    elif names:
        resolver.outside.watcher.note("no AMI has been made of these images yet")
    return 0
