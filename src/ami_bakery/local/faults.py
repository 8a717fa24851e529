"""Injected faults: decides which API calls fail, and how."""

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
    "InternalServerError": 500,
    "UnauthorizedOperation": 403,
    "AccessDenied": 403,
    "AuthFailure": 401,
    "ExpiredToken": 400,
    "RequestExpired": 400,
}
"""The HTTP status of each error code; 400 for any other."""

_MESSAGES = {
    "ThrottlingException": "Rate exceeded",
    "Throttling": "Rate exceeded",
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
    """The call is executed, and the connection is closed before the answer."""
    DELAY = "delay"
    """The call is executed, and its answer is delayed by `seconds`."""
    HANG = "hang"
    """The call changes nothing; the connection is closed after `seconds` without an answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InjectedFault:
    """Lets `times` calls of `action` fail (0: all) after the first `skip` calls. `*` means every action."""

    action: str
    kind: FaultKind = FaultKind.ERROR
    code: str = "InternalError"
    message: str = ""
    status: int = 0
    """HTTP status; 0 means EC2's status of the code."""
    region: str = ""
    """Empty means every region."""
    agent: str = ""
    """Part of the caller's User-Agent (`aws-sdk-go` for Packer, `Boto` for boto3); empty means every caller."""
    skip: int = 0
    times: int = 1
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.skip < 0 or self.times < 0 or self.seconds < 0:
            raise ValueError("skip, times and seconds cannot be negative")

    def applies_to(self, action: str, region: str, agent: str) -> bool:
        return self.action in ("*", action) and self.region in ("", region) and self.agent.lower() in agent.lower()

    def http_status(self) -> int:
        return self.status or HTTP_STATUS.get(self.code, 400)

    def text(self, service: str, action: str) -> str:
        """Returns the error message; `UnauthorizedOperation` names the action, as in EC2."""
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
    """The injected faults, in order. Each call triggers at most one: the first that applies to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[_Pending] = []
        self._triggered = 0
        self._held = 0
        self._released = threading.Event()

    @property
    def released(self) -> threading.Event:
        """The event that the next `release` or `clear` sets."""
        return self._released

    @property
    def held(self) -> int:
        """The number of calls that are delayed or hang now. Delayed calls are executed already."""
        return self._held

    def hold(self, released: threading.Event, seconds: float) -> None:
        """Waits for `seconds`, or until `released` is set."""
        with self._lock:
            self._held += 1
        released.wait(seconds)
        with self._lock:
            self._held -= 1

    def release(self) -> None:
        """Lets delayed and hanging calls continue; keeps the faults."""
        with self._lock:
            self._released.set()
            self._released = threading.Event()

    @property
    def triggered(self) -> int:
        """The number of calls that triggered a fault since the last `clear`.

        Calls are counted before they are executed.
        """
        return self._triggered

    def add(self, fault: InjectedFault) -> None:
        with self._lock:
            self._pending.append(_Pending(fault))

    def clear(self) -> None:
        with self._lock:
            self._pending.clear()
            self._triggered = 0
        self.release()

    def next(self, action: str, region: str, agent: str) -> InjectedFault | None:
        """Returns the fault that this call triggers. All faults that apply count the call."""
        with self._lock:
            concerned = [pending for pending in self._pending if pending.fault.applies_to(action, region, agent)]
            triggered: InjectedFault | None = None
            for pending in concerned:
                if pending.to_skip > 0:
                    pending.to_skip -= 1
                elif triggered is None and pending.left != 0:
                    pending.left -= 1
                    triggered = pending.fault
                    self._triggered += 1
            return triggered


class _Pending:
    """A fault and its counters. `left`: how many more calls fail; below zero: no limit."""

    def __init__(self, fault: InjectedFault) -> None:
        self.fault = fault
        self.to_skip = fault.skip
        self.left = fault.times or -1
