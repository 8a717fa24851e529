"""EC2's own time, as the Date of its answers tells it: runners' clocks need not agree where this one counts."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta


class Ec2Clocks:
    """One clock for each region, set by every answer. Threads may share it."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[datetime, float]] = {}
        self._lock = threading.Lock()

    def told(self, region: str, date: str | None) -> None:
        """The Date header of an answer that has just come; a proxy may have taken it out, or made nonsense of it."""
        from email.utils import parsedate_to_datetime

        try:
            moment = parsedate_to_datetime(date or "")
        except ValueError:
            return
        if moment.tzinfo is not None:
            with self._lock:
                self._told[region] = (moment, time.monotonic())

    def now(self, region: str) -> datetime:
        """This machine's time where no answer has told any."""
        with self._lock:
            told = self._told.get(region)
        if told is None:
            return datetime.now(UTC)
        moment, at = told
        return moment + timedelta(seconds=time.monotonic() - at)
