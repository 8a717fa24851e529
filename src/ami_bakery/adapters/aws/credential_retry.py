"""Retries AWS calls whose credentials have expired, with new credentials.

A bake can take longer than credentials are valid. botocore reads the files once and does not retry, so a minute without
valid credentials would lose the AMI of a whole build. Credentials that never worked are reported immediately.
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
"""Retrying is safe: AWS accepts no request without valid credentials."""


def with_retries(adapter: Adapter, session: AwsSession, sleep: Callable[[float], None]) -> Adapter:
    """Returns the adapter with retried calls. `sleep` may raise to stop the retries."""
    return cast("Adapter", _CredentialRetries(adapter, session, sleep))


class _CredentialRetries:
    def __init__(self, adapter: object, session: AwsSession, sleep: Callable[[float], None]) -> None:
        self._adapter = adapter
        self._session = session
        self._sleep = sleep

    def __getattr__(self, name: str) -> Any:
        return partial(self._call, getattr(self._adapter, name))

    def _call(self, method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        # A caller that does not wait handles the failure itself.
        pauses = _PAUSES_SECONDS if named.get("retry", True) and not self._session.has_given_up else ()
        for seconds in pauses:
            try:
                return method(*arguments, **named)
            except AwsError as error:
                if error.code not in _FAILED or not self._session.has_answered:
                    raise
                self._session.report(f"the credentials failed, retrying: {error.wrong}")
            self._sleep(seconds)
            self._session.renew()
        try:
            return method(*arguments, **named)
        except AwsError as error:
            # Later calls, such as the release of the lock, must not wait as long again.
            self._session.has_given_up = error.code in _FAILED
            raise
