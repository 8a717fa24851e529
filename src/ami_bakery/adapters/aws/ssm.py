"""Reads and writes AMI ids in SSM parameters, through boto3."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from ami_bakery.adapters.aws.batches import batches
from ami_bakery.adapters.aws.errors import explained
from ami_bakery.core.channel.parameter import AMI_DATA_TYPE, ChannelVersion
from ami_bakery.errors import AwsError, BakeryError, DeniedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.type_defs import ParameterHistoryTypeDef

    from ami_bakery.adapters.aws.session import AwsSession

_PARAMETERS = 10
"""SSM's maximum number of names per call (API reference, GetParameters)."""
_HISTORY_PAGE = 50
"""SSM's maximum page size (API reference, GetParameterHistory)."""
_MISSING = "ParameterNotFound"
_INVALID = "ValidationException"


class BotoParameters:
    """A `ParameterStore` port."""

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

    def below(self, region: str, path: str) -> tuple[str, ...]:
        client: SSMClient = self._session.client("ssm", region)
        call = self._session.call(f"listing the SSM parameters below {path}", "SSM", "GetParametersByPath", region)
        with explained(call):
            pages = client.get_paginator("get_parameters_by_path").paginate(Path=path, Recursive=True)
            return tuple(sorted(parameter["Name"] for page in pages for parameter in page["Parameters"]))

    def history(self, region: str, name: str) -> tuple[ChannelVersion, ...]:
        try:
            return tuple(sorted(self._history(region, name), key=lambda version: version.number))
        except AwsError as error:
            if error.code == _MISSING:
                return ()
            raise

    def _history(self, region: str, name: str) -> Iterator[ChannelVersion]:
        client: SSMClient = self._session.client("ssm", region)
        call = self._session.call(
            f"reading the history of the SSM parameter {name}", "SSM", "GetParameterHistory", region
        )
        with explained(call):
            pages = client.get_paginator("get_parameter_history").paginate(
                Name=name, PaginationConfig={"PageSize": _HISTORY_PAGE}
            )
            for page in pages:
                yield from map(_version, page["Parameters"])

    def current(self, region: str, name: str) -> tuple[int, str] | None:
        client: SSMClient = self._session.client("ssm", region)
        try:
            with explained(self._session.call(f"reading the SSM parameter {name}", "SSM", "GetParameter", region)):
                parameter = client.get_parameter(Name=name)["Parameter"]
                return parameter["Version"], parameter.get("Value", "")
        except AwsError as error:
            if error.code == _MISSING:
                return None
            raise

    def put(self, region: str, name: str, ami: str, description: str, *, overwrite: bool) -> int:
        client: SSMClient = self._session.client("ssm", region)
        with explained(self._session.call(f"writing the SSM parameter {name}", "SSM", "PutParameter", region)):
            response = client.put_parameter(
                Name=name,
                Value=ami,
                Description=description,
                Type="String",
                DataType=AMI_DATA_TYPE,
                Overwrite=overwrite,
            )
            return response["Version"]


def _version(version: ParameterHistoryTypeDef) -> ChannelVersion:
    """Converts a version. Any member except its number may be missing."""
    modified = version.get("LastModifiedDate")
    return ChannelVersion(
        number=version["Version"],
        value=version.get("Value", ""),
        kind=version.get("Type", ""),
        data_type=version.get("DataType", "text"),
        description=version.get("Description", ""),
        modified=modified.astimezone(UTC) if modified else None,
        user=version.get("LastModifiedUser", ""),
        labels=tuple(version.get("Labels", ())),
    )


def _checked(region: str, name: str, value: str) -> str | BakeryError:
    if value.startswith("ami-"):
        return value
    return AwsError(
        f"reading the SSM parameter {name} in {region}",
        f"its value is not an AMI id: {value[:40]!r}",
        "Name a parameter whose value is an AMI id.",
    )
