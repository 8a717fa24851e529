"""`ami-bakery bake`: make sure that each image's AMI exists, and print the ids."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from ami_bakery.commands.invocation import Invocation, add_packer, add_regions, add_selection, duration
from ami_bakery.core.digest import Scheme
from ami_bakery.core.outcome import Outcome, Result, summary
from ami_bakery.drop_in import ANSWER_FILE, unseen
from ami_bakery.errors import BakeryError, UsageError
from ami_bakery.execute import bake_all
from ami_bakery.planning import with_parents
from ami_bakery.render import (
    TFVARS,
    document,
    dotenv,
    error_text,
    github_output,
    outcome_json,
    outcome_note,
    outcome_text,
    tfvars,
)

if TYPE_CHECKING:
    from ami_bakery.core.config import Config, ImageConfig
    from ami_bakery.ports import Outside
    from ami_bakery.resolve import Resolver

_JOBS = 4
_TFVARS = ".tfvars.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    parser.add_argument("--force", action="store_true", help="bake the chosen images whatever is there")
    add_regions(parser)
    parser.add_argument(
        "--jobs",
        type=_positive,
        metavar="N",
        default=_JOBS,
        help=f"bake at most N images at once (default: {_JOBS})",
    )
    parser.add_argument(
        "--fail-fast",
        action="store_true",
        help="stop everything at the first failure; without it, what does not depend on that goes on",
    )
    add_packer(parser)
    parser.add_argument(
        "--kill-timeout",
        type=duration,
        metavar="DURATION",
        default="15m",
        help="how long an interrupted Packer may clean up before it is killed (default: 15m)",
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="write the ids to FILE too: *.tfvars.json, *.env, *.json, or GitHub's $GITHUB_OUTPUT",
    )


def run(invocation: Invocation) -> int:
    resolver = invocation.resolver()
    config, outside = resolver.config, resolver.outside
    names = invocation.selected(resolver)
    _check_output(invocation, resolver, names)
    _warn_of_checksum(config, outside)
    outcomes = []
    forced = frozenset(names if invocation.arguments.force else ())
    # A person who answers Packer's prompts can do so for one at a time.
    jobs = 1 if resolver.arguments.debug else invocation.arguments.jobs
    baking = bake_all(resolver, names, forced=forced, jobs=jobs, fail_fast=invocation.arguments.fail_fast)
    # Closed in any case: an interruption may come while an outcome is told.
    with closing(baking):
        for outcome in baking:
            outcomes.append(outcome)
            if outcome.error is not None:
                outside.watcher.fail(f"{outcome.image}: {error_text(outcome.error, invocation.error_style)}")
            else:
                outside.watcher.note(outcome_note(outcome))
    by_name = {outcome.image: outcome for outcome in outcomes}
    if len(outcomes) > 1 or any(outcome.error or len(outcome.plan.regions) > 1 for outcome in outcomes):
        outside.watcher.table(summary([by_name[name] for name in with_parents(config, names)]))
    asked = [by_name[name] for name in names]
    if invocation.arguments.json:
        invocation.answer(document([outcome_json(outcome) for outcome in asked]))
    elif text := outcome_text(asked):
        invocation.answer(text)
    # The files come last: where they cannot be written, the ids are told all the same.
    for outcome in asked:
        _write_drop_in_answer(invocation, config.image(outcome.image), outcome)
    if all(outcome.error is None for outcome in asked):
        _write_output(invocation, asked)
    return max((_status(outcome) for outcome in outcomes), default=0)


def _status(outcome: Outcome) -> int:
    if outcome.error is not None:
        return outcome.error.exit_status
    return 1 if outcome.result is Result.FAILED else 0


def _warn_of_checksum(config: Config, outside: Outside) -> None:
    for image in config.images:
        if image.scheme is Scheme.SHA1:
            for warning in unseen(outside.tree, image, outside.environment):
                outside.watcher.warn(warning)


def _write_drop_in_answer(invocation: Invocation, image: ImageConfig, outcome: Outcome) -> None:
    """`.ami_id.json` beside the template, as the original wrote it."""
    if image.scheme is Scheme.SHA1 and outcome.amis:
        folder = image.template.rpartition("/")[0] or ("/" if image.template.startswith("/") else ".")
        ami = next(iter(outcome.amis.values()))
        invocation.write_file(f"{folder}/{ANSWER_FILE}", f'{{"ami_id": "{ami.id}"}}', False)


def _check_output(invocation: Invocation, resolver: Resolver, names: Sequence[str]) -> None:
    """Refuse, before anything is baked, a file that cannot be written, or whose being written would move a digest."""
    path = invocation.arguments.output
    if path is None or _is_github_output(invocation):
        return
    doing = f"reading --output {path}"
    if not path.endswith((".json", ".env")):
        raise UsageError(
            doing,
            "its name does not tell which form is wanted",
            "End it with .tfvars.json, .json or .env, or name the file in $GITHUB_OUTPUT.",
        )
    if path.endswith(_TFVARS) and _only_variable(path) in ("ami_id", "ami_ids") and len(names) > 1:
        raise UsageError(
            doing,
            f"{_only_variable(path)} is of one image, and {len(names)} are to be baked: {', '.join(names)}",
            f"Name one image, or write amis.auto{_TFVARS}.",
        )
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise UsageError(doing, f"there is no folder {folder}", "Create it, or name another file.")
    for name in with_parents(resolver.config, names):
        image = resolver.image(name)
        if image.scheme is Scheme.SHA256 and _would_be_input(resolver, image, os.path.abspath(path)):
            raise UsageError(
                doing,
                f"it would be an input of image {image.name}: each answer would change the digest, and bake again",
                "Name a file outside its inputs, or name it in `ignore`.",
            )


def _would_be_input(resolver: Resolver, image: ImageConfig, path: str) -> bool:
    try:
        return resolver.would_be_input(image, path)
    except BakeryError:
        # What is wrong with the image is said when its turn comes.
        return False


def _write_output(invocation: Invocation, outcomes: Sequence[Outcome]) -> None:
    path = invocation.arguments.output
    if path is None:
        return
    if _is_github_output(invocation):
        invocation.write_file(path, github_output(outcomes), True)
    elif not outcomes:
        # Nothing was chosen: the ids of an earlier bake still hold.
        return
    elif path.endswith(_TFVARS):
        invocation.write_file(path, tfvars(outcomes, _only_variable(path)), False)
    elif path.endswith(".env"):
        invocation.write_file(path, dotenv(outcomes), False)
    else:
        invocation.write_file(path, document([outcome_json(outcome) for outcome in outcomes]) + "\n", False)


def _only_variable(path: str) -> str | None:
    """A file that has the name of a variable holds that one alone: `amis.auto.tfvars.json`, `amis.tfvars.json`."""
    stem = os.path.basename(path).removesuffix(_TFVARS).removesuffix(".auto")
    return stem if stem in TFVARS else None


def _is_github_output(invocation: Invocation) -> bool:
    path = invocation.arguments.output
    return bool(path) and bool(path == invocation.environment.get("GITHUB_OUTPUT"))


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1 is wanted")
    return number
