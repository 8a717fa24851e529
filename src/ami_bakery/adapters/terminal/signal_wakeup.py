"""Wakes the main thread for each signal: Python runs handlers there alone, and the kernel may tell any thread."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress

_WAKING = signal.SIGURG
"""Ignored by whoever does not handle it, and the last in the order in which Python runs the handlers of those we know:
when its turn has come, theirs has."""
_AGAIN_SECONDS = 0.05


class Waker:
    """Without it a main thread that waits for a lock or a socket sleeps on when another thread was the one that the
    kernel interrupted, and Ctrl-C seems dead. To be started and stopped in the main thread."""

    def start(self) -> None:
        self._main = threading.get_ident()
        # Held while the main thread may sleep. What the handler calls must not wait: it may interrupt itself.
        self._asleep = threading.Lock()
        self._over = False
        self._heard, telling = os.pipe()
        os.set_blocking(telling, False)
        self._telling = telling
        self._handler = signal.signal(_WAKING, self._woken)
        self._before = signal.set_wakeup_fd(telling, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._wake, name="wakes the main thread", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over = True
        signal.set_wakeup_fd(self._before)
        os.close(self._telling)
        self._thread.join()
        signal.signal(_WAKING, self._handler)

    def _woken(self, *_: object) -> None:
        with suppress(RuntimeError):
            self._asleep.release()

    def _wake(self) -> None:
        """Python writes each signal's number, at once and from whichever thread got it."""
        while numbers := os.read(self._heard, 64):
            if set(numbers) == {_WAKING}:
                continue
            self._asleep.acquire(blocking=False)
            # Again and again: it may have been about to fall asleep when it was woken.
            while not self._over:
                signal.pthread_kill(self._main, _WAKING)
                if self._asleep.acquire(timeout=_AGAIN_SECONDS):
                    break
        os.close(self._heard)
