"""From argv to exit status: the parser, the program's streams and signals, and the one place where errors are told."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NoReturn, Protocol, TextIO, cast

from ami_bakery.adapters.person import Person
from ami_bakery.core.printable import one_line
from ami_bakery.errors import BakeryError, LeaveNow

if TYPE_CHECKING:
    from ami_bakery.adapters.ci import CiLog
    from ami_bakery.commands.invocation import Invocation
    from ami_bakery.core.config import Config
    from ami_bakery.core.table import Table
    from ami_bakery.core.tree import Tree
    from ami_bakery.ports import Outside, Watcher

DONE, FAILED, WRONG_USAGE, OUR_BUG, INTERRUPTED = 0, 1, 2, 70, 130

COMMANDS = {
    "bake": "make sure that each image's AMI exists, and print the ids",
    "plan": "say what bake would do, and why; change nothing",
    "digest": "print the digest",
    "inputs": "list every file an image is made of",
    "check": "find what would go wrong, before it costs a bake",
    "images": "list the AMIs made so far",
    "terraform-external": "answer Terraform's external data source: JSON on stdin, JSON on stdout",
    "local": "run a command against an embedded EC2: no account, no cost",
    "completion": "print shell completion for bash, zsh or fish",
}
"""What each does. The module of a command is imported when the command is run."""
TAKE_DASHES = ("bake", "plan", "digest", "inputs", "check", "images", "terraform-external", "local")
EPILOG = """\
Where PACKER_JSON_PATH is set, and no --config is given, the program works as the original AMI bakery did: on the
folders in AMI_DEFINITION_DIRS, with the SHA-1 checksum; else on the images in bakery.toml, here or in a folder above.

exit status: 0 done, or nothing to do; 1 a failure that the message explains; 2 wrong usage; 70 a bug of this program;
75 another runner is baking it, and we were not to wait (any longer); 130 interrupted"""


_DETAILED = "--detailed-exitcode"
_OF_PACKER = re.compile(
    r"-(var|var-file|only|except|on-error|parallel-builds)(=.*)?|-(debug|force|timestamp-ui)", re.DOTALL
)
_OF_A_COMMAND = re.compile(r"--(packer|region|jobs|output|force|tag|changed-since|downstream|strict)(=|$)")
"""Options that people write before the command, where the parser would take their value for the command."""


class Command(Protocol):
    """What each module in `commands` has."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, invocation: Invocation) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """The program `ami-bakery`. Gives its exit status."""
    return _run("ami-bakery", list(sys.argv[1:] if argv is None else argv))


def main_bake(argv: Sequence[str] | None = None) -> int:
    """The program `bake`: the same as `ami-bakery bake`, and the original image's command."""
    return _run("bake", ["bake", *(sys.argv[1:] if argv is None else argv)])


def make_parser(program: str = "ami-bakery", *, used: Collection[str] = COMMANDS) -> argparse.ArgumentParser:
    """The parser. Only the commands that are `used` get their arguments, which takes the import of their modules."""
    width = _columns() - 2
    parser = _Parser(
        prog="ami-bakery",
        description="Bake AWS machine images with Packer, and only when their definition changed.",
        epilog=EPILOG,
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, width=width),
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    _add_common(parser, default=None)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, about in COMMANDS.items():
        subparser = commands.add_parser(
            name,
            prog="bake" if program == "bake" and name == "bake" else f"ami-bakery {name}",
            help=about,
            description=f"{about[0].upper()}{about[1:]}.",
            formatter_class=partial(argparse.HelpFormatter, width=width),
            epilog="What stands behind `--` goes to `packer build` as it is." if name in ("bake", "plan") else None,
        )
        if name in used:
            _command(name).add_arguments(subparser)
            _add_common(subparser, default=argparse.SUPPRESS)
    return parser


def _columns() -> int:
    """The terminal's, as shutil tells them: argparse asks it for each option, and it brings all that unpacks archives,
    which is as much as a thirtieth of an unchanged image's run in the drop-in."""
    try:
        named = int(os.environ.get("COLUMNS", ""))
    except ValueError:
        named = 0
    if named > 0:
        return named
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):
        return 80


def _command(name: str) -> Command:
    module: object = importlib.import_module(f"ami_bakery.commands.{name.replace('-', '_')}")
    return module  # type: ignore[return-value]


def _add_common(parser: argparse.ArgumentParser, *, default: object) -> None:
    """Options that may stand before the command and behind it."""

    def or_given(value: object) -> object:
        return value if default is None else default

    group = parser.add_argument_group("common options")
    group.add_argument("-C", "--config", metavar="FILE", default=or_given(None), help="the bakery.toml to work on")
    group.add_argument(
        "-v", "--verbose", action="store_true", default=or_given(False), help="show Packer's whole log on stderr"
    )
    group.add_argument(
        "-q", "--quiet", action="store_true", default=or_given(False), help="nothing on stderr but warnings and errors"
    )
    group.add_argument("--json", action="store_true", default=or_given(False), help="print one JSON document")
    group.add_argument(
        "--color", choices=("auto", "always", "never"), default=or_given("auto"), help="colors (default: auto)"
    )
    group.add_argument(
        "--ci",
        choices=("auto", "off"),
        default=or_given("auto"),
        help="annotations and summaries, where the environment shows a CI that reads them (default: auto)",
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """What it repeats of the command line must not forge a line in a log."""
        super().error(one_line(message))


class _Version(argparse.Action):
    def __call__(self, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"ami-bakery {version('ami-bakery')}")  # noqa: T201
        sys.exit(DONE)


def _run(program: str, argv: list[str]) -> int:
    _open_streams()
    completing = "_ARGCOMPLETE" in os.environ
    # The command is one of these words, though not every such word is the command.
    parser = make_parser(program, used=COMMANDS if completing else argv)
    if completing:
        import argcomplete

        from ami_bakery.completing import offer_values

        for subparser in _subparsers(parser).values():
            offer_values(subparser, os.environ)
        argcomplete.autocomplete(_subparsers(parser)["bake"] if program == "bake" else parser)
    before, after = _split(argv)
    try:
        arguments = _parsed(parser, before, after)
    except SystemExit as end:
        # The parser has told what is wrong. With this option 2 says that there is something to do.
        if end.code == WRONG_USAGE and any(_DETAILED.startswith(word) and len(word) > len("--de") for word in before):
            return FAILED
        raise
    ci = _ci_log(arguments)
    with (
        _handled(arguments, ci) as outcome,
        Person(sys.stdin if _has_a_viewer(sys.stderr) else None, sys.stderr) as person,
        contextlib.ExitStack() as stack,
    ):
        outcome.status = _command(arguments.command).run(_invocation(arguments, after, person, stack, ci))
    _leave_streams()
    if outcome.at_once:
        # Python itself would wait for the threads that listen to Packer.
        os._exit(outcome.status)
    return outcome.status


def _parsed(parser: argparse.ArgumentParser, before: list[str], after: tuple[str, ...]) -> argparse.Namespace:
    of_packer = next((word for word in before if _OF_PACKER.fullmatch(word)), None)
    if of_packer is not None:
        parser.error(
            f"{of_packer} is an option of Packer: those stand behind `--`, as in `ami-bakery bake -- {of_packer}`"
        )
    command = next((word for word in before if word in COMMANDS), None)
    misplaced = (
        next((word for word in before[: before.index(command)] if _OF_A_COMMAND.match(word)), None) if command else None
    )
    if misplaced is not None:
        parser.error(f"{misplaced} stands behind the command, as in `ami-bakery {command} {misplaced}`")
    arguments = parser.parse_args(before)
    if after and arguments.command not in TAKE_DASHES:
        parser.error(f"{arguments.command} takes nothing behind `--`")
    return arguments


def _open_streams() -> None:
    """Python has no stream where the caller closed it (`>&-`): what is written there goes nowhere.

    A name that the terminal's encoding does not have is shown as an escape.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _leave_streams() -> None:
    """What a stream still holds and cannot write is dropped here, or Python would complain of it when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return {
        name: subparser
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, subparser in action.choices.items()
    }


def _split(argv: list[str]) -> tuple[list[str], tuple[str, ...]]:
    """What stands before and behind the first `--`."""
    if "--" not in argv:
        return argv, ()
    at = argv.index("--")
    return argv[:at], tuple(argv[at + 1 :])


class _Outcome:
    status = DONE
    at_once = False
    """What still runs is not waited for."""


def _tell(text: str) -> None:
    """A line on stderr, if anybody is there."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)  # noqa: T201


@contextlib.contextmanager
def _handled(arguments: argparse.Namespace, ci: CiLog | None) -> Iterator[_Outcome]:
    """The one error handler: an expected failure is a message of three parts, anything else a bug with a report."""
    from ami_bakery.render import ansi, error_text, plain

    outcome = _Outcome()
    try:
        yield outcome
    except BakeryError as error:
        _tell(error_text(error, ansi if _colored(arguments, sys.stderr) else plain))
        if ci is not None:
            _tell_ci(ci, arguments.command, error)
        # As with Terraform, 2 says that there is something to do: an error must not look like it.
        detailed = getattr(arguments, "detailed_exitcode", False)
        for_terraform = detailed or arguments.command == "terraform-external"
        outcome.status = FAILED if for_terraform else error.exit_status
    except KeyboardInterrupt as interrupt:
        _tell(f"interrupted by {interrupt or 'SIGINT'}: what was baked until now is found by the next run")
        outcome.status, outcome.at_once = INTERRUPTED, isinstance(interrupt, LeaveNow)
    except BrokenPipeError:
        # Whoever read our answer has gone: nothing is left to say.
        outcome.status = FAILED
    except Exception:
        outcome.status = OUR_BUG
        _report_bug()


def _tell_ci(ci: CiLog, command: str, error: BakeryError) -> None:
    from ami_bakery.core.ci import error_notes
    from ami_bakery.core.markdown import error_markdown

    ci.tell(command, error_notes(error), error_markdown(command, error))


def _report_bug() -> None:
    """The trace goes to a file, ready to be sent; it holds code and messages, no variables' values."""

    import tempfile
    import traceback

    trace = traceback.format_exc()
    try:
        descriptor, path = tempfile.mkstemp(prefix="ami-bakery-bug-", suffix=".txt")
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(trace)
        where = f"A report is in {path}: please send it to the project's issues."
    except OSError:
        where = trace
    last = trace.strip().splitlines()[-1]
    _tell(f"error: a bug in ami-bakery\n  {last}\n  {where}")


def _invocation(
    arguments: argparse.Namespace,
    after_dashes: tuple[str, ...],
    person: Person,
    stack: contextlib.ExitStack,
    ci: CiLog | None,
) -> Invocation:
    from ami_bakery.adapters.answer_file import append_file, replace_file
    from ami_bakery.commands.invocation import Invocation
    from ami_bakery.core.packer_arguments import parse_arguments
    from ami_bakery.outside import find_images, real_outside
    from ami_bakery.render import ansi, plain

    environment = dict(os.environ)

    def bakery(named: str | None) -> tuple[Config, Outside]:
        config = find_images(named or arguments.config, environment)
        if ci is not None:
            ci.root = config.root
        debugging = parse_arguments(after_dashes).debug
        if debugging:
            person.ask_nobody()
        watcher = _watcher(arguments, debugging=debugging)
        stack.callback(watcher.close)
        # Commands that bake nothing do not have all of these.
        given = {name: getattr(arguments, name) for name in ("packer", "kill_timeout") if hasattr(arguments, name)}
        return config, real_outside(config, environment, watcher, person, stack, terminal=sys.stderr.buffer, **given)

    def run_local(command: Sequence[str], policy: str | None) -> int:
        try:
            from ami_bakery.local import LocalSettings, read_policy, run
        except ImportError as error:
            raise BakeryError(
                "starting the embedded EC2",
                f"a package that it needs is not installed ({error.name})",
                "Install it with: pip install 'ami-bakery[local]'",
            ) from error
        settings = LocalSettings(policy=read_policy(policy) if policy is not None else "")
        return run(command, environment=environment, settings=settings, stderr=sys.stderr)

    return Invocation(
        arguments=arguments,
        after_dashes=after_dashes,
        environment=environment,
        stdin=sys.stdin,
        stdout=sys.stdout,
        style=ansi if _colored(arguments, sys.stdout) else plain,
        draw=_draw(arguments),
        error_style=ansi if _colored(arguments, sys.stderr) else plain,
        bakery=bakery,
        write_file=lambda path, text, todo, append: (append_file if append else replace_file)(path, text, todo),
        run_local=run_local,
        tell_ci=partial(ci.tell, arguments.command) if ci is not None else None,
    )


def _ci_log(arguments: argparse.Namespace) -> CiLog | None:
    """For the CI that we run in, where it is one that can be told, and is to be.

    Terraform shows what its data source says on stderr as an error's message: a CI's lines do not belong there.
    """
    from ami_bakery.core.ci import detect

    off = arguments.ci == "off" or arguments.command == "terraform-external"
    found = None if off else detect(os.environ)
    if found is None:
        return None
    from ami_bakery.adapters.ci import CiLog

    return CiLog(found, dict(os.environ), sys.stderr)


def _draw(arguments: argparse.Namespace) -> Callable[[Table | Tree], str]:
    from ami_bakery import render

    color = _colored(arguments, sys.stdout)
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and sys.stdout.encoding.lower().startswith("utf"):
        from ami_bakery.adapters import drawing

        return partial(drawing.drawn, color=color)
    return partial(render.drawn, style=render.ansi if color else render.plain)


def _watcher(arguments: argparse.Namespace, *, debugging: bool) -> Watcher:
    """A live view on a terminal, unless Packer itself is to speak to the person there."""
    from ami_bakery.adapters.terminal import PlainWatcher, Unbroken

    verbose, color = arguments.verbose, _colored(arguments, sys.stderr)
    live = _has_a_viewer(sys.stderr) and not arguments.quiet and os.environ.get("TERM") != "dumb" and not debugging
    if live and arguments.command in ("bake", "plan"):
        from rich.console import Console

        from ami_bakery.adapters.live import LiveWatcher

        return LiveWatcher(Console(file=cast(TextIO, Unbroken(sys.stderr)), no_color=not color), verbose=verbose)
    return PlainWatcher(sys.stderr, verbose=verbose, quiet=arguments.quiet, color=color)


def _has_a_viewer(stream: TextIO) -> bool:
    """A terminal of no width is nobody's: `docker run -t` in a pipeline gives one, and its log keeps all redrawing.

    Nor is there anybody before one that a CI gives its jobs.
    """
    from ami_bakery.core.ci import is_automated

    if is_automated(os.environ):
        return False
    try:
        return stream.isatty() and os.get_terminal_size(stream.fileno()).columns > 0
    except OSError:
        return False


def _colored(arguments: argparse.Namespace, stream: object) -> bool:
    """https://no-color.org: a NO_COLOR that is not empty switches colors off."""
    if arguments.color != "auto":
        return bool(arguments.color == "always")
    isatty: Callable[[], bool] = getattr(stream, "isatty", lambda: False)
    return isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
