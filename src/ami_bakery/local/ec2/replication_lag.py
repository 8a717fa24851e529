"""News of key pairs, which are late in coming where EC2 is asked to lag."""

from __future__ import annotations

import time
from collections.abc import Mapping

Tags = Mapping[str, str]


class KeyPairNews:
    """What is told of a key pair while the news of a change is on its way. One for each account and region."""

    def __init__(self) -> None:
        self._before: dict[str, list[tuple[float, float, Tags | None]]] = {}

    def changes(self, key_pair: str, before: Tags | None, lag_seconds: float) -> None:
        """It is about to change; `before` are its tags, None where it is not there yet."""
        change = (time.monotonic(), lag_seconds, dict(before) if before is not None else None)
        self._before.setdefault(key_pair, []).append(change)

    def told(self, key_pair: str, now: Tags | None, lag_seconds: float) -> Tags | None:
        """Its tags as far as the news of them has come; None if it is not there. A lower lag now ends the wait."""
        moment, changes = time.monotonic(), self._before.get(key_pair, ())
        return next((before for at, lag, before in changes if at + min(lag, lag_seconds) > moment), now)

    def known(self) -> tuple[str, ...]:
        return tuple(self._before)
