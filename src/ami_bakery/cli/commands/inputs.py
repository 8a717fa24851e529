"""`ami-bakery inputs`: lists the files included in the digest, without access to AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cli.commands.context import CommandContext, add_selection
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.define.drop_in import drop_in_inputs, unseen_in, warnings
from ami_bakery.errors import UsageError
from ami_bakery.render.text import document, inputs_json, inputs_text

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    parser.add_argument(
        "--template", metavar="FILE", help="list the inputs of this Packer template or folder; needs no bakery.toml"
    )
    parser.add_argument("--init", action="store_true", help="accepted for consistency with plan; has no effect")


def run(context: CommandContext) -> int:
    _check_template(context)
    resolver = context.resolver()
    rendered, inventories = [], []
    for name in context.selected(resolver):
        image = resolver.image(name)
        if image.scheme is Scheme.SHA1:
            tree = resolver.ports.tree
            facts, inventory = None, drop_in_inputs(tree, image)
            for message in warnings(tree, image, resolver.ports.environment, unseen_in(tree, image)):
                resolver.ports.reporter.warn(message)
        else:
            facts, inventory = resolver.inputs(image)
        rendered.append(inputs_json(image, facts, inventory))
        inventories.append(inventory)
    if context.arguments.json:
        context.answer(document(rendered))
        return 0
    for item, inventory in zip(rendered, inventories, strict=True):
        if len(rendered) > 1:
            context.answer(f"{item['image']}:")
        context.answer(inputs_text(item, inventory))
    return 0


def _check_template(context: CommandContext) -> None:
    arguments = context.arguments
    if arguments.template is None:
        return
    others = {
        "IMAGE": arguments.image,
        "--tag": arguments.tag,
        "--changed-since": arguments.changed_since,
        "--downstream": arguments.downstream,
        "--config": arguments.config,
    }
    given = [name for name, value in others.items() if value]
    if given:
        raise UsageError("reading --template", f"--template cannot be combined with {given[0]}", "Use one of them.")
