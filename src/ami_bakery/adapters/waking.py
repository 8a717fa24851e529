"""Wakes the main thread for each signal: Python runs handlers there alone, and the kernel may tell any thread."""

from __future__ import annotations

import os
import signal
import threading

_WAKING = signal.SIGURG
"""Ignored by whoever does not handle it, and the last in the order in which Python runs the handlers of those we know:
when its turn has come, theirs has."""
_AGAIN_SECONDS = 0.05


class Waker:
    """Without it a main thread that waits for a lock or a socket sleeps on when another thread was the one that the
    kernel interrupted, and Ctrl-C seems dead. To be started and stopped in the main thread."""

    def start(self) -> None:
        self._main = threading.get_ident()
        self._awake = threading.Event()
        self._heard, telling = os.pipe()
        os.set_blocking(telling, False)
        self._telling = telling
        self._handler = signal.signal(_WAKING, lambda *_: self._awake.set())
        self._before = signal.set_wakeup_fd(telling, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._wake, name="wakes the main thread", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        signal.set_wakeup_fd(self._before)
        os.close(self._telling)
        self._awake.set()
        self._thread.join()
        signal.signal(_WAKING, self._handler)

    def _wake(self) -> None:
        """Python writes each signal's number, at once and from whichever thread got it."""
        while numbers := os.read(self._heard, 64):
            if set(numbers) == {_WAKING}:
                continue
            self._awake.clear()
            # Again and again: it may have been about to fall asleep when it was woken.
            while not self._awake.is_set():
                signal.pthread_kill(self._main, _WAKING)
                self._awake.wait(_AGAIN_SECONDS)
        os.close(self._heard)
