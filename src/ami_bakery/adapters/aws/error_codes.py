"""AWS's error codes, and the class of error for each."""

from __future__ import annotations

from ami_bakery.errors import AwsError, DeniedError, InUseError, NameTakenError, NotFoundError, UnansweredError

_DENIED = frozenset({"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "Client.UnauthorizedOperation"})
_UNANSWERED = frozenset(
    {
        *("Unreachable", "NoAnswer", "RequestLimitExceeded", "Throttling"),
        *("Unavailable", "ServiceUnavailable", "InternalError", "InternalFailure", "ServerInternal", "RequestTimeout"),
        *("500", "502", "503", "504"),  # botocore's codes for responses of a proxy or load balancer before EC2
    }
)
_NOT_FOUND = frozenset({"InvalidAMIID.Unavailable", "InvalidID"})
"""EC2's code for tagging an unknown id is InvalidID; the code of most other calls ends with `.NotFound`."""


def aws_error(doing: str, wrong: str, todo: str, *, code: str) -> AwsError:
    """Returns the error of the class for AWS's or our code."""
    return _class_of(code)(doing, wrong, todo, code=code)


def is_denial(code: str) -> bool:
    return code in _DENIED


def _class_of(code: str) -> type[AwsError]:
    if code in _DENIED:
        return DeniedError
    if code in _UNANSWERED:
        return UnansweredError
    if code in _NOT_FOUND or code.endswith(".NotFound"):
        return NotFoundError
    return {"InvalidAMIName.Duplicate": NameTakenError, "DependencyViolation": InUseError}.get(code, AwsError)
