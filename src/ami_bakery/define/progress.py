"""Reports the progress of hashing that takes longer than a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ami_bakery.ports import Clock, Reporter

_FIRST_SECONDS = 1.0
_SELDOM_SECONDS = 30.0


class HashingProgress:
    """A `Progress` that reports after a second. It reports again whenever the elapsed time has grown by half."""

    def __init__(self, reporter: Reporter, clock: Clock, image: str) -> None:
        self._reporter = reporter
        self._clock = clock
        self._image = image
        self._began = clock.monotonic()
        self._next = self._began + _FIRST_SECONDS
        self._reported = False

    def __call__(self, files: int, size: int) -> None:
        now = self._clock.monotonic()
        if now >= self._next:
            self._next = now + min(max((now - self._began) / 2, _FIRST_SECONDS), _SELDOM_SECONDS)
            self._reported = True
            self._reporter.step(
                self._image, f"hashing: {files:,} {'file' if files == 1 else 'files'}, {_format_size(size)} so far"
            )

    def end(self) -> None:
        if self._reported:
            self._reporter.done(self._image)


def _format_size(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
