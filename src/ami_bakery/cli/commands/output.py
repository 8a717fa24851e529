"""`--output FILE`: which form the file's name asks for, whether it can be written at all, and writing it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.core.config.selection import with_parents
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.errors import BakeryError, OutputError, UsageError
from ami_bakery.render.text import TFVARS
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    import argparse

    from ami_bakery.cli.commands.context import CommandContext
    from ami_bakery.core.config.model import ImageConfig
    from ami_bakery.define.resolver import Resolver

_TFVARS = ".tfvars.json"


class OutputFormat(StrEnum):
    """As `--help` and messages name them."""

    TFVARS = "*.tfvars.json"
    VARIABLES = "*.env"
    JSON = "*.json"
    GITHUB = "GitHub's $GITHUB_OUTPUT"
    SHELL = "CircleCI's $BASH_ENV"
    CODE_QUALITY = "GitLab's gl-code-quality-report.json"


class OutputFile(Frozen):
    path: str
    form: OutputFormat

    @property
    def only_variable(self) -> str | None:
        """A file that has the name of a variable holds that one alone: `amis.auto.tfvars.json`, `amis.tfvars.json`."""
        stem = os.path.basename(self.path).removesuffix(_TFVARS).removesuffix(".auto")
        return stem if self.form is OutputFormat.TFVARS and stem in TFVARS else None

    @property
    def appended(self) -> bool:
        """Files that a CI makes, and others may have written to."""
        return self.form in (OutputFormat.GITHUB, OutputFormat.SHELL)


def add_output(parser: argparse.ArgumentParser, what: str, forms: Sequence[OutputFormat]) -> None:
    listed = ", ".join(forms[:-1]) + f", or {forms[-1]}"
    parser.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="FILE",
        help=f"write {what} to FILE too: {listed}; may be repeated",
    )


def output_files(
    resolver: Resolver, context: CommandContext, names: Sequence[str], forms: Collection[OutputFormat]
) -> tuple[OutputFile, ...]:
    """Raises `UsageError` for a file that cannot be written, or whose being written would move a digest."""
    paths = dict.fromkeys(context.arguments.output)
    return tuple(_find_output(resolver, context, names, forms, path) for path in paths)


def write_all(
    outputs: Sequence[OutputFile], context: CommandContext, written: Callable[[OutputFile], str | None]
) -> None:
    """What is `written` to each, unless that is None. One that fails keeps none of the others from being written."""
    failures = []
    for output in outputs:
        text = written(output)
        if text is not None:
            try:
                context.answer_in(output.path, text, "append" if output.appended else "replace")
            except OutputError as error:
                failures.append(error)
    if failures:
        raise failures[0]


def _find_output(
    resolver: Resolver, context: CommandContext, names: Sequence[str], forms: Collection[OutputFormat], path: str
) -> OutputFile:
    form = _form(context, path)
    doing = f"checking --output {path}"
    if form is None or form not in forms:
        raise UsageError(
            doing,
            "its name does not tell which form is wanted" if form is None else f"{form} is of another command",
            f"Name it {', '.join(form for form in OutputFormat if form in forms)}.",
        )
    output = OutputFile(path=path, form=form)
    _check_writable(doing, path, output.appended)
    if not output.appended:
        for written in dict.fromkeys((os.path.abspath(path), os.path.realpath(path))):
            _check_inputs(resolver, names, doing, written)
    return output


def _form(context: CommandContext, path: str) -> OutputFormat | None:
    for form, variable in ((OutputFormat.GITHUB, "GITHUB_OUTPUT"), (OutputFormat.SHELL, "BASH_ENV")):
        if path and path == context.environment.get(variable):
            return form
    if os.path.basename(path).startswith("gl-code-quality") and path.endswith(".json"):
        return OutputFormat.CODE_QUALITY
    endings = {
        _TFVARS: OutputFormat.TFVARS,
        ".json": OutputFormat.JSON,
        ".env": OutputFormat.VARIABLES,
        ".properties": OutputFormat.VARIABLES,
    }
    return next((form for ending, form in endings.items() if path.endswith(ending)), None)


def _check_writable(doing: str, path: str, appended: bool) -> None:
    """Before it costs a bake. A file that is not appended to is replaced; devices and pipes are written to.

    Through a symbolic link, all this is about the link's target.
    """
    try:
        there: os.stat_result | None = os.stat(path)
    except FileNotFoundError:
        there = None
    except OSError as error:
        raise UsageError(doing, error.strerror or str(error), "Name another file.") from None
    if there is not None and stat.S_ISDIR(there.st_mode):
        raise UsageError(doing, "it is a folder", "Name a file.")
    in_place = there is not None and (appended or not stat.S_ISREG(there.st_mode))
    folder = os.path.dirname(os.path.realpath(path))
    if not in_place and not os.path.isdir(folder):
        raise UsageError(doing, f"there is no folder {folder}", "Create it, or name another file.")
    needed = path if in_place else folder
    if not os.access(needed, os.W_OK if in_place else os.W_OK | os.X_OK):
        raise UsageError(doing, f"{needed} is not writable", "Make it writable, or name another file.")


def _check_inputs(resolver: Resolver, names: Sequence[str], doing: str, path: str) -> None:
    for name in with_parents(resolver.config, names):
        image = resolver.image(name)
        if image.scheme is Scheme.SHA256 and _would_be_input(resolver, image, path):
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
