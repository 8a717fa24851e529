"""`ami-bakery init`: proposes a `bakery.toml` for the templates of a folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ami_bakery.core.text.sanitize import one_line
from ami_bakery.errors import BakeryError, UsageError
from ami_bakery.inspect.proposals import FILE, propose
from ami_bakery.render.proposed_file import proposal_json, proposal_report, proposal_toml

if TYPE_CHECKING:
    import argparse

    from ami_bakery.cli.commands.context import CommandContext
    from ami_bakery.core.init.proposal import Proposal

SCHEMA_FILE = ".bakery.schema.json"
"""The JSON Schema next to `bakery.toml`, which makes editors complete and check it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="folder to search (default: the current folder)")
    parser.add_argument("--dry-run", action="store_true", help="print the file, and write nothing")
    parser.add_argument(
        "--template",
        dest="templates",
        action="append",
        default=[],
        metavar="FILE",
        help="only this Packer template or folder; repeatable",
    )


def run(context: CommandContext) -> int:
    from ami_bakery.wiring import folder_to_search, known_file

    arguments = context.arguments
    if arguments.config is not None:
        raise UsageError("reading --config", "init writes a new file, and reads none", "Name the FOLDER instead.")
    root, tree, reader = folder_to_search(arguments.folder or ".")
    path = os.path.join(root, FILE)
    if os.path.lexists(path) and not arguments.dry_run:
        raise _exists(path)
    chosen = tuple(_inside(root, template) for template in arguments.templates)
    proposal = propose(tree, reader, os.path.basename(root), chosen)
    if not proposal.images:
        raise _nothing_found(root, proposal)
    text = proposal_toml(proposal, SCHEMA_FILE)
    known_file(text, path)
    if not arguments.dry_run:
        _write(context, path, text)
    if arguments.json:
        context.answer(proposal_json(proposal, FILE, written=not arguments.dry_run))
    elif arguments.dry_run:
        context.answer(text.removesuffix("\n"))
        context.note(proposal_report(proposal, context.error_style))
    else:
        context.answer(proposal_report(proposal, context.style))
        context.note(_summary(os.path.join(arguments.folder or "", FILE), proposal))
    return 0


def _write(context: CommandContext, path: str, text: str) -> None:
    from ami_bakery.core.config.json_schema import schema_text

    context.answer_in(path, text, "create")
    schema = os.path.join(os.path.dirname(path), SCHEMA_FILE)
    if not os.path.lexists(schema):
        context.answer_in(schema, schema_text(), "create")


def _exists(path: str) -> BakeryError:
    return BakeryError(
        f"writing {path}",
        "the file exists, and init never overwrites",
        "Edit it; `ami-bakery check` finds problems. To see a new proposal, use --dry-run.",
    )


def _inside(root: str, template: str) -> str:
    """Returns the path relative to the root. Raises if it is outside."""
    relative = os.path.relpath(os.path.realpath(template), root)
    if f"{relative}/".startswith("../"):
        raise UsageError(
            f"reading --template {template}", f"it is outside of {root}", "Name a FOLDER that contains the template."
        )
    return relative


def _nothing_found(root: str, proposal: Proposal) -> BakeryError:
    listed = "\n".join(f"{item.path}: {item.why}" for item in proposal.unused[:10])
    return BakeryError(
        f"looking for Packer templates in {root}",
        listed or "there is no *.pkr.hcl, *.pkr.json or JSON template with builders",
        "Fix the templates, or name another FOLDER." if listed else "Name the FOLDER that contains the templates.",
    )


def _summary(path: str, proposal: Proposal) -> str:
    images = len(proposal.images)
    todos = len(proposal.todos) + sum(len(image.todos) for image in proposal.images)
    counted = f"{images} image{'' if images == 1 else 's'}, {todos} TODO{'' if todos == 1 else 's'}"
    return f"wrote {one_line(path)}: {counted}. Next: ami-bakery check"
