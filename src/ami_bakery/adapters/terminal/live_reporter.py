"""Shows progress at a terminal in a live view."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ami_bakery.core.text.sanitize import one_line, printable
from ami_bakery.core.text.table import Table, ansi, clock_time, draw

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.text import Text

_LAST_LINES = 20
"""How many lines are searched for the last one that is not empty."""
_WIDEST = 2_000
"""Maximum number of characters of a line; no terminal is wider."""
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
"""Each frame is shown for a tenth of a second."""


_CLOCK = re.compile(r"\((?:(\d+):)?(\d+):(\d\d)\)$")


@dataclass(slots=True)
class _Running:
    """An image's step, its start time, and Packer's last line. The start time is that of the first step."""

    step: str
    started: float = field(default_factory=time.monotonic)
    line: str = ""
    reported: float = 0.0
    """When the step was reported: a time at its end, as in `copying (0:12)`, counts on from there."""

    def text(self, now: float) -> str:
        match = _CLOCK.search(self.step)
        if match is None:
            return self.step
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        elapsed = hours * 3600 + minutes * 60 + seconds + now - self.reported
        return f"{self.step[: match.start()]}({clock_time(elapsed)})"


class LiveReporter:
    """A `Reporter` for a terminal: shows each running image's elapsed time, step, and Packer's last line."""

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self._console = console
        self._verbose = verbose
        self._running: dict[str, _Running] = {}
        self._remaining = 0
        self._live: Live | None = None
        self._lock = threading.RLock()

    def step(self, image: str, step: str) -> None:
        with self._lock:
            running = self._running.setdefault(image, _Running(""))
            running.step, running.line, running.reported = one_line(step), "", time.monotonic()
            self._show()

    def update(self, image: str, step: str) -> None:
        self.step(image, step)

    def line(self, image: str, line: str) -> None:
        with self._lock:
            if self._verbose:
                self._print(f"{image}: | {printable(line)}")
            if image in self._running and line.strip():
                self._running[image].line = one_line(line.strip())

    def lines(self, image: str, lines: Sequence[str]) -> None:
        shown = lines if self._verbose else [line for line in lines[-_LAST_LINES:] if line.strip()][-1:]
        for line in shown:
            self.line(image, line[:_WIDEST])

    def done(self, image: str) -> None:
        with self._lock:
            self._running.pop(image, None)
            if not self._running:
                self.close()

    def remaining(self, images: int) -> None:
        with self._lock:
            self._remaining = images

    def note(self, message: str) -> None:
        with self._lock:
            self._console.print(one_line(message), markup=False, highlight=False)

    def error(self, message: str) -> None:
        from rich.text import Text

        self._print(Text.from_ansi(message))

    def warn(self, message: str) -> None:
        from rich.text import Text

        self._print(Text.assemble(("warning: ", "yellow"), one_line(message)))

    def table(self, table: Table) -> None:
        from rich.text import Text

        self._print("")
        self._print(Text.from_ansi(draw(table, ansi, self._console.width)))
        self._print("")

    def close(self) -> None:
        with self._lock:
            if self._live is not None:
                self._live.stop()
                self._live = None

    def _print(self, text: str | Text) -> None:
        with self._lock:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _show(self) -> None:
        if self._live is None:
            from rich.live import Live

            self._live = Live(
                console=self._console,
                get_renderable=self._render,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        # No lock: Live's thread calls this, while a step can hold the lock and wait for that thread.
        rows = tuple(self._running.items())
        waiting = max(0, self._remaining - len(rows))
        # The cursor uses one line of the terminal.
        room = max(0, self._console.height - 1 - (waiting > 0))
        roomy = sum(2 if running.line else 1 for _, running in rows) <= room
        hidden = 0 if len(rows) <= room else min(len(rows), len(rows) - room + (waiting == 0))
        shown = list(self._lines(rows[: len(rows) - hidden], roomy=roomy))
        more = [f"{hidden} more running"] * (hidden > 0) + [f"{waiting} queued"] * (waiting > 0)
        if more:
            shown.append(Text(f"  {', '.join(more)}", style="dim", no_wrap=True, overflow="ellipsis"))
        return Group(*shown)

    def _lines(self, rows: Sequence[tuple[str, _Running]], *, roomy: bool) -> Iterator[Text]:
        """Yields a line per image with Packer's last line. If `roomy`, Packer's line is separate."""
        from rich.text import Text

        now = time.monotonic()
        times = [clock_time(now - running.started) for _, running in rows]
        name_width = max((len(image) for image, _ in rows), default=0)
        time_width = max(map(len, times), default=0)
        indent = " " * (2 + name_width + 2 + time_width + 2)
        frame = _SPINNER[int(now * len(_SPINNER)) % len(_SPINNER)]
        for (image, running), elapsed in zip(rows, times, strict=True):
            name, clock = (f" {image:{name_width}}  ", "bold"), (f"{elapsed:>{time_width}}  ", "dim")
            suffix = (f"  {running.line}", "dim") if running.line and not roomy else ("", "")
            yield Text.assemble(frame, name, clock, running.text(now), suffix, no_wrap=True, overflow="ellipsis")
            if running.line and roomy:
                yield Text(indent + running.line, style="dim", no_wrap=True, overflow="ellipsis")
