"""EC2's time, from the Date header of its responses. It is independent of this machine's clock."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta


class Ec2Clocks:
    """One clock per region, set by every response. Thread-safe."""

    def __init__(self) -> None:
        self._readings: dict[str, tuple[datetime, float]] = {}
        self._lock = threading.Lock()

    def update(self, region: str, date: str | None) -> None:
        """Records the Date header of a response that has just arrived.

        Ignores a missing or invalid header: a proxy may have removed or changed it.
        """
        from email.utils import parsedate_to_datetime

        try:
            moment = parsedate_to_datetime(date or "")
        except ValueError:
            return
        if moment.tzinfo is not None:
            with self._lock:
                self._readings[region] = (moment, time.monotonic())

    def now(self, region: str) -> datetime:
        """Returns EC2's time in UTC; this machine's time if the region has not responded yet."""
        with self._lock:
            reading = self._readings.get(region)
        if reading is None:
            return datetime.now(UTC)
        moment, read_at = reading
        return moment + timedelta(seconds=time.monotonic() - read_at)
