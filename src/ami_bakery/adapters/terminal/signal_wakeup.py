"""Wakes the main thread on a signal. The kernel may deliver the signal to another thread."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress

_WAKING = signal.SIGURG
"""Ignored by default. Python runs handlers in the order of the signal numbers, and this number is the highest of those
that we handle, so the other handlers have run before."""
_RETRY_SECONDS = 0.05


class Waker:
    """Wakes the main thread, where Python runs signal handlers. Start and stop it in the main thread.

    Without it, a main thread that waits for a lock or a socket does not notice a signal that the kernel delivered to
    another thread, and Ctrl-C has no effect.
    """

    def start(self) -> None:
        self._main = threading.get_ident()
        # Held while the main thread may be waiting. The handler must not block: it can interrupt itself.
        self._asleep = threading.Lock()
        self._over = False
        self._signals, wakeup = os.pipe()
        os.set_blocking(wakeup, False)
        self._wakeup = wakeup
        self._handler = signal.signal(_WAKING, self._woken)
        self._before = signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._wake, name="wakes the main thread", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over = True
        signal.set_wakeup_fd(self._before)
        os.close(self._wakeup)
        self._thread.join()
        signal.signal(_WAKING, self._handler)

    def _woken(self, *_: object) -> None:
        with suppress(RuntimeError):
            self._asleep.release()

    def _wake(self) -> None:
        """Reads the signal numbers, and wakes the main thread.

        Python writes the numbers immediately, in the thread that received the signal.
        """
        while numbers := os.read(self._signals, 64):
            if set(numbers) == {_WAKING}:
                continue
            self._asleep.acquire(blocking=False)
            # Repeat, because the main thread may have started to wait just after it was woken.
            while not self._over:
                signal.pthread_kill(self._main, _WAKING)
                if self._asleep.acquire(timeout=_RETRY_SECONDS):
                    break
        os.close(self._signals)
