"""`ami-bakery bake`: builds missing AMIs and prints their ids."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from ami_bakery.bake import WaitPolicy, bake_all
from ami_bakery.cli.commands.context import (
    CommandContext,
    add_packer,
    add_regions,
    add_selection,
    duration,
    exit_status,
)
from ami_bakery.cli.commands.output import OutputFile, OutputFormat, add_output, output_files, write_all
from ami_bakery.core.ci.dotenv import LIMIT_VARIABLE, variable_limit
from ami_bakery.core.config.selection import shown_names, with_parents
from ami_bakery.core.definition.bake_outputs import ANSWER_FILE
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.core.plan.outcome import Result
from ami_bakery.errors import UsageError
from ami_bakery.render.text import (
    document,
    dotenv,
    error_text,
    github_output,
    outcome_id,
    outcome_json,
    outcome_note,
    outcome_text,
    shell_exports,
    tfvars,
    variable_names,
)

if TYPE_CHECKING:
    from ami_bakery.core.ci.annotations import Note
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.core.plan.outcome import Outcome
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.ports import Ports

_JOBS = 4
_FORMATS = (OutputFormat.TFVARS, OutputFormat.VARIABLES, OutputFormat.JSON, OutputFormat.GITHUB, OutputFormat.SHELL)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    parser.add_argument("--force", action="store_true", help="rebuild even if an AMI exists")
    add_bake_options(parser)
    parser.add_argument(
        "--audit",
        nargs="?",
        const="warn",
        choices=("warn", "strict"),
        help="report files that a build reads and that are not in the digest; with =strict, such an AMI does not get "
        "the digest (default: warn; needs strace)",
    )


def add_bake_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of every command that runs Packer under a lock."""
    add_regions(parser)
    parser.add_argument(
        "--jobs",
        type=_positive,
        metavar="N",
        default=_JOBS,
        help=f"max. number of concurrent builds (default: {_JOBS})",
    )
    parser.add_argument(
        "--fail-fast",
        action="store_true",
        help="stop at the first failure (default: independent images continue)",
    )
    waiting = parser.add_mutually_exclusive_group()
    waiting.add_argument(
        "--no-wait",
        action="store_true",
        help="exit 75 if another job is building the image (default: wait for its AMI)",
    )
    waiting.add_argument(
        "--wait-timeout",
        type=duration,
        metavar="DURATION",
        help="max. time to wait for another job's build, then exit 75 (default: no limit)",
    )
    add_packer(parser)
    parser.add_argument(
        "--kill-timeout",
        type=duration,
        metavar="DURATION",
        default="15m",
        help="grace period for the cleanup of an interrupted Packer, before it is killed (default: 15m)",
    )
    parser.add_argument(
        "--id",
        action="store_true",
        help="print only the AMI id of the image's first region; requires one image",
    )
    add_output(parser, "the ids", _FORMATS)


def run(context: CommandContext) -> int:
    resolver = context.resolver()
    names = context.selected(resolver)
    return bake_and_report(
        context, resolver, names, forced=frozenset(names if context.arguments.force else ()), retested=frozenset()
    )


def bake_and_report(
    context: CommandContext,
    resolver: Resolver,
    names: Sequence[str],
    *,
    forced: frozenset[str],
    retested: frozenset[str],
    builds: bool = True,
) -> int:
    """Bakes the images, prints the ids, and writes the output files. Returns the exit status. See `bake_all`."""
    config, ports = resolver.config, resolver.ports
    _check_id(context, names)
    outputs = output_files(resolver, context, names, _FORMATS)
    for output in outputs:
        _check_names(resolver, output, names)
    outcomes = []
    # A user can answer the prompts of only one Packer at a time.
    jobs = 1 if resolver.arguments.debug else context.arguments.jobs
    baking = bake_all(
        resolver,
        names,
        forced=forced,
        jobs=jobs,
        fail_fast=context.arguments.fail_fast,
        wait_policy=WaitPolicy(waits=not context.arguments.no_wait, timeout=context.arguments.wait_timeout),
        builds=builds,
        retested=retested,
    )
    parents = with_parents(config, names)
    several = len(parents) > 1 or any(len(resolver.regions_of(resolver.image(name))) > 1 for name in names)
    # Do not show an id twice on a terminal that shows both stdout and stderr.
    ids_in_notes = not several and not context.one_terminal
    # Close the generator even if an interruption arrives while an outcome is being reported.
    with closing(baking):
        for outcome in baking:
            outcomes.append(outcome)
            if outcome.error is not None:
                ports.reporter.error(f"{outcome.image}: {error_text(outcome.error, context.error_style)}")
            elif not several or outcome.result is not Result.REUSED:
                ports.reporter.note(outcome_note(outcome, ids=ids_in_notes))
            if getattr(context.arguments, "audit", None) and outcome.audit is None and outcome.error is None:
                todo = f"`ami-bakery audit {outcome.image}` audits it without AWS."
                ports.reporter.note(f"{outcome.image}: not built, so not audited. {todo}")
    by_name = {outcome.image: outcome for outcome in outcomes}
    # For a single image, the table is useful only with several regions, or if a failed bake has AMIs.
    if len(outcomes) > 1 or any(
        outcome.amis and (outcome.error or len(outcome.plan.regions) > 1) for outcome in outcomes
    ):
        from ami_bakery.render.outcome_table import summary

        answered = frozenset(names) if context.one_terminal else frozenset()
        ports.reporter.table(summary([by_name[name] for name in with_parents(config, names)], answered))
    asked = [by_name[name] for name in names]
    if context.arguments.json:
        context.answer(document([outcome_json(outcome) for outcome in asked]))
    elif text := outcome_id(asked) if context.arguments.id else outcome_text(asked):
        context.answer(text)
    _annotate_ci(context, resolver, [by_name[name] for name in with_parents(config, names)])
    # Write the files last, so that the ids are printed even if writing fails.
    for outcome in asked:
        _write_drop_in_answer(context, config.image(outcome.image), outcome)
    write_all(outputs, context, lambda output: _content(context, ports, output, asked))
    return exit_status([outcome.error for outcome in outcomes if outcome.error is not None])


def _check_id(context: CommandContext, names: Sequence[str]) -> None:
    if not context.arguments.id:
        return
    if context.arguments.json:
        raise UsageError("reading --id", "--id cannot be combined with --json", "Use one of them.")
    if len(names) != 1:
        found = f"{len(names)} images are selected: {shown_names(names)}" if names else "no image is selected"
        example = f"ami-bakery {context.arguments.command} app --id"
        raise UsageError("reading --id", found, f"Name exactly one image, as in `{example}`.")


def _write_drop_in_answer(context: CommandContext, image: ImageConfig, outcome: Outcome) -> None:
    """Writes `.ami_id.json` next to the template, as the original AMI bakery does."""
    if image.scheme is Scheme.SHA1 and outcome.amis and outcome.error is None:
        folder = image.template.rpartition("/")[0] or ("/" if image.template.startswith("/") else ".")
        ami = next(iter(outcome.amis.values()))
        context.answer_in(f"{folder}/{ANSWER_FILE}", f'{{"ami_id": "{ami.id}"}}', "replace-link")


def _check_names(resolver: Resolver, output: OutputFile, names: Sequence[str]) -> None:
    """Raises `UsageError` if the output format cannot represent these images."""
    doing = f"checking --output {output.path}"
    if output.only_variable in ("ami_id", "ami_ids") and len(names) > 1:
        raise UsageError(
            doing,
            f"{output.only_variable} holds one image, but {len(names)} are selected: {', '.join(names)}",
            "Select one image, or write amis.auto.tfvars.json.",
        )
    if output.format in (OutputFormat.VARIABLES, OutputFormat.SHELL):
        taken: dict[str, str] = {}
        for name in names:
            for variable in variable_names(name, resolver.regions_of(resolver.image(name))):
                if taken.setdefault(variable, name) != name:
                    raise UsageError(
                        doing,
                        f"images {taken[variable]} and {name} have the same variable name {variable}",
                        "Bake them in separate runs, or write a *.json file.",
                    )


def _audit_notes(resolver: Resolver, outcomes: Sequence[Outcome]) -> list[Note]:
    from ami_bakery.core.audit.mode import AuditMode
    from ami_bakery.core.check.audit_findings import audit_findings
    from ami_bakery.core.ci.annotations import finding_note

    notes = []
    for outcome in outcomes:
        if outcome.audit is not None:
            image = resolver.image(outcome.image)
            found = audit_findings(outcome.audit, image, resolver.config.file, image.audit or AuditMode.WARN)
            notes += [finding_note([outcome.image], finding) for finding in found]
    return notes


def _annotate_ci(context: CommandContext, resolver: Resolver, outcomes: Sequence[Outcome]) -> None:
    if context.annotate is None:
        return
    from ami_bakery.core.ci.annotations import error_notes
    from ami_bakery.render.markdown import outcomes_markdown

    errors = [(outcome.image, outcome.error) for outcome in outcomes if outcome.error is not None]
    notes = [note for image, error in errors for note in error_notes(error, image)]
    notes += _audit_notes(resolver, outcomes)
    context.annotate(notes, outcomes_markdown(outcomes))


def _content(context: CommandContext, ports: Ports, output: OutputFile, outcomes: Sequence[Outcome]) -> str | None:
    """Returns the content of an output file; None if an image failed.

    GitHub's output is always written: it contains the outcome, and later steps can read it after a failure.
    """
    if output.format is OutputFormat.GITHUB:
        return github_output(outcomes)
    if not outcomes or any(outcome.error is not None for outcome in outcomes):
        # If no image was selected, keep the ids of an earlier bake.
        return None
    if output.format is OutputFormat.TFVARS:
        return tfvars(outcomes, output.only_variable)
    if output.format is OutputFormat.VARIABLES:
        return _dotenv(context, ports, output, outcomes)
    if output.format is OutputFormat.SHELL:
        return shell_exports(outcomes)
    return document([outcome_json(outcome) for outcome in outcomes]) + "\n"


def _dotenv(context: CommandContext, ports: Ports, output: OutputFile, outcomes: Sequence[Outcome]) -> str:
    limit = variable_limit(context.environment)
    text, omitted = dotenv(outcomes, limit)
    if omitted:
        ports.reporter.warn(
            f"{output.path}: GitLab's dotenv report is limited to {limit} variables and 5 kB; {len(omitted)} variables "
            f"were omitted, starting with {omitted[0]}. Write a *.json file for all of them"
            f"{'' if limit == 150 else f', or set {LIMIT_VARIABLE} to 100 or 150 if your GitLab plan allows it'}"
        )
    return text


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text)
