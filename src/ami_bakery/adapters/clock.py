"""The system clock, with interruptible sleep."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

from ami_bakery.errors import Stopped


class SystemClock:
    """A `Clock` port."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise Stopped("waiting", "the program was interrupted", "Run again. Finished AMIs are reused.")

    def sleep_uninterrupted(self, seconds: float) -> None:
        time.sleep(seconds)

    def interrupt(self) -> None:
        self._stopped.set()
