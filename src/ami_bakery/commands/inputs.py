"""`ami-bakery inputs`: list every file an image is made of, and which line of which file names it; needs no AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.commands.invocation import Invocation, add_selection
from ami_bakery.core.digest import Scheme
from ami_bakery.drop_in import drop_in_inputs, unseen_in, warnings
from ami_bakery.render import document, inputs_json, inputs_text

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)


def run(invocation: Invocation) -> int:
    resolver = invocation.resolver()
    rendered = []
    for name in invocation.selected(resolver):
        image = resolver.image(name)
        if image.scheme is Scheme.SHA1:
            tree = resolver.outside.tree
            rendered.append(inputs_json(image, None, drop_in_inputs(tree, image)))
            for message in warnings(tree, image, resolver.outside.environment, unseen_in(tree, image)):
                resolver.outside.watcher.warn(message)
        else:
            facts, inventory = resolver.inputs(image)
            rendered.append(inputs_json(image, facts, inventory))
    if invocation.arguments.json:
        invocation.answer(document(rendered))
        return 0
    for item in rendered:
        if len(rendered) > 1:
            invocation.answer(f"{item['image']}:")
        invocation.answer(inputs_text(item))
    return 0
