"""`ami-bakery report`: writes a page about all images, or its data."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ami_bakery.cli.commands.context import CommandContext, add_init, add_packer, add_selection
from ami_bakery.cli.commands.output import OutputFile, OutputFormat, find_outputs, write_all
from ami_bakery.core.config.selection import named
from ami_bakery.core.definition.bake_outputs import REPORT_FILE
from ami_bakery.errors import UsageError
from ami_bakery.inspect.checks import JOBS
from ami_bakery.render.report_json import report_document, report_json
from ami_bakery.report.gathering import gather_report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FORMATS = (OutputFormat.HTML, OutputFormat.JSON)
_STDOUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    parser.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="FILE",
        help="write the page to FILE (*.html), or its data (*.json); repeatable; - prints the page "
        f"(default: {REPORT_FILE}, or no file with --json)",
    )
    parser.add_argument("--open", action="store_true", help="open the page in the web browser")
    parser.add_argument("--no-check", action="store_true", help="skip the checks of `ami-bakery check`, to be faster")
    parser.add_argument(
        "--jobs",
        type=_jobs,
        metavar="N",
        default=JOBS,
        help=f"max. concurrent `packer validate` runs of the checks (default: {JOBS})",
    )
    add_packer(parser)
    add_init(parser)


def run(context: CommandContext) -> int:
    arguments, resolver = context.arguments, context.resolver()
    paths = arguments.output or ([] if arguments.json and not arguments.open else [REPORT_FILE])
    if arguments.json and _STDOUT in paths:
        raise UsageError("reading --output -", "--json also prints to stdout", "Use only one of them.")
    # The file may be an input of an image that is not selected.
    everything = named(resolver.config, ())
    outputs = find_outputs(resolver, context, everything, _FORMATS, [path for path in paths if path != _STDOUT])
    page = next((output.path for output in outputs if output.format is OutputFormat.HTML), "")
    if arguments.open and not page:
        raise UsageError("reading --open", "no page is written to a file", "Use --output FILE.html.")
    names = context.selected(resolver)
    facts = gather_report(resolver, names, check_jobs=0 if arguments.no_check else arguments.jobs)
    document = report_document(facts, _version())
    _answer(context, document, outputs, paths)
    if arguments.open and not context.open_page(page):
        resolver.ports.reporter.note(f"no web browser was found; open {page} in one")
    return 0


def _answer(
    context: CommandContext, document: Mapping[str, Any], outputs: Sequence[OutputFile], paths: Sequence[str]
) -> None:
    """Writes the files. Prints the document, the page, or the paths of the files."""
    html = _page(document) if _STDOUT in paths or any(_is_page(output) for output in outputs) else ""
    rendered = report_json(document)
    write_all(outputs, context, lambda output: html if _is_page(output) else f"{rendered}\n")
    if context.arguments.json:
        context.answer(rendered)
    elif _STDOUT in paths:
        context.answer(html.removesuffix("\n"))
    else:
        context.answer("\n".join(output.path for output in outputs))


def _is_page(output: OutputFile) -> bool:
    return output.format is OutputFormat.HTML


def _page(document: Mapping[str, Any]) -> str:
    from ami_bakery.render.report_page.page import render_page

    return render_page(document)


def _version() -> str:
    from importlib.metadata import version

    return version("ami-bakery")


def _jobs(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text[:9]) > 0:
        return int(text[:9])
    raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
