"""The context of a subcommand: arguments, ports, streams; and shared options."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NoReturn, TextIO

from ami_bakery.core.config.selection import has_tags, named, with_downstream
from ami_bakery.core.packer.arguments import parse_packer_arguments
from ami_bakery.core.text.durations import parse_duration
from ami_bakery.define.resolver import Resolver
from ami_bakery.errors import BakeryError, BusyError, OutputError, UsageError
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from datetime import timedelta

    from ami_bakery.core.audit.mode import AuditMode
    from ami_bakery.core.ci.annotations import Note
    from ami_bakery.core.config.model import Config
    from ami_bakery.core.ec2.stand_in import StandIn
    from ami_bakery.core.text.table import Style, Table
    from ami_bakery.core.text.tree import Tree
    from ami_bakery.ports import Ports


_CHANGING = frozenset({"bake", "test", "audit", "promote", "rollback", "revoke", "unrevoke"})
"""Commands that build, or that change AMIs or channels. They may start programs of the repository."""
How = Literal["replace", "replace-link", "append", "create"]
"""`replace` writes to the target of a symbolic link, `replace-link` puts a file in the link's place, `create` fails if
the file exists."""


class CommandContext(Frozen):
    """Arguments, streams and services of one run of the program.

    after_dashes  words after `--`
    draw          draws tables and trees for stdout
    bakery        (file, bakes): loads the configuration (`file`, or that of --config) and creates the ports. With
                  `bakes`, missing plugins are installed
    one_terminal  whether stdout and stderr are the same terminal
    note          prints to stderr, except with --quiet
    write_file    (path, text, advice for a failure, mode): writes the whole file or nothing
    run_local     (command, IAM policy file): runs a command against the embedded EC2; returns its exit status
    rerun_in_local  (options): runs this command again in an embedded EC2, with these options; returns its exit status
    add_local_ami   adds an AMI to the embedded EC2 that this process runs in; returns its id
    open_page     opens a file in the web browser; returns False if there is none
    annotate      (notes, Markdown): shows them in the CI; None if the CI is not supported
    """

    arguments: argparse.Namespace
    after_dashes: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    stdin: TextIO | None
    stdout: TextIO
    style: Style
    draw: Callable[[Table | Tree], str]
    error_style: Style
    bakery: Callable[[str | None, bool], tuple[Config, Ports]]
    one_terminal: bool
    note: Callable[[str], None]
    write_file: Callable[[str, str, str, How], None]
    run_local: Callable[[Sequence[str], str | None], int]
    rerun_in_local: Callable[[str], int]
    add_local_ami: Callable[[StandIn], str]
    open_page: Callable[[str], bool]
    annotate: Callable[[Sequence[Note], str], None] | None

    def answer(self, text: str) -> None:
        """Prints to stdout. No other code prints to stdout."""
        try:
            self.stdout.write(f"{text}\n")
            self.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError("writing to stdout", error.strerror or str(error), self._advice) from error

    def answer_in(self, path: str, text: str, how: How = "replace") -> None:
        """Writes to a file. Raises `OutputError`."""
        self.write_file(path, text, self._advice, how)

    @property
    def _advice(self) -> str:
        """Advice for an output that could not be written."""
        bakes = self.arguments.command in ("bake", "test", "terraform-external")
        return f"Fix this and run the command again.{' Finished AMIs are reused.' if bakes else ''}"

    def check_template(self) -> None:
        """Refuses options that select images of a `bakery.toml` if --template is given. Raises `UsageError`."""
        arguments = self.arguments
        others = {
            "IMAGE": arguments.image,
            "--tag": arguments.tag,
            "--changed-since": arguments.changed_since,
            "--downstream": arguments.downstream,
            "--config": arguments.config,
        }
        given = [name for name, value in others.items() if value]
        if arguments.template is not None and given:
            raise UsageError("reading --template", f"--template cannot be combined with {given[0]}", "Use one of them.")

    def resolver(self) -> Resolver:
        config, ports = self.bakery(None, self.arguments.command in _CHANGING)
        regions = tuple(dict.fromkeys(getattr(self.arguments, "region", None) or ()))
        return Resolver(
            ports=ports,
            config=config,
            arguments=parse_packer_arguments(self.after_dashes),
            regions=regions,
            audit=self._audit_mode,
        )

    @property
    def _audit_mode(self) -> AuditMode | None:
        from ami_bakery.core.audit.mode import AuditMode

        named = getattr(self.arguments, "audit", None)
        return AuditMode(named) if named else None

    def selected(self, resolver: Resolver) -> tuple[str, ...]:
        """Returns the selected images' names in the order of the file; all by default.

        No match for --tag or --changed-since is not an error; it is reported on stderr.
        """
        arguments = self.arguments
        names = named(resolver.config, arguments.image)
        names = tuple(name for name in names if has_tags(resolver.config.image(name), arguments.tag))
        conditions = [f"has the tag {tag}" for tag in arguments.tag]
        if arguments.changed_since is not None:
            from ami_bakery.plan.changes import changed_since

            names = changed_since(resolver, names, arguments.changed_since)
            conditions.append(f"changed since {arguments.changed_since}")
        if not names:
            resolver.ports.reporter.note(f"nothing to do: no image {' and '.join(conditions)}")
        return with_downstream(resolver.config, names) if arguments.downstream else names


def exit_status(errors: Sequence[BakeryError]) -> int:
    """Returns the exit status. Permanent failures take precedence over "busy", which a retry may resolve."""
    busy = [error for error in errors if isinstance(error, BusyError)]
    lasting = [error for error in errors if error not in busy]
    return max((error.exit_status for error in lasting or busy), default=0)


def add_selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="*", metavar="IMAGE", help="names or globs of images (default: all)")
    parser.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="KEY[=VALUE]",
        help="only images with this tag in bakery.toml; repeatable (AND)",
    )
    parser.add_argument(
        "--changed-since",
        metavar="REV",
        help="only images changed since git revision REV",
    )
    parser.add_argument("--downstream", action="store_true", help="also include dependent images")


def add_template(parser: argparse.ArgumentParser, verb: str) -> None:
    parser.add_argument(
        "--template", metavar="FILE", help=f"{verb} this Packer template or folder; needs no bakery.toml"
    )


class RenamedOption(argparse.Action):
    """An option's old name. It is not in `--help`; its use is an error that states the new name."""

    def __init__(self, option_strings: Sequence[str], dest: str, new: str) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        self.new = new

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        parser.error(f"{self.option_strings[0]} was renamed: use {self.new}")


def add_regions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--region",
        action="append",
        type=_region,
        metavar="REGION",
        help="override the configured regions; repeatable",
    )


def _region(text: str) -> str:
    from ami_bakery.core.config.keys import parse_region
    from ami_bakery.core.config.value_parsers import InvalidValue

    try:
        return parse_region(text)
    except InvalidValue as wrong:
        raise argparse.ArgumentTypeError(wrong.message) from None


def duration(text: str) -> timedelta:
    try:
        return parse_duration(text, units="smhd", examples="90s, 15m or 2h", zero=True)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None


def add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--init",
        action="store_true",
        help="install missing required plugins with `packer init`; also enabled by AMI_BAKERY_INIT=1",
    )


def add_packer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--packer", metavar="PATH", default="packer", help="path to Packer (default: packer)")
