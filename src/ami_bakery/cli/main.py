"""Runs the program: streams, signals, the command, and the only error handler."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TextIO, cast

from ami_bakery.adapters.terminal.prompt import TerminalPrompter
from ami_bakery.cli.parser import (
    COMMANDS,
    DONE,
    WRONG_USAGE,
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
    from ami_bakery.core.ec2.stand_in import StandIn
    from ami_bakery.core.text.table import Table
    from ami_bakery.core.text.tree import Tree
    from ami_bakery.ports import Ports, Reporter

FAILED, OUR_BUG, INTERRUPTED = 1, 70, 130

_DETAILED = "--detailed-exitcode"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program `ami-bakery`. Returns its exit status."""
    return _run("ami-bakery", list(sys.argv[1:] if argv is None else argv))


def main_bake(argv: Sequence[str] | None = None) -> int:
    """Runs the program `bake`: the same as `ami-bakery bake`, and the command of the original Docker image."""
    return _run("bake", ["bake", *(sys.argv[1:] if argv is None else argv)])


def _run(program: str, argv: list[str]) -> int:
    _open_streams()
    if "_ARGCOMPLETE" not in os.environ:
        argv = resolve_words(argv)
    completing = "_ARGCOMPLETE" in os.environ
    # The command is one of these words, but not each word that names a command is the command.
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
        # The parser has reported the error. With this option, status 2 means that there are changes.
        if end.code == WRONG_USAGE and any(_DETAILED.startswith(word) and len(word) > len("--de") for word in before):
            return FAILED
        raise
    ci = _ci_log(arguments)
    with (
        _handled(arguments, ci) as outcome,
        TerminalPrompter(sys.stdin if _has_a_viewer(sys.stderr) else None, sys.stderr) as prompter,
        contextlib.ExitStack() as stack,
    ):
        context = _command_context(arguments, before, after, prompter, stack, ci)
        outcome.status = command_module(arguments.command).run(context)
    _leave_streams()
    if outcome.at_once:
        # Python would wait for the threads that read Packer's output.
        os._exit(outcome.status)
    return outcome.status


def _open_streams() -> None:
    """Replaces streams that the caller closed (`>&-`) by /dev/null.

    Characters that the encoding of a stream does not have are escaped.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _leave_streams() -> None:
    """Drops output that cannot be written; Python would report it at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Outcome:
    status = DONE
    at_once = False
    """Whether to exit without waiting for running threads."""


def _print_error(text: str) -> None:
    """Prints a line to stderr, and ignores a closed stream."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)  # noqa: T201


@contextlib.contextmanager
def _handled(arguments: argparse.Namespace, ci: CiLog | None) -> Iterator[_Outcome]:
    """Handles all errors: prints a `BakeryError` in three parts, and reports anything else as a bug."""
    from ami_bakery.core.text.table import ansi, plain
    from ami_bakery.render.text import error_text

    outcome = _Outcome()
    try:
        yield outcome
    except BakeryError as error:
        _print_error(error_text(error, ansi if _colored(arguments, sys.stderr) else plain))
        if ci is not None:
            _annotate(ci, arguments.command, error)
        # As in Terraform, status 2 means that there are changes: an error must not use it.
        detailed = getattr(arguments, "detailed_exitcode", False)
        for_terraform = detailed or arguments.command == "terraform-external"
        outcome.status = FAILED if for_terraform else error.exit_status
    except KeyboardInterrupt as interrupt:
        _print_error(f"Interrupted by {interrupt or 'SIGINT'}. Finished AMIs will be reused.")
        outcome.status, outcome.at_once = INTERRUPTED, isinstance(interrupt, LeaveNow)
    except BrokenPipeError:
        # The reader of stdout has exited, so no message can be shown.
        outcome.status = FAILED
    except MemoryError:
        outcome.status = FAILED
        _print_error(error_text(_no_memory(arguments.command), plain))
    except Exception:
        outcome.status = OUR_BUG
        _report_bug()


def _no_memory(command: str | None) -> BakeryError:
    return BakeryError(
        f"running {command}", "out of memory", "Reduce the size of the inputs, or raise the memory limit."
    )


def _annotate(ci: CiLog, command: str, error: BakeryError) -> None:
    from ami_bakery.core.ci.annotations import error_notes
    from ami_bakery.render.markdown import error_markdown

    ci.report(command, error_notes(error), error_markdown(command, error))


def _report_bug() -> None:
    """Writes the trace to a file, for a bug report.

    It holds lines of code and exception types, but no exception messages: these could contain secrets.
    """

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
        where = f"The details are in {path}. Please attach this file to a bug report."
    except OSError:
        where = trace
    last = trace.strip().splitlines()[-1]
    _print_error(f"error: internal error in ami-bakery\n  {last}\n  {where}")


def _command_context(
    arguments: argparse.Namespace,
    before_dashes: Sequence[str],
    after_dashes: tuple[str, ...],
    prompter: TerminalPrompter,
    stack: contextlib.ExitStack,
    ci: CiLog | None,
) -> CommandContext:
    from ami_bakery.adapters.files.atomic_file import append_file, create_file, replace_file
    from ami_bakery.adapters.terminal.web_browser import open_page
    from ami_bakery.cli.commands.context import CommandContext
    from ami_bakery.core.packer.arguments import parse_packer_arguments
    from ami_bakery.core.text.table import ansi, plain
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
        # Commands that do not bake lack some of these options.
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
        elif how == "create":
            create_file(path, text, todo)
        else:
            replace_file(path, text, todo, follow=how == "replace")

    def run_in_local_ec2(command: Sequence[str], policy: str | None) -> int:
        try:
            from ami_bakery.local import LocalSettings, read_policy, run_local
        except ImportError as error:
            raise BakeryError(
                "starting the embedded EC2",
                f"a required package is not installed ({error.name})",
                "Run: pip install 'ami-bakery[local]'",
            ) from error
        settings = LocalSettings(policy=read_policy(policy) if policy is not None else "")
        return run_local(command, environment=environment, settings=settings, stderr=sys.stderr)

    def rerun_in_local_ec2(option: str) -> int:
        behind = ("--", *after_dashes) if after_dashes else ()
        program = (sys.executable, "-P", "-m", "ami_bakery")
        return run_in_local_ec2([*program, *before_dashes, option, *behind], None)

    def add_local_ami(ami: StandIn) -> str:
        from ami_bakery.local.control import Control

        return Control(environment["AMI_BAKERY_LOCAL_URL"]).add_image(ami.region, ami.members())

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
        note=lambda text: None if arguments.quiet else _print_error(text),
        write_file=write_file,
        run_local=run_in_local_ec2,
        rerun_in_local=rerun_in_local_ec2,
        add_local_ami=add_local_ami,
        open_page=open_page,
        annotate=partial(ci.report, arguments.command) if ci is not None else None,
    )


def _is_one_terminal() -> bool:
    try:
        return sys.stdout.isatty() and os.path.samestat(os.fstat(sys.stdout.fileno()), os.fstat(sys.stderr.fileno()))
    except (OSError, ValueError):
        return False


def _ci_log(arguments: argparse.Namespace) -> CiLog | None:
    """Returns the log of the detected CI; None if it is not supported, or disabled.

    Terraform shows the data source's stderr as an error message, so CI commands must not be printed there.
    """
    from ami_bakery.core.ci.annotations import detect

    off = arguments.ci == "off" or arguments.command == "terraform-external"
    found = None if off else detect(os.environ)
    if found is None:
        return None
    from ami_bakery.adapters.ci import CiLog

    return CiLog(found, dict(os.environ), sys.stderr)


def _draw(arguments: argparse.Namespace) -> Callable[[Table | Tree], str]:
    from ami_bakery.core.text.table import ansi, draw, plain

    style = ansi if _colored(arguments, sys.stdout) else plain
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return partial(draw, style=style, width=width)


def _reporter(arguments: argparse.Namespace, *, debugging: bool) -> Reporter:
    """Returns a live view on a terminal, unless Packer prompts there (`-debug`)."""
    from ami_bakery.adapters.terminal.plain_reporter import PlainReporter, SafeStream

    verbose, color = arguments.verbose, _colored(arguments, sys.stderr)
    live = _has_a_viewer(sys.stderr) and not arguments.quiet and os.environ.get("TERM") != "dumb" and not debugging
    if live and arguments.command in ("bake", "plan", "test", "report"):
        from rich.console import Console

        from ami_bakery.adapters.terminal.live_reporter import LiveReporter

        return LiveReporter(Console(file=cast(TextIO, SafeStream(sys.stderr)), no_color=not color), verbose=verbose)
    return PlainReporter(sys.stderr, verbose=verbose, quiet=arguments.quiet, color=color)


def _has_a_viewer(stream: TextIO) -> bool:
    """Returns whether a user watches this stream.

    A terminal of width 0 has no viewer: `docker run -t` creates one in a pipeline, whose log keeps each redraw. Nor has
    the terminal of a CI job.
    """
    from ami_bakery.core.ci.annotations import is_automated

    if is_automated(os.environ):
        return False
    try:
        return stream.isatty() and os.get_terminal_size(stream.fileno()).columns > 0
    except OSError:
        return False


def _colored(arguments: argparse.Namespace, stream: object) -> bool:
    """Returns whether to print colors. A non-empty NO_COLOR disables them (https://no-color.org)."""
    if arguments.color != "auto":
        return bool(arguments.color == "always")
    isatty: Callable[[], bool] = getattr(stream, "isatty", lambda: False)
    return isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
