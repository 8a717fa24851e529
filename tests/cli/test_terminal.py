"""What a person sees at a terminal: progress that moves, and Packer's own prompts in debug mode."""

from __future__ import annotations

import os
import pty
import re
import select
import time
from collections.abc import Callable

from tests.kitchen import PROGRAMS, Kitchen, json_template


class Terminal:
    """A command on a terminal of its own, and the person before it."""

    def __init__(self, kitchen: Kitchen, *arguments: str) -> None:
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:  # pragma: no cover
            os.chdir(kitchen.folder)
            environment = kitchen.environment | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
            program = str(PROGRAMS / "ami-bakery")
            os.execve(program, [program, *arguments], environment)
        self.seen = ""

    def watch(self, answer: Callable[[str], str], seconds: float = 60) -> int:
        """Show everything to `answer`, type what it says, until the command ends; its exit status."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ready, _, _ = select.select([self.descriptor], [], [], 1)
            if not ready:
                continue
            try:
                chunk = os.read(self.descriptor, 65536)
            except OSError:
                break
            self.seen += chunk.decode("utf-8", "replace")
            if typed := answer(self.seen):
                os.write(self.descriptor, typed.encode())
        _, status = os.waitpid(self.pid, 0)
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(status)


def test_progress_shows_the_step_the_time_and_packers_last_line(app: Kitchen) -> None:
    template = json_template()
    template["provisioners"] = [{"type": "shell-local", "inline": ["echo a line of the script; sleep 2.5"]}]
    app.write("ami/app.json", template)
    terminal = Terminal(app, "bake")
    assert terminal.watch(lambda _: "") == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.seen)
    assert "baking with Packer 1." in text
    assert re.search(r"app +0:0[1-9] +baking with Packer", text), "the clock moves"
    assert "amazon-ebs: a line of the script" in text, "Packer's last line"
    assert "\x1b[?25h" in terminal.seen, "the cursor is shown again"


def test_colors_are_for_terminals_and_can_be_switched_off(app: Kitchen) -> None:
    terminal = Terminal(app, "plan")
    terminal.watch(lambda _: "")
    assert "\x1b[33m+ bake" in terminal.seen
    app.environment["NO_COLOR"] = "1"
    terminal = Terminal(app, "plan")
    terminal.watch(lambda _: "")
    assert "\x1b[33m" not in terminal.seen
    assert "\x1b[33m" in app.run("plan", "--color", "always").stdout
    assert "\x1b" not in app.run("plan").stdout


def test_in_debug_mode_a_person_answers_packers_prompts(app: Kitchen) -> None:
    prompt = "Press enter to continue"
    answered = 0

    def press_enter(seen: str) -> str:
        nonlocal answered
        if seen.count(prompt) > answered:
            answered = seen.count(prompt)
            return "\r"
        return ""

    terminal = Terminal(app, "bake", "--", "-debug")
    assert terminal.watch(press_enter) == 0, terminal.seen
    assert answered > 5
    assert "Debug mode enabled" in terminal.seen
    last = terminal.seen.strip().splitlines()[-1]
    assert re.fullmatch(r"ami-[0-9a-f]{17}", last), "the id, read from what Packer says to people"
    assert app.run("bake").answer == last
    assert app.packer_runs == 1


def test_on_error_ask_waits_for_a_person(app: Kitchen) -> None:
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
