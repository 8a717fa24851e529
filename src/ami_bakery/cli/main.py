"""From argv to exit status: the parser, the program's streams and signals, and the one place where errors are told."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TextIO, cast

from ami_bakery.adapters.terminal.prompt import TerminalPrompter
from ami_bakery.cli.parser import (
    COMMANDS,
    DONE,
    WRONG_USAGE,
    columns,
    command_module,
    make_parser,
    parse_arguments,
    resolve_words,
    split_at_dashes,
    subparsers,
)
from ami_bakery.errors import BakeryError, LeaveNow

if TYPE_CHECKING:
    import argparse

    from ami_bakery.adapters.ci import CiLog
    from ami_bakery.cli.commands.context import CommandContext, How
    from ami_bakery.core.config.model import Config
    from ami_bakery.core.text.table import Table
    from ami_bakery.core.text.tree import Tree
    from ami_bakery.ports import Ports, Reporter

FAILED, OUR_BUG, INTERRUPTED = 1, 70, 130

_DETAILED = "--detailed-exitcode"


def main(argv: Sequence[str] | None = None) -> int:
    """The program `ami-bakery`. Gives its exit status."""
    return _run("ami-bakery", list(sys.argv[1:] if argv is None else argv))


def main_bake(argv: Sequence[str] | None = None) -> int:
    """The program `bake`: the same as `ami-bakery bake`, and the original image's command."""
    return _run("bake", ["bake", *(sys.argv[1:] if argv is None else argv)])


def _run(program: str, argv: list[str]) -> int:
    _open_streams()
    if "_ARGCOMPLETE" not in os.environ:
        argv = resolve_words(argv)
    completing = "_ARGCOMPLETE" in os.environ
    # The command is one of these words, though not every such word is the command.
    parser = make_parser(program, used=COMMANDS if completing else argv)
    if completing:
        import argcomplete

        from ami_bakery.cli.shell_completion import offer_packer_options, offer_values

        if offer_packer_options(os.environ):
            return DONE

        for subparser in subparsers(parser).values():
            offer_values(subparser, os.environ)
        argcomplete.autocomplete(subparsers(parser)["bake"] if program == "bake" else parser)
    before, after = split_at_dashes(argv)
    try:
        arguments = parse_arguments(parser, before, after)
    except SystemExit as end:
        # The parser has told what is wrong. With this option 2 says that there is something to do.
        if end.code == WRONG_USAGE and any(_DETAILED.startswith(word) and len(word) > len("--de") for word in before):
            return FAILED
        raise
    ci = _ci_log(arguments)
    with (
        _handled(arguments, ci) as outcome,
        TerminalPrompter(sys.stdin if _has_a_viewer(sys.stderr) else None, sys.stderr) as prompter,
        contextlib.ExitStack() as stack,
    ):
        outcome.status = command_module(arguments.command).run(_command_context(arguments, after, prompter, stack, ci))
    _leave_streams()
    if outcome.at_once:
        # Python itself would wait for the threads that listen to Packer.
        os._exit(outcome.status)
    return outcome.status


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
    from ami_bakery.render.text import ansi, error_text, plain

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
    except MemoryError:
        outcome.status = FAILED
        _tell(error_text(_no_memory(arguments.command), plain))
    except Exception:
        outcome.status = OUR_BUG
        _report_bug()


def _no_memory(command: str | None) -> BakeryError:
    return BakeryError(
        f"running {command}", "there is not enough memory", "Make the files that are read smaller, or allow it more."
    )


def _tell_ci(ci: CiLog, command: str, error: BakeryError) -> None:
    from ami_bakery.core.ci.annotations import error_notes
    from ami_bakery.render.markdown import error_markdown

    ci.tell(command, error_notes(error), error_markdown(command, error))


def _report_bug() -> None:
    """The trace goes to a file, ready to be sent. It holds code and kinds of errors: their words may be values."""

    import tempfile
    import traceback

    chain, kinds = sys.exc_info()[1], []
    while chain is not None:
        kinds.append(f"{''.join(traceback.format_tb(chain.__traceback__))}{type(chain).__name__}\n")
        chain = chain.__cause__ or chain.__context__
    trace = "\n".join(reversed(kinds))
    try:
        descriptor, path = tempfile.mkstemp(prefix="ami-bakery-bug-", suffix=".txt")
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(trace)
        where = f"A report is in {path}: please send it to the project's issues."
    except OSError:
        where = trace
    last = trace.strip().splitlines()[-1]
    _tell(f"error: a bug in ami-bakery\n  {last}\n  {where}")


def _command_context(
    arguments: argparse.Namespace,
    after_dashes: tuple[str, ...],
    prompter: TerminalPrompter,
    stack: contextlib.ExitStack,
    ci: CiLog | None,
) -> CommandContext:
    from ami_bakery.adapters.files.atomic_file import append_file, replace_file
    from ami_bakery.cli.commands.context import CommandContext
    from ami_bakery.core.packer.arguments import parse_packer_arguments
    from ami_bakery.render.text import ansi, plain
    from ami_bakery.wiring import create_ports, load_config, template_config

    environment = dict(os.environ)

    def bakery(named: str | None, bakes: bool) -> tuple[Config, Ports]:
        template = getattr(arguments, "template", None)
        config = template_config(template) if template else load_config(named or arguments.config, environment)
        if ci is not None:
            ci.root = config.root
        debugging = parse_packer_arguments(after_dashes).debug
        if debugging:
            prompter.disable()
        reporter = _reporter(arguments, debugging=debugging)
        stack.callback(reporter.close)
        # Commands that bake nothing do not have all of these.
        given = {name: getattr(arguments, name) for name in ("packer", "kill_timeout") if hasattr(arguments, name)}
        fetch_plugins = bakes or getattr(arguments, "init", False)
        return config, create_ports(
            config,
            environment,
            reporter,
            prompter,
            stack,
            terminal=sys.stderr.buffer,
            fetch_plugins=fetch_plugins,
            trusted=bakes,
            **given,
        )

    def write_file(path: str, text: str, todo: str, how: How) -> None:
        if how == "append":
            append_file(path, text, todo)
        else:
            replace_file(path, text, todo, follow=how == "replace")

    def run_in_local_ec2(command: Sequence[str], policy: str | None) -> int:
        try:
            from ami_bakery.local import LocalSettings, read_policy, run_local
        except ImportError as error:
            raise BakeryError(
                "starting the embedded EC2",
                f"a package that it needs is not installed ({error.name})",
                "Install it with: pip install 'ami-bakery[local]'",
            ) from error
        settings = LocalSettings(policy=read_policy(policy) if policy is not None else "")
        return run_local(command, environment=environment, settings=settings, stderr=sys.stderr)

    return CommandContext(
        arguments=arguments,
        after_dashes=after_dashes,
        environment=environment,
        stdin=sys.stdin,
        stdout=sys.stdout,
        style=ansi if _colored(arguments, sys.stdout) else plain,
        draw=_draw(arguments),
        error_style=ansi if _colored(arguments, sys.stderr) else plain,
        bakery=bakery,
        one_terminal=_is_one_terminal(),
        write_file=write_file,
        run_local=run_in_local_ec2,
        tell_ci=partial(ci.tell, arguments.command) if ci is not None else None,
    )


def _is_one_terminal() -> bool:
    try:
        return sys.stdout.isatty() and os.path.samestat(os.fstat(sys.stdout.fileno()), os.fstat(sys.stderr.fileno()))
    except (OSError, ValueError):
        return False


def _ci_log(arguments: argparse.Namespace) -> CiLog | None:
    """For the CI that we run in, where it is one that can be told, and is to be.

    Terraform shows what its data source says on stderr as an error's message: a CI's lines do not belong there.
    """
    from ami_bakery.core.ci.annotations import detect

    off = arguments.ci == "off" or arguments.command == "terraform-external"
    found = None if off else detect(os.environ)
    if found is None:
        return None
    from ami_bakery.adapters.ci import CiLog

    return CiLog(found, dict(os.environ), sys.stderr)


def _draw(arguments: argparse.Namespace) -> Callable[[Table | Tree], str]:
    from ami_bakery.render import text

    color = _colored(arguments, sys.stdout)
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and sys.stdout.encoding.lower().startswith("utf"):
        from ami_bakery.adapters.terminal import rich_tables

        return partial(rich_tables.draw_table, color=color, width=columns())
    return partial(text.draw_plain, style=text.ansi if color else text.plain)


def _reporter(arguments: argparse.Namespace, *, debugging: bool) -> Reporter:
    """A live view on a terminal, unless Packer itself is to speak to the person there."""
    from ami_bakery.adapters.terminal.plain_reporter import PlainReporter, SafeStream

    verbose, color = arguments.verbose, _colored(arguments, sys.stderr)
    live = _has_a_viewer(sys.stderr) and not arguments.quiet and os.environ.get("TERM") != "dumb" and not debugging
    if live and arguments.command in ("bake", "plan"):
        from rich.console import Console

        from ami_bakery.adapters.terminal.live_reporter import LiveReporter

        return LiveReporter(Console(file=cast(TextIO, SafeStream(sys.stderr)), no_color=not color), verbose=verbose)
    return PlainReporter(sys.stderr, verbose=verbose, quiet=arguments.quiet, color=color)


def _has_a_viewer(stream: TextIO) -> bool:
    """A terminal of no width is nobody's: `docker run -t` in a pipeline gives one, and its log keeps all redrawing.

    Nor is there anybody before one that a CI gives its jobs.
    """
    from ami_bakery.core.ci.annotations import is_automated

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
