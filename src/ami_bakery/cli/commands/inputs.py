"""`ami-bakery inputs`: lists the files included in the digest, without access to AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ami_bakery.cli.commands.context import CommandContext, add_selection, add_template
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.define.drop_in import drop_in_inputs, uncovered_in, warnings
from ami_bakery.define.test_definition import inputs_of_test
from ami_bakery.render.text import document, inputs_json, inputs_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from ami_bakery.define.inputs import Inventory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    add_template(parser, "list the inputs of")
    parser.add_argument("--init", action="store_true", help="accepted for consistency with plan; has no effect")


def run(context: CommandContext) -> int:
    context.check_template()
    resolver = context.resolver()
    rendered: list[dict[str, Any]] = []
    shown: list[tuple[str, Mapping[str, Any], Inventory]] = []
    for name in context.selected(resolver):
        image = resolver.image(name)
        if image.scheme is Scheme.SHA1:
            tree = resolver.ports.tree
            facts, inventory = None, drop_in_inputs(tree, image)
            for message in warnings(tree, image, resolver.ports.environment, uncovered_in(tree, image)):
                resolver.ports.reporter.warn(message)
        else:
            facts, inventory = resolver.inputs(image)
        lists = inputs_json(facts, inventory)
        shown.append((f"{name}:", lists, inventory))
        rendered.append({"image": name, **lists})
        if image.test is not None:
            facts, inventory = inputs_of_test(resolver, image, image.test)
            lists = inputs_json(facts, inventory)
            shown.append((f"test of {name}:", lists, inventory))
            rendered[-1]["test"] = lists
    if context.arguments.json:
        context.answer(document(rendered))
        return 0
    for heading, item, inventory in shown:
        if len(shown) > 1:
            context.answer(heading)
        context.answer(inputs_text(item, inventory))
    return 0
