"""python -m ami_bakery, and the programs `ami-bakery` and `bake`."""

from __future__ import annotations

import gc
import os
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

# Before anything else is imported: nearly all that a short run makes is there until it ends, so that looking for what
# has become unreachable, each 700 objects, is for nothing.
gc.set_threshold(200_000, 20, 20)

from ami_bakery.cli.main import main, main_bake  # noqa: E402


def program() -> NoReturn:
    _run(main)


def program_bake() -> NoReturn:
    _run(main_bake)


def _run(what: Callable[[], int]) -> NoReturn:
    """Ends at once: all is written and closed when `what` returns, and Python's own way out, which takes apart all that
    was ever made, is a tenth of an unchanged image's time. Who asks for warnings, or looks on, gets what that way
    brings."""
    status = what()
    if sys.warnoptions or sys.getprofile() or sys.gettrace() or _others_are_at_work():
        sys.exit(status)
    os._exit(status)


def _others_are_at_work() -> bool:
    """Threads that Python waits for."""
    return any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread())


if __name__ == "__main__":
    program()
