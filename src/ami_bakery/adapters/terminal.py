"""Tells people, on stderr, what is being done: plain lines in CI, a live view on a terminal."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from ami_bakery.core.printable import one_line, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.spinner import Spinner


class PlainWatcher:
    """A `Watcher` that prints a line for each thing. Packer's own lines only with `verbose`."""

    def __init__(self, stream: TextIO, *, verbose: bool = False, quiet: bool = False, color: bool = False) -> None:
        self._stream = stream
        self._verbose = verbose
        self._quiet = quiet
        self._color = color
        self._lock = threading.Lock()

    def step(self, image: str, step: str) -> None:
        if not self._quiet:
            self._print(f"{image}: {one_line(step)}")

    def line(self, image: str, line: str) -> None:
        if self._verbose:
            self._print(f"{image}: | {printable(line)}")

    def done(self, image: str) -> None:
        pass

    def note(self, message: str) -> None:
        if not self._quiet:
            self._print(one_line(message))

    def warn(self, message: str) -> None:
        self._print(f"{self._styled('warning:', '33')} {one_line(message)}")

    def fail(self, message: str) -> None:
        self._print(message)

    def close(self) -> None:
        pass

    def _styled(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._color else text

    def _print(self, text: str) -> None:
        # Whoever read stderr may have gone, or its disk be full: that must not stop a bake.
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(f"{text}\n")
            self._stream.flush()


@dataclass(slots=True)
class _Running:
    step: str
    spinner: Spinner
    started: float = field(default_factory=time.monotonic)
    line: str = ""


class LiveWatcher:
    """A `Watcher` for a terminal: for each image its step, how long it has taken, and Packer's last line."""

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self._console = console
        self._verbose = verbose
        self._running: dict[str, _Running] = {}
        self._live: Live | None = None
        self._lock = threading.RLock()

    def step(self, image: str, step: str) -> None:
        from rich.spinner import Spinner

        with self._lock:
            self._running[image] = _Running(step, Spinner("dots"))
            self._show()

    def line(self, image: str, line: str) -> None:
        with self._lock:
            if self._verbose:
                self._console.print(f"{image}: | {printable(line)}", markup=False, highlight=False, soft_wrap=True)
            if image in self._running and line.strip():
                self._running[image].line = one_line(line.strip())

    def done(self, image: str) -> None:
        with self._lock:
            self._running.pop(image, None)
            if not self._running:
                self.close()

    def note(self, message: str) -> None:
        with self._lock:
            self._console.print(one_line(message), markup=False, highlight=False, soft_wrap=True)

    def fail(self, message: str) -> None:
        from rich.text import Text

        with self._lock:
            self._console.print(Text.from_ansi(message), highlight=False, soft_wrap=True)

    def warn(self, message: str) -> None:
        from rich.text import Text

        with self._lock:
            self._console.print(
                Text.assemble(("warning: ", "yellow"), one_line(message)), highlight=False, soft_wrap=True
            )

    def close(self) -> None:
        with self._lock:
            if self._live is not None:
                self._live.stop()
                self._live = None

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

        # No lock: Live's own thread comes here while a step may hold it and wait for that thread.
        rows: list[RenderableType] = []
        for image, running in tuple(self._running.items()):
            elapsed = int(time.monotonic() - running.started)
            words = Text.assemble((image, "bold"), f" {running.step} ", (f"{elapsed // 60}:{elapsed % 60:02}", "dim"))
            running.spinner.update(text=words)
            rows.append(running.spinner)
            if running.line:
                rows.append(Text(f"    {running.line}", style="dim", no_wrap=True, overflow="ellipsis"))
        return Group(*rows)
