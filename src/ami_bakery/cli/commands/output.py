"""`--output FILE`: derives the format from the file's name, and writes the file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from ami_bakery.core.config.selection import with_parents
from ami_bakery.core.definition.digest import Scheme
from ami_bakery.define.input_collection import is_future_input
from ami_bakery.define.test_definition import settings_of_test
from ami_bakery.errors import BakeryError, OutputError, UsageError
from ami_bakery.render.text import TFVARS
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    import argparse

    from ami_bakery.cli.commands.context import CommandContext
    from ami_bakery.define.resolver import Resolver
    from ami_bakery.define.template_settings import TemplateSettings

_TFVARS = ".tfvars.json"


class OutputFormat(StrEnum):
    """The formats, with their names in `--help` and messages."""

    TFVARS = "*.tfvars.json"
    VARIABLES = "*.env"
    HTML = "*.html"
    JSON = "*.json"
    GITHUB = "GitHub's $GITHUB_OUTPUT"
    SHELL = "CircleCI's $BASH_ENV"
    MARKDOWN = "*.md"
    CODE_QUALITY = "GitLab's gl-code-quality-report.json"


class OutputFile(Frozen):
    path: str
    format: OutputFormat

    @property
    def only_variable(self) -> str | None:
        """The only variable in a file that is named after one: `amis.auto.tfvars.json`, `amis.tfvars.json`."""
        stem = os.path.basename(self.path).removesuffix(_TFVARS).removesuffix(".auto")
        return stem if self.format is OutputFormat.TFVARS and stem in TFVARS else None

    @property
    def appended(self) -> bool:
        """Whether to append: the CI creates the file, and other steps write to it too."""
        return self.format in (OutputFormat.GITHUB, OutputFormat.SHELL)


def add_output(parser: argparse.ArgumentParser, what: str, formats: Sequence[OutputFormat]) -> None:
    listed = ", ".join(formats[:-1]) + f", or {formats[-1]}"
    parser.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="FILE",
        help=f"also write {what} to FILE: {listed}; repeatable",
    )


def output_files(
    resolver: Resolver, context: CommandContext, names: Sequence[str], formats: Collection[OutputFormat]
) -> tuple[OutputFile, ...]:
    """Finds the files of --output. Raises `UsageError` for a file that is not writable, or is an input of an image."""
    return find_outputs(resolver, context, names, formats, context.arguments.output)


def find_outputs(
    resolver: Resolver,
    context: CommandContext,
    names: Sequence[str],
    formats: Collection[OutputFormat],
    paths: Sequence[str],
) -> tuple[OutputFile, ...]:
    """Finds these files. Raises `UsageError` for a file that is not writable, or is an input of one of the images."""
    return tuple(_find_output(resolver, context, names, formats, path) for path in dict.fromkeys(paths))


def write_all(
    outputs: Sequence[OutputFile], context: CommandContext, content: Callable[[OutputFile], str | None]
) -> None:
    """Writes all files, except where `content` returns None. Raises the first error after all were tried."""
    failures = []
    for output in outputs:
        text = content(output)
        if text is not None:
            try:
                context.answer_in(output.path, text, "append" if output.appended else "replace")
            except OutputError as error:
                failures.append(error)
    if failures:
        raise failures[0]


def _find_output(
    resolver: Resolver, context: CommandContext, names: Sequence[str], formats: Collection[OutputFormat], path: str
) -> OutputFile:
    format_ = _format_of(context, path)
    doing = f"checking --output {path}"
    if format_ is None or format_ not in formats:
        raise UsageError(
            doing,
            "unrecognized file extension" if format_ is None else f"this command does not write {format_}",
            f"Use one of: {', '.join(format_ for format_ in OutputFormat if format_ in formats)}.",
        )
    output = OutputFile(path=path, format=format_)
    _check_writable(doing, path, output.appended)
    if not output.appended:
        for target in dict.fromkeys((os.path.abspath(path), os.path.realpath(path))):
            _check_inputs(resolver, names, doing, target)
    return output


def _format_of(context: CommandContext, path: str) -> OutputFormat | None:
    for format_, variable in ((OutputFormat.GITHUB, "GITHUB_OUTPUT"), (OutputFormat.SHELL, "BASH_ENV")):
        if path and path == context.environment.get(variable):
            return format_
    if os.path.basename(path).startswith("gl-code-quality") and path.endswith(".json"):
        return OutputFormat.CODE_QUALITY
    endings = {
        _TFVARS: OutputFormat.TFVARS,
        ".html": OutputFormat.HTML,
        ".json": OutputFormat.JSON,
        ".md": OutputFormat.MARKDOWN,
        ".env": OutputFormat.VARIABLES,
        ".properties": OutputFormat.VARIABLES,
    }
    return next((format_ for ending, format_ in endings.items() if path.endswith(ending)), None)


def _check_writable(doing: str, path: str, appended: bool) -> None:
    """Raises `UsageError` if a file is not writable, before anything is built.

    Regular files are replaced, unless they are appended to; devices and pipes are written in place. For a symbolic
    link, its target is checked.
    """
    try:
        there: os.stat_result | None = os.stat(path)
    except FileNotFoundError:
        there = None
    except OSError as error:
        raise UsageError(doing, error.strerror or str(error), "Use another file.") from None
    if there is not None and stat.S_ISDIR(there.st_mode):
        raise UsageError(doing, "it is a folder", "Use the path of a file.")
    in_place = there is not None and (appended or not stat.S_ISREG(there.st_mode))
    folder = os.path.dirname(os.path.realpath(path))
    if not in_place and not os.path.isdir(folder):
        raise UsageError(doing, f"folder not found: {folder}", "Create the folder, or use another file.")
    needed = path if in_place else folder
    if not os.access(needed, os.W_OK if in_place else os.W_OK | os.X_OK):
        raise UsageError(doing, f"{needed} is not writable", "Make it writable, or use another file.")


def _check_inputs(resolver: Resolver, names: Sequence[str], doing: str, path: str) -> None:
    for name in with_parents(resolver.config, names):
        image = resolver.image(name)
        if image.scheme is not Scheme.SHA256:
            continue
        settings = resolver.settings(image)
        definitions = {f"image {name}": (settings, "force a rebuild")}
        if image.test is not None:
            definitions[f"the test of image {name}"] = (settings_of_test(settings, image.test), "force a new test")
        for subject, (each, consequence) in definitions.items():
            if _would_be_input(each, path):
                raise UsageError(
                    doing,
                    f"it would be an input of {subject}: each bake would change the digest and {consequence}",
                    "Write to a file outside the inputs with --output, or add this file to `ignore`.",
                )


def _would_be_input(settings: TemplateSettings, path: str) -> bool:
    try:
        return is_future_input(settings, path)
    except BakeryError:
        # The error is reported when this image is processed.
        return False
