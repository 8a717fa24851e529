"""Faults on request: which of the coming API calls fail, and how. Decides; the proxy carries it out."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum

HTTP_STATUS = {
    "RequestLimitExceeded": 503,
    "Unavailable": 503,
    "ServiceUnavailable": 503,
    "InternalError": 500,
    "InternalFailure": 500,
    "UnauthorizedOperation": 403,
    "AuthFailure": 401,
    "ExpiredToken": 400,
    "RequestExpired": 400,
}
"""The status that EC2 sends with each code; any other code goes with 400."""

_MESSAGES = {
    "RequestLimitExceeded": "Request limit exceeded.",
    "Unavailable": "The service is unavailable. Please try again shortly.",
    "ServiceUnavailable": "Service is unable to handle request.",
    "InternalError": "An internal error has occurred.",
    "ExpiredToken": "The security token included in the request is expired",
    "RequestExpired": "Request has expired.",
    "AuthFailure": "AWS was not able to validate the provided access credentials",
}


class FaultKind(StrEnum):
    ERROR = "error"
    """The call is answered with an error and changes nothing."""
    DROP_BEFORE = "drop-before"
    """The connection is closed, and the call changes nothing."""
    DROP_AFTER = "drop-after"
    """The call is carried out, and the connection is closed before the answer."""
    DELAY = "delay"
    """The call is carried out, its answer comes `seconds` late."""
    HANG = "hang"
    """The call changes nothing; the connection stays open for `seconds` without an answer, and is closed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InjectedFault:
    """The calls of `action` after the first `skip` ones fail, `times` of them (0: all). `*` stands for every action."""

    action: str
    kind: FaultKind = FaultKind.ERROR
    code: str = "InternalError"
    message: str = ""
    status: int = 0
    """HTTP status; 0: the one that EC2 sends with the code."""
    region: str = ""
    """Empty: every region."""
    agent: str = ""
    """What the caller's User-Agent has in it (`aws-sdk-go` for Packer, `Boto` for us); empty: every caller."""
    skip: int = 0
    times: int = 1
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.skip < 0 or self.times < 0 or self.seconds < 0:
            raise ValueError("skip, times and seconds cannot be negative")

    def concerns(self, action: str, region: str, agent: str) -> bool:
        return self.action in ("*", action) and self.region in ("", region) and self.agent.lower() in agent.lower()

    def http_status(self) -> int:
        return self.status or HTTP_STATUS.get(self.code, 400)

    def text(self, service: str, action: str) -> str:
        """The message of the error; `UnauthorizedOperation` names the action, as EC2 does for a missing policy."""
        if self.message:
            return self.message
        if self.code == "UnauthorizedOperation":
            return (
                "You are not authorized to perform this operation. User: arn:aws:iam::111122223333:user/embedded is "
                f"not authorized to perform: {service}:{action} because no identity-based policy allows the "
                f"{service}:{action} action"
            )
        return _MESSAGES.get(self.code, f"The embedded EC2 was asked to answer with {self.code}.")


class FaultPlan:
    """The faults asked for, in the order in which they were asked for; each call meets at most one: the first that
    concerns it, still has calls to fail, and has skipped enough."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[_Pending] = []
        self._struck = 0
        self._held = 0
        self._released = threading.Event()

    @property
    def released(self) -> threading.Event:
        """Set by the next `release` or `clear`."""
        return self._released

    @property
    def held(self) -> int:
        """How many calls are late or hang at this moment. What a late one does is done before it counts here."""
        return self._held

    def hold(self, released: threading.Event, seconds: float) -> None:
        """Wait for `seconds`, or until `released` is set."""
        with self._lock:
            self._held += 1
        released.wait(seconds)
        with self._lock:
            self._held -= 1

    def release(self) -> None:
        """Calls that are late or hang go on; the faults asked for stay."""
        with self._lock:
            self._released.set()
            self._released = threading.Event()

    @property
    def struck(self) -> int:
        """How many calls have met a fault since the last `clear`: each is counted before it is carried out."""
        return self._struck

    def add(self, fault: InjectedFault) -> None:
        with self._lock:
            self._pending.append(_Pending(fault))

    def clear(self) -> None:
        with self._lock:
            self._pending.clear()
            self._struck = 0
        self.release()

    def next(self, action: str, region: str, agent: str) -> InjectedFault | None:
        """The fault that this call meets. Every fault that concerns the call counts it, also where another strikes."""
        with self._lock:
            concerned = [pending for pending in self._pending if pending.fault.concerns(action, region, agent)]
            struck: InjectedFault | None = None
            for pending in concerned:
                if pending.to_skip > 0:
                    pending.to_skip -= 1
                elif struck is None and pending.left != 0:
                    pending.left -= 1
                    struck = pending.fault
                    self._struck += 1
            return struck


class _Pending:
    """A fault and what is left of it; `left` below zero never ends."""

    def __init__(self, fault: InjectedFault) -> None:
        self.fault = fault
        self.to_skip = fault.skip
        self.left = fault.times or -1
