"""Parses the command line, and reports unknown words."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NoReturn, Protocol, cast

from ami_bakery.core.text.sanitize import one_line

if TYPE_CHECKING:
    from ami_bakery.cli.commands.context import CommandContext

DONE, WRONG_USAGE = 0, 2

COMMANDS = {
    "bake": "build missing AMIs and print their ids",
    "plan": "show what bake would do, and why",
    "digest": "print the digest of each image",
    "inputs": "list the files included in the digest",
    "check": "validate configuration and templates without building",
    "test": "test existing AMIs without building",
    "audit": "build images without AWS, and find files that are not in the digest",
    "images": "list built AMIs",
    "promote": "put AMIs into a channel, an SSM parameter in each region",
    "rollback": "put the previous AMI back into a channel",
    "channels": "list the AMIs in channels",
    "revoke": "mark AMIs as unusable, with a reason",
    "unrevoke": "undo the revocation of AMIs",
    "prune": "show AMIs that nothing needs; with --apply, disable and later deregister them",
    "report": "write a page about all images: state, history, channels, uses and costs",
    "init": "propose a bakery.toml for the Packer templates of a folder",
    "schema": "print the JSON Schema of bakery.toml",
    "terraform-external": "serve as a Terraform `external` data source (JSON on stdin and stdout)",
    "local": "run a command against the embedded EC2 (no AWS account needed)",
    "completion": "print the shell completion script for bash, zsh or fish",
}
"""Commands and their help. A command's module is imported only when the command runs."""
_RELEASE = ("promote", "rollback", "channels", "revoke", "unrevoke", "prune")
TAKE_DASHES = (
    "bake",
    "plan",
    "digest",
    "inputs",
    "check",
    "test",
    "audit",
    "images",
    "report",
    "terraform-external",
    "local",
)
_OF_PACKER_BUILD = ("bake", "plan", "audit")
EPILOG = """\
The images are read from bakery.toml, in the current folder or the nearest folder above it. If PACKER_JSON_PATH is
set and --config is not given, drop-in mode is used: the folders in AMI_DEFINITION_DIRS, and the SHA-1 checksum.

exit status: 0 success; 1 error; 2 wrong usage; 70 internal error; 75 another job is building the image or
changing the channel, and waiting is disabled or timed out; 130 interrupted"""


_OF_PACKER = re.compile(
    r"-(var|var-file|only|except|on-error|parallel-builds)(=.*)?|-(debug|force|timestamp-ui)", re.DOTALL
)
_OF_A_COMMAND = re.compile(r"--(audit|packer|region|jobs|output|force|tag|changed-since|downstream|strict)(=|$)")
"""Options of a command that users often write before it. The parser would mistake their value for the command."""


class Subcommand(Protocol):
    """The interface of each module in `commands`."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, context: CommandContext) -> int: ...


def make_parser(program: str = "ami-bakery", *, used: Collection[str] = COMMANDS) -> _Parser:
    """Returns the parser. Only commands in `used` get their arguments, because that imports their modules."""
    parser = _Parser(
        prog="ami-bakery",
        description="Bake AWS machine images with Packer, and only when their definition changed.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    _add_common(parser, default=None)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    for name, about in COMMANDS.items():
        subparser = commands.add_parser(
            name,
            prog="bake" if program == "bake" and name == "bake" else f"ami-bakery {name}",
            help=about,
            description=f"{about[0].upper()}{about[1:]}.",
            epilog="Arguments after `--` are passed to `packer build`." if name in _OF_PACKER_BUILD else None,
        )
        if name in used:
            command_module(name).add_arguments(subparser)
            _add_common(subparser, default=argparse.SUPPRESS)
    return parser


def command_module(name: str) -> Subcommand:
    folder = "release." if name in _RELEASE else ""
    module: object = importlib.import_module(f"ami_bakery.cli.commands.{folder}{name.replace('-', '_')}")
    return module  # type: ignore[return-value]


def _add_common(parser: argparse.ArgumentParser, *, default: object) -> None:
    """Adds the options that are allowed before and after the command."""

    def or_given(value: object) -> object:
        return value if default is None else default

    group = parser.add_argument_group("common options")
    group.add_argument(
        "-C", "--config", metavar="PATH", default=or_given(None), help="path to bakery.toml, or to its folder"
    )
    group.add_argument(
        "-v", "--verbose", action="store_true", default=or_given(False), help="show Packer's full log on stderr"
    )
    group.add_argument(
        "-q", "--quiet", action="store_true", default=or_given(False), help="only print warnings and errors"
    )
    group.add_argument("--json", action="store_true", default=or_given(False), help="print one JSON document")
    group.add_argument(
        "--color", choices=("auto", "always", "never"), default=or_given("auto"), help="colors (default: auto)"
    )
    group.add_argument(
        "--ci",
        choices=("auto", "off"),
        default=or_given("auto"),
        help="write annotations and summaries if the CI is detected and supports them (default: auto)",
    )


class _Parser(argparse.ArgumentParser):
    """Suggests the nearest option for a misspelt one, with the command's usage."""

    def error(self, message: str) -> NoReturn:
        """Escapes line breaks, so that arguments cannot forge lines in a log."""
        super().error(one_line(message))

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """Reports words that the command does not accept."""
        from ami_bakery.core.text.suggestions import nearest

        options = [option[2:] for action in self._actions for option in action.option_strings if option[:2] == "--"]
        option = next((word.partition("=")[0] for word in words if word.startswith("-")), "")
        near = nearest(option.lstrip("-"), options).replace("'", "'--", 1) if len(option) > 2 else ""
        self.error(f"unknown option {option}{near}" if option else f"unexpected argument {words[0]!r}")


class _Version(argparse.Action):
    def __call__(self, *_: object) -> NoReturn:
        _print_version()


def _print_version() -> NoReturn:
    from importlib.metadata import version

    print(f"ami-bakery {version('ami-bakery')}")  # noqa: T201
    sys.exit(DONE)


def parse_arguments(parser: argparse.ArgumentParser, before: list[str], after: tuple[str, ...]) -> argparse.Namespace:
    command = next((word for word in before if word in COMMANDS), None)
    used = parser if command is None else _subparser(parser, command)
    of_packer = next((word for word in before if _OF_PACKER.fullmatch(word)), None)
    if of_packer is not None:
        of_packer = "-var" if of_packer.startswith("-var=") else of_packer  # the value may be a secret
        used.error(f"{of_packer} is a Packer option: write it after `--`, as in `ami-bakery bake -- {of_packer}`")
    misplaced = (
        next((word for word in before[: before.index(command)] if _OF_A_COMMAND.match(word)), None) if command else None
    )
    if misplaced is not None:
        used.error(f"{misplaced} goes after the command, as in `ami-bakery {command} {misplaced}`")
    arguments, unknown = parser.parse_known_args(_with_audit_mode(before))
    if unknown:
        _subparser(parser, arguments.command).refuse(unknown)
    if after and arguments.command not in TAKE_DASHES:
        _subparser(parser, arguments.command).error("takes no arguments after `--`")
    return arguments


def _with_audit_mode(words: Sequence[str]) -> list[str]:
    """Adds the default mode to `--audit` if no mode follows."""
    following = (*words[1:], "")
    return [
        "--audit=warn" if word == "--audit" and after not in ("warn", "strict") else word
        for word, after in zip(words, following, strict=True)
    ]


_GLOBAL_WITH_VALUE = frozenset({"-C", "--config", "--color", "--ci"})


def _command_word(words: Sequence[str]) -> tuple[int, str] | None:
    """Returns the command with its index. It is the first word that is neither an option nor an option's value."""
    skip = False
    for at, word in enumerate(words):
        if skip:
            skip = False
        elif word in _GLOBAL_WITH_VALUE:
            skip = True
        elif not word.startswith("-"):
            return at, word
    return None


def resolve_words(argv: list[str]) -> list[str]:
    """Turns `help`, `help COMMAND` and `version` into options. Exits if there is no command or an unknown one."""
    if not argv:
        make_parser(used=()).print_help(sys.stderr)
        sys.exit(WRONG_USAGE)
    before, _ = split_at_dashes(argv)
    found = _command_word(before)
    misplaced = any(_OF_A_COMMAND.match(word) for word in before) and not COMMANDS.keys().isdisjoint(before)
    if found is None or found[1] in COMMANDS or misplaced:
        return argv
    at, word = found
    if word == "version":
        _print_version()
    if word == "help":
        following = _command_word(before[at + 1 :])
        if following is None or following[1] in COMMANDS:
            return [*([following[1]] if following else []), "--help"]
        word = following[1]
    _refuse_options(before[:at])
    return _refuse_command(word)


def _refuse_options(words: Sequence[str]) -> None:
    """Reports a misspelt option before the command: its value would be mistaken for the command."""
    parser = make_parser(used=())
    unknown = parser.parse_known_args([*words, next(iter(COMMANDS))])[1]
    if unknown:
        parser.refuse(unknown)


def _refuse_command(word: str) -> NoReturn:
    """Exits with the nearest command's usage, or the list of all commands."""
    from ami_bakery.core.text.suggestions import nearest

    near = nearest(word, (*COMMANDS, "help", "version"))
    command = next((name for name in COMMANDS if repr(name) in near), None)
    parser = make_parser(used=() if command is None else (command,))
    usage: argparse.ArgumentParser = parser if command is None else _subparser(parser, command)
    usage.print_usage(sys.stderr)
    known = near or f"; the commands are {', '.join(COMMANDS)}"
    parser.exit(WRONG_USAGE, f"ami-bakery: error: unknown command {one_line(repr(word))}{known}\n")


def _subparser(parser: argparse.ArgumentParser, command: str) -> _Parser:
    return cast(_Parser, subparsers(parser)[command])


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return {
        name: subparser
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, subparser in action.choices.items()
    }


def split_at_dashes(argv: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """Returns the words before and after the first `--`."""
    if "--" not in argv:
        return argv, ()
    at = argv.index("--")
    return argv[:at], tuple(argv[at + 1 :])
