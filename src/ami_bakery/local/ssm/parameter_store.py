"""The Parameter Store of one account and region."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from moto.ssm.exceptions import SSMException

from ami_bakery.local.ec2 import public_images
from ami_bakery.local.ssm.parameter_names import unique_name

if TYPE_CHECKING:
    import datetime

IMAGE_TYPE = "aws:ec2:image"
_MAX_VERSIONS = 100
_MAX_LABELS = 10
_MAX_STANDARD_PARAMETERS = 10_000

IsImage = Callable[[str], bool]
"""Whether an AMI id is valid in this account and region."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParameterVersion:
    """One version of a parameter. `user` is the ARN of the caller that put it."""

    name: str
    kind: str
    """String, StringList or SecureString."""
    value: str
    data_type: str
    tier: str
    modified: datetime.datetime
    user: str
    version: int = 1
    description: str | None = None
    allowed_pattern: str | None = None
    key_id: str | None = None


@dataclass(kw_only=True, slots=True)
class StoredParameter:
    """The versions of a parameter, oldest first; its labels with their versions; its tags."""

    versions: list[ParameterVersion]
    labels: dict[str, int] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def latest(self) -> ParameterVersion:
        return self.versions[-1]

    def labels_of(self, version: int) -> list[str]:
        return [label for label, labelled in self.labels.items() if labelled == version]

    def check_new_version(self) -> None:
        """Raises if the oldest of 100 versions has a label."""
        oldest = self.versions[0].version
        if len(self.versions) >= _MAX_VERSIONS and self.labels_of(oldest):
            raise SSMException(
                "ParameterMaxVersionLimitExceeded",
                f"You attempted to create a new version of {self.latest.name} by calling the PutParameter API with the "
                f"overwrite flag. Version {oldest}, the oldest version, can't be deleted because it has a label "
                "associated with it. Move the label to another version of the parameter, and try again.",
            )

    def version(self, number: int) -> ParameterVersion:
        for version in self.versions:
            if version.version == number:
                return version
        name = self.latest.name
        raise SSMException(
            "ParameterVersionNotFound",
            f"Systems Manager could not find version {number} of {name}. Verify the version and try again.",
        )

    def selected(self, selector: str) -> ParameterVersion:
        """Returns the selected version; the latest one without a selector."""
        if not selector:
            return self.latest
        if selector.isdigit():
            return self.version(int(selector))
        if selector not in self.labels:
            raise SSMException(
                "ParameterVersionNotFound",
                f"Systems Manager could not find label {selector} for parameter {self.latest.name}. "
                "Verify the label and try again.",
            )
        return self.version(self.labels[selector])

    def label(self, number: int, labels: list[str]) -> None:
        """Moves labels to a version. Raises if it would have more than 10."""
        if len({*self.labels_of(number), *labels}) > _MAX_LABELS:
            raise SSMException(
                "ParameterVersionLabelLimitExceeded",
                f"A parameter version can have a maximum of ten labels. Version {number} of {self.latest.name} would "
                "have more. Move one or more labels to another version and try again.",
            )
        self.labels.update(dict.fromkeys(labels, number))


@dataclass(frozen=True, kw_only=True, slots=True)
class _PendingWrite:
    """A write whose AMI id is validated later. `permitted`: the caller may call DescribeImages."""

    began: float
    seconds: float
    written: ParameterVersion
    tags: dict[str, str]
    permitted: bool


class LocalParameters:
    """The parameters of one account in one region, by their unique names."""

    def __init__(self, public: Mapping[str, StoredParameter]) -> None:
        """Creates an empty store. `public`: AWS's public parameters, which are read-only, by name."""
        self._public = dict(public)
        self._parameters: dict[str, StoredParameter] = {}
        self._pending: dict[str, _PendingWrite] = {}

    def get(self, name: str) -> StoredParameter | None:
        """Returns a parameter of the account, or a public one."""
        return self.own(name) or self._public.get(name)

    def add_public(self, name: str, ami_id: str) -> None:
        """Adds a public parameter with the id of an AMI."""
        self._public[name] = _public_parameter(name, ami_id)

    def own(self, name: str) -> StoredParameter | None:
        return self._parameters.get(unique_name(name))

    def all(self, *, public: bool = False) -> list[StoredParameter]:
        """Returns the account's parameters, or the public ones, by name."""
        return [parameter for _, parameter in sorted((self._public if public else self._parameters).items())]

    def put(
        self, written: ParameterVersion, tags: dict[str, str], *, validation_seconds: float, permitted: bool
    ) -> ParameterVersion:
        """Writes a parameter; returns it with the number of its version.

        An AMI id is written `validation_seconds` later, and only if it is valid then. One write of a parameter can be
        pending.
        """
        key = unique_name(written.name)
        if key in self._pending:
            raise SSMException(
                "TooManyUpdates", "There are concurrent updates for a resource that supports one update at a time."
            )
        existing = self._parameters.get(key)
        if existing is not None:
            existing.check_new_version()
            written = replace(written, name=existing.latest.name, version=existing.latest.version + 1)
        elif written.tier == "Standard":
            self._check_count()
        if written.data_type == IMAGE_TYPE:
            self._pending[key] = _PendingWrite(
                began=time.monotonic(), seconds=validation_seconds, written=written, tags=tags, permitted=permitted
            )
        else:
            self._write(key, written, tags)
        return written

    def settle(self, is_image: IsImage, validation_seconds: float) -> None:
        """Completes the pending writes that are due: valid ones are written, others are dropped.

        If validation takes less time now than at the call, the wait ends earlier.
        """
        now = time.monotonic()
        for key, pending in list(self._pending.items()):
            if pending.began + min(pending.seconds, validation_seconds) <= now:
                del self._pending[key]
                if pending.permitted and is_image(pending.written.value):
                    self._write(key, pending.written, pending.tags)

    def _write(self, key: str, written: ParameterVersion, tags: dict[str, str]) -> None:
        existing = self._parameters.get(key)
        if existing is None:
            self._parameters[key] = StoredParameter(versions=[written], tags=tags)
            return
        if len(existing.versions) >= _MAX_VERSIONS:
            if existing.labels_of(existing.versions[0].version):
                return  # It was labelled while the write was pending.
            del existing.versions[0]
        existing.versions.append(written)

    def _check_count(self) -> None:
        count = sum(parameter.latest.tier == "Standard" for parameter in self._parameters.values())
        if count >= _MAX_STANDARD_PARAMETERS:
            raise SSMException(
                "ParameterLimitExceeded",
                "You have reached the maximum number of standard parameters for this AWS account and Region "
                f"({_MAX_STANDARD_PARAMETERS}). To add more parameters, either delete existing parameters or upgrade "
                "to the advanced-parameter tier (charges apply).",
            )

    def delete(self, name: str) -> bool:
        """Deletes a parameter and its pending write; returns whether it existed."""
        self._pending.pop(unique_name(name), None)
        return self._parameters.pop(unique_name(name), None) is not None


def public_parameters(region: str) -> dict[str, StoredParameter]:
    """Returns AWS's public parameters of a region, which name the public AMIs."""
    return {name: _public_parameter(name, value) for name, value in public_images.parameters(region).items()}


def _public_parameter(name: str, ami_id: str) -> StoredParameter:
    version = ParameterVersion(
        name=name,
        kind="String",
        value=ami_id,
        data_type=IMAGE_TYPE,
        tier="Standard",
        modified=public_images.PARAMETER_DATE,
        user="",
    )
    return StoredParameter(versions=[version])
