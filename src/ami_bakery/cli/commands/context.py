"""What every subcommand is started with: its arguments, the outside world, and where the answer goes."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, TextIO

from ami_bakery.core.config.selection import has_tags, named, with_downstream
from ami_bakery.core.packer.arguments import parse_packer_arguments
from ami_bakery.define.resolver import Resolver
from ami_bakery.errors import OutputError
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from ami_bakery.core.ci.annotations import Note
    from ami_bakery.core.config.model import Config
    from ami_bakery.core.text.table import Table
    from ami_bakery.core.text.tree import Tree
    from ami_bakery.ports import Ports
    from ami_bakery.render.text import Style


How = Literal["replace", "replace-link", "append"]
"""`replace` writes to the target of a symbolic link, `replace-link` puts a file in the link's place."""


class CommandContext(Frozen):
    """One call of the program.

    after_dashes  what stands behind `--`
    draw          tables and trees: as rich has them where stdout is a terminal, else in plain characters
    bakery        (file, bakes): loads the configuration, the one named or that of --config, and makes the outside,
                  which fetches missing plugins where something may be built
    one_terminal  whether stdout and stderr are the same terminal
    write_file    (path, text, what to do if it fails, how): completely or not at all
    run_local     (command, file with an IAM policy): run a command against the embedded EC2, for its exit status
    tell_ci       (notes, Markdown): show them in the CI that this runs in; None where it is none that can
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
    write_file: Callable[[str, str, str, How], None]
    run_local: Callable[[Sequence[str], str | None], int]
    tell_ci: Callable[[Sequence[Note], str], None] | None

    def answer(self, text: str) -> None:
        """Print to stdout. Nothing else of the program does."""
        try:
            self.stdout.write(f"{text}\n")
            self.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError("writing the answer to stdout", error.strerror or str(error), self._again) from error

    def answer_in(self, path: str, text: str, how: How = "replace") -> None:
        """Write to a file. Raises `OutputError`."""
        self.write_file(path, text, self._again, how)

    @property
    def _again(self) -> str:
        """What to do where an answer could not be written."""
        bakes = self.arguments.command in ("bake", "terraform-external")
        return f"Mend that and run again{': what is baked is found, not baked again' if bakes else ''}."

    def resolver(self) -> Resolver:
        config, ports = self.bakery(None, self.arguments.command == "bake")
        regions = tuple(dict.fromkeys(getattr(self.arguments, "region", None) or ()))
        return Resolver(
            ports=ports, config=config, arguments=parse_packer_arguments(self.after_dashes), regions=regions
        )

    def selected(self, resolver: Resolver) -> tuple[str, ...]:
        """The images asked for, in the order of the file: all where nothing is said.

        Where they are chosen by what they are, and none is so, that is no error: it is said on stderr.
        """
        arguments = self.arguments
        names = named(resolver.config, arguments.image)
        names = tuple(name for name in names if has_tags(resolver.config.image(name), arguments.tag))
        conditions = [f"has the tag {tag}" for tag in arguments.tag]
        if arguments.changed_since is not None:
            from ami_bakery.plan.changes import changed_since

            names = changed_since(resolver, names, arguments.changed_since)
            conditions.append(f"has changed since {arguments.changed_since}")
        if not names:
            resolver.ports.reporter.note(f"nothing to do: no image {' and '.join(conditions)}")
        return with_downstream(resolver.config, names) if arguments.downstream else names


def add_selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="*", metavar="IMAGE", help="names or globs of images; none means all")
    parser.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="KEY[=VALUE]",
        help="of these, only images that have this tag in bakery.toml; may be repeated: all must hold",
    )
    parser.add_argument(
        "--changed-since",
        metavar="REV",
        help="of these, only images whose definition is not what it was at this git revision",
    )
    parser.add_argument(
        "--downstream", action="store_true", help="and all images that are made from the chosen ones, and from those"
    )


def add_regions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--region",
        action="append",
        type=_region,
        metavar="REGION",
        help="work in this region instead of those configured; may be repeated",
    )


def _region(text: str) -> str:
    from ami_bakery.core.config.keys import InvalidValue, parse_region

    try:
        return parse_region(text)
    except InvalidValue as wrong:
        raise argparse.ArgumentTypeError(wrong.message) from None


_DURATION = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """``90s``, ``15m``, ``2h``, ``1d``."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise argparse.ArgumentTypeError(f"a number with s, m, h or d behind it is wanted, as in 15m, not {text!r}")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--init",
        action="store_true",
        help="fetch plugins that the template requires and that are missing, with packer init; AMI_BAKERY_INIT=1 does "
        "the same",
    )


def add_packer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--packer", metavar="PATH", default="packer", help="the Packer program (default: packer)")
