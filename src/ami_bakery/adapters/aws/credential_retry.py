"""Asks again where credentials fail that have worked before: a login or a program may bring new ones at any moment.

A bake takes longer than many credentials live. botocore reads files once and does not try again, so that the AMI of a
whole bake would be lost for a minute without credentials. Where none have worked yet, the failure is told at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ami_bakery.errors import AwsError

if TYPE_CHECKING:
    from ami_bakery.adapters.aws.session import AwsSession

Adapter = TypeVar("Adapter")
_PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
_FAILED = frozenset({"NoCredentials", "ExpiredToken", "ExpiredTokenException", "RequestExpired"})
"""Nothing was carried out: without credentials no request is accepted."""


def patient(adapter: Adapter, session: AwsSession, sleep: Callable[[float], None]) -> Adapter:
    """The same adapter, whose calls are made again. `sleep` may raise, to end that."""
    return cast("Adapter", _Patient(adapter, session, sleep))


class _Patient:
    def __init__(self, adapter: object, session: AwsSession, sleep: Callable[[float], None]) -> None:
        self._adapter = adapter
        self._session = session
        self._sleep = sleep

    def __getattr__(self, name: str) -> Any:
        return partial(self._ask, getattr(self._adapter, name))

    def _ask(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        # Who is not patient has a way of its own to go on.
        pauses = _PAUSES_SECONDS if named.get("patient", True) and not self._session.has_given_up else ()
        for seconds in pauses:
            try:
                return method(*arguments, **named)
            except AwsError as error:
                if error.code not in _FAILED or not self._session.has_answered:
                    raise
                self._session.tell(f"the credentials failed, trying again: {error.wrong}")
            self._sleep(seconds)
            self._session.renew()
        try:
            return method(*arguments, **named)
        except AwsError as error:
            # What comes after it, such as giving back the lock, is not to wait as long again.
            self._session.has_given_up = error.code in _FAILED
            raise
