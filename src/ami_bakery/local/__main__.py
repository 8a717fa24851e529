"""Runs a command in the embedded EC2, in `namespace.command`'s network namespace. Internal."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import msgspec

from ami_bakery.errors import BakeryError
from ami_bakery.local.local_session import run_local
from ami_bakery.local.local_settings import LocalSettings
from ami_bakery.local.namespace import MARK, raise_loopback


def main(arguments: Sequence[str]) -> int:
    """Runs the command. `arguments`: the settings as JSON, then the command."""
    raise_loopback()
    settings = msgspec.json.decode(arguments[0], type=LocalSettings)
    try:
        return run_local(arguments[1:], environment={**os.environ, MARK: "1"}, settings=settings, stderr=sys.stderr)
    except BakeryError as error:
        sys.stderr.write(f"{error}\n{error.todo}\n")
        return error.exit_status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
