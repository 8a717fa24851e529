"""Replication lag of key pairs and their tags."""

from __future__ import annotations

import time
from collections.abc import Mapping

Tags = Mapping[str, str]


class KeyPairLag:
    """Hides changes of key pairs during the replication lag. One object for each account and region."""

    def __init__(self) -> None:
        self._before: dict[str, list[tuple[float, float, Tags | None]]] = {}

    def record_change(self, key_pair: str, before: Tags | None, lag_seconds: float) -> None:
        """Records a change. `before`: the tags before it; None if the key pair did not exist."""
        change = (time.monotonic(), lag_seconds, dict(before) if before is not None else None)
        self._before.setdefault(key_pair, []).append(change)

    def visible_tags(self, key_pair: str, now: Tags | None, lag_seconds: float) -> Tags | None:
        """Returns the visible tags; None if the key pair is not visible. A lower lag now ends the wait."""
        moment, changes = time.monotonic(), self._before.get(key_pair, ())
        return next((before for at, lag, before in changes if at + min(lag, lag_seconds) > moment), now)

    def known(self) -> tuple[str, ...]:
        return tuple(self._before)
