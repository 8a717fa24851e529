"""python -m ami_bakery, and the programs `ami-bakery` and `bake`."""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from ami_bakery.cli import main, main_bake


def program() -> NoReturn:
    _run(main)


def program_bake() -> NoReturn:
    _run(main_bake)


def _run(what: Callable[[], int]) -> NoReturn:
    """Ends at once: all is written and closed when `what` returns, and Python's own way out, which takes apart all that
    was ever made, is a tenth of an unchanged image's time. Who asks for warnings gets those that come on that way."""
    status = what()
    if sys.warnoptions:
        sys.exit(status)
    os._exit(status)


if __name__ == "__main__":
    program()
