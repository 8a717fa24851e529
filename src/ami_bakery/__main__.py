"""Entry points: `python -m ami_bakery`, and the programs `ami-bakery` and `bake`."""

from __future__ import annotations

import gc
import os
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

# Set before other imports. Most objects of a short run live until its end, so garbage collection after every 700
# objects would only cost time.
gc.set_threshold(200_000, 20, 20)

from ami_bakery.cli.main import main, main_bake  # noqa: E402


def program() -> NoReturn:
    _run(main)


def program_bake() -> NoReturn:
    _run(main_bake)


def _run(function: Callable[[], int]) -> NoReturn:
    """Runs the program and exits without Python's finalization.

    All output is written and closed when `function` returns. Finalization would take about 10 % of the time of an
    unchanged image. With warnings, a profiler or a tracer, Python exits normally.
    """
    status = function()
    if sys.warnoptions or sys.getprofile() or sys.gettrace() or _has_running_threads():
        sys.exit(status)
    os._exit(status)


def _has_running_threads() -> bool:
    """Returns whether there are threads that Python waits for at exit."""
    return any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread())


if __name__ == "__main__":
    program()
