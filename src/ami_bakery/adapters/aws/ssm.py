"""Reads AMI ids from SSM parameters, through boto3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.adapters.aws.batches import batches
from ami_bakery.adapters.aws.errors import explained
from ami_bakery.errors import AwsError, BakeryError, DeniedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_ssm import SSMClient

    from ami_bakery.adapters.aws.session import AwsSession

_PARAMETERS = 10
"""SSM's maximum number of names per call (API reference, GetParameters)."""
_INVALID = "ValidationException"


class BotoParameters:
    """A `Parameters` port."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    def values(self, region: str, names: Sequence[str]) -> Mapping[str, str | BakeryError]:
        return {name: value for some in batches(names, _PARAMETERS) for name, value in self._some(region, some).items()}

    def _some(self, region: str, names: Sequence[str]) -> dict[str, str | BakeryError]:
        """Reads at most `_PARAMETERS` parameters in one call.

        Names that are missing in the response are read one by one, so that SSM says why. All are read one by one if
        the credentials do not allow GetParameters, or if SSM rejects the whole call because of one invalid name.
        """
        found: dict[str, str] = {}
        if len(names) > 1:
            try:
                found = self._together(region, names)
            except AwsError as error:
                if not isinstance(error, DeniedError) and error.code != _INVALID:
                    return dict.fromkeys(names, error)
        return {
            name: _checked(region, name, found[name]) if name in found else self._one(region, name) for name in names
        }

    def _together(self, region: str, names: Sequence[str]) -> dict[str, str]:
        client: SSMClient = self._session.client("ssm", region)
        with explained(self._session.call("reading SSM parameters", "SSM", "GetParameters", region)):
            response = client.get_parameters(Names=list(names))
            return {
                parameter["Name"] + parameter.get("Selector", ""): parameter.get("Value", "")
                for parameter in response["Parameters"]
            }

    def _one(self, region: str, name: str) -> str | BakeryError:
        client: SSMClient = self._session.client("ssm", region)
        try:
            with explained(self._session.call(f"reading the SSM parameter {name}", "SSM", "GetParameter", region)):
                return _checked(region, name, client.get_parameter(Name=name)["Parameter"].get("Value", ""))
        except AwsError as error:
            return error


def _checked(region: str, name: str, value: str) -> str | BakeryError:
    if value.startswith("ami-"):
        return value
    return AwsError(
        f"reading the SSM parameter {name} in {region}",
        f"its value is not an AMI id: {value[:40]!r}",
        "Name a parameter whose value is an AMI id.",
    )
