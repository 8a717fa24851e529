"""Output on a terminal: live progress, and Packer's prompts in debug mode."""

from __future__ import annotations

import errno
import io
import re
from typing import TextIO, cast

import pytest
from rich.console import Console

from ami_bakery.adapters.terminal.live_reporter import LiveReporter
from ami_bakery.adapters.terminal.plain_reporter import PlainReporter, SafeStream
from tests.harness import Harness, json_template
from tests.histories.test_parallel import HEAD, image
from tests.terminal import Terminal


def test_progress_shows_the_step_the_time_and_packers_last_line(app: Harness) -> None:
    template = json_template()
    template["provisioners"] = [{"type": "shell-local", "inline": ["echo a line of the script; sleep 2.5"]}]
    app.write("ami/app.json", template)
    terminal = Terminal(app, "bake")
    assert terminal.watch(lambda _: "") == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.seen)
    assert "building with Packer 1." in text
    assert re.search(r"app +0:0[1-9] +building with Packer", text), "the clock moves"
    assert "amazon-ebs: a line of the script" in text, "Packer's last line"
    assert "\x1b[?25h" in terminal.seen, "the cursor is shown again"


class Closed(io.StringIO):
    """A stream whose terminal is closed."""

    def write(self, text: str) -> int:
        raise OSError(errno.EIO, "Input/output error")

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("live", [True, False])
def test_closed_terminal_does_not_stop_a_bake(live: bool) -> None:
    stream = cast(TextIO, SafeStream(Closed()))
    reporter = LiveReporter(Console(file=stream), verbose=True) if live else PlainReporter(stream, verbose=True)
    reporter.step("app", "baking")
    reporter.line("app", "a line of Packer's")
    reporter.warn("a warning")
    reporter.done("app")
    reporter.close()


@pytest.mark.parametrize(
    ("height", "at_work", "left", "shown"),
    [
        (12, 3, 3, ["a0", "<a0", "a1", "<a1", "a2", "<a2"]),
        (12, 3, 9, ["a0", "<a0", "a1", "<a1", "a2", "<a2", "6 queued"]),
        (7, 3, 3, ["a0", "<a0", "a1", "<a1", "a2", "<a2"]),
        (7, 3, 4, ["a0<", "a1<", "a2<", "1 queued"]),
        (6, 8, 8, ["a0<", "a1<", "a2<", "a3<", "4 more running"]),
        (6, 8, 20, ["a0<", "a1<", "a2<", "a3<", "4 more running, 12 queued"]),
        (1, 2, 2, ["2 more running"]),
    ],
)
def test_images_that_do_not_fit_on_the_terminal_are_counted(
    height: int, at_work: int, left: int, shown: list[str]
) -> None:
    stream = io.StringIO()
    reporter = LiveReporter(Console(file=stream, force_terminal=True, width=80, height=height))
    reporter.remaining(left)
    for number in range(at_work):
        reporter.step(f"a{number}", "baking")
        reporter.line(f"a{number}", f"last line of a{number}")
    drawn = Console(file=io.StringIO(), width=80, height=height)
    drawn.print(reporter._render())
    reporter.close()
    lines = []
    for line in drawn.file.getvalue().splitlines():  # type: ignore[attr-defined]
        own = re.match(r". (a\d)  0:00  baking(  last line of \1)?$", line)
        below = re.match(r" {12}last line of (a\d)$", line)
        lines.append(own[1] + ("<" if own[2] else "") if own else f"<{below[1]}" if below else line.strip())
    assert lines == shown


def test_live_view_counts_queued_images(harness: Harness) -> None:
    harness.write("bakery.toml", HEAD + image(harness, "root", "sleep 2") + image(harness, "leaf", base="root"))
    terminal = Terminal(harness, "bake")
    assert terminal.watch(lambda _: "") == 0
    assert "1 queued" in terminal.seen


def test_terminal_without_a_viewer_shows_plain_lines(app: Harness) -> None:
    terminal = Terminal(app, "bake", columns=0)
    assert terminal.watch(lambda _: "") == 0
    lines = terminal.seen.splitlines()
    assert "app: building with Packer" in terminal.seen
    assert not [line for line in lines if "\x1b[?25l" in line or "\x1b[2K" in line], "nothing is redrawn"
    assert re.fullmatch(r"ami-[0-9a-f]{17}", lines[-1])


def test_terminal_of_a_ci_job_shows_plain_lines(app: Harness) -> None:
    app.environment["CI"] = "true"
    terminal = Terminal(app, "bake")
    assert terminal.watch(lambda _: "") == 0
    assert "\x1b[?25l" not in terminal.seen, "the cursor is not hidden, and nothing is redrawn"
    assert "app: building with Packer" in terminal.seen


def test_colors_are_for_terminals_and_can_be_disabled(app: Harness) -> None:
    terminal = Terminal(app, "plan")
    terminal.watch(lambda _: "")
    assert "\x1b[33m+ bake" in terminal.seen
    app.environment["NO_COLOR"] = "1"
    terminal = Terminal(app, "plan")
    terminal.watch(lambda _: "")
    assert "\x1b[33m" not in terminal.seen
    assert "\x1b[33m" in app.run("plan", "--color", "always").stdout
    assert "\x1b" not in app.run("plan").stdout


@pytest.mark.parametrize("options", [(), ("--audit",)], ids=["", "audited"])
def test_user_answers_packers_prompts_in_debug_mode(app: Harness, options: tuple[str, ...]) -> None:
    prompt = "Press enter to continue"
    answered = 0

    def press_enter(seen: str) -> str:
        nonlocal answered
        if seen.count(prompt) > answered:
            answered = seen.count(prompt)
            return "\r"
        return ""

    terminal = Terminal(app, "bake", *options, "--", "-debug")
    assert terminal.watch(press_enter) == 0, terminal.seen
    assert answered > 5
    assert "Debug mode enabled" in terminal.seen
    last = terminal.seen.strip().splitlines()[-1]
    assert re.fullmatch(r"ami-[0-9a-f]{17}", last), "the id from Packer's human-readable output"
    assert app.run("bake").answer == last
    assert app.packer_runs == 1


def test_on_error_ask_waits_for_the_user(app: Harness) -> None:
    template = json_template()
    template["provisioners"] = [{"type": "shell-local", "inline": ["exit 3"]}]
    app.write("ami/app.json", template)
    typed: list[str] = []

    def clean_up(seen: str) -> str:
        if "[c] Clean up and exit" in seen and not typed:
            typed.append("c")
            return "c\r"
        return ""

    terminal = Terminal(app, "bake", "--", "-debug", "-on-error=ask")

    def answer(seen: str) -> str:
        if seen.rstrip().endswith("Press enter to continue."):
            return "\r"
        return clean_up(seen)

    assert terminal.watch(answer) == 1
    assert typed == ["c"]
