"""Gives each embedded EC2 its own moto state. The only module that uses moto's internals.

Written for moto 5.2.5. moto keeps its state in global dictionaries (`moto.ec2.models.ec2_backends`, and one for each
service), so that a process has only one AWS. This module swaps their contents, under a lock, when a request is for
another embedded EC2 of the process. The lock also makes moto answer one request at a time.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, ClassVar, cast

from moto.core.model_instances import reset_model_data
from moto.ec2.models import EC2Backend, ec2_backends
from moto.iam.models import IAMBackend, iam_backends
from moto.ssm.models import Parameter, ssm_backends
from moto.sts.models import STSBackend, sts_backends

from ami_bakery.local.ec2 import public_images
from ami_bakery.local.ec2.local_images import LocalAmi, public_image
from ami_bakery.local.ec2.replication_lag import KeyPairLag

if TYPE_CHECKING:
    from types import TracebackType

_DICTIONARIES: tuple[Any, ...] = (ec2_backends, iam_backends, ssm_backends, sts_backends)


class LocalBackend(EC2Backend):
    """moto's EC2 of one account and region, with few public AMIs instead of moto's hundreds."""

    amis: dict[str, LocalAmi]  # type: ignore[assignment]

    def __init__(self, region_name: str, account_id: str) -> None:
        self.copies: dict[str, str] = {}
        self.launches: dict[str, Any] = {}
        """By client token of RunInstances: the instances that were launched."""
        self.key_pair_lag = KeyPairLag()
        super().__init__(region_name, account_id)

    @property
    def default_key(self) -> str:
        """The default KMS key, which EC2 uses if none is named. Resources encrypted with it cannot be shared."""
        return f"arn:{self.partition}:kms:{self.region_name}:{self.account_id}:alias/aws/ebs"

    def _create_default_encryption_key(self) -> str:
        """Returns the default key. (moto creates one in its KMS, which is not loaded.)"""
        self.default_kms_key_id = self.default_key
        return self.default_key

    def _load_amis(self) -> None:
        self.amis.update(
            {image.ami_id: public_image(self, image) for image in public_images.public_images(self.region_name)}
        )


class MotoState:
    """A state of moto. While it is entered, moto's dictionaries have its contents, and other threads wait."""

    _lock: ClassVar[threading.RLock] = threading.RLock()
    _active: ClassVar[MotoState | None] = None

    def __init__(self) -> None:
        self._contents: list[dict[str, Any]] = [{} for _ in _DICTIONARIES]

    def __enter__(self) -> MotoState:
        MotoState._lock.acquire()
        if MotoState._active is not self:
            if MotoState._active is not None:
                MotoState._active._save()
            for dictionary, contents in zip(_DICTIONARIES, self._contents, strict=True):
                dictionary.clear()
                dictionary.update(contents)
            ec2_backends.backend = LocalBackend
            MotoState._active = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        MotoState._lock.release()

    def clear(self) -> None:
        """Removes everything except the public AMIs."""
        with self:
            for dictionary in _DICTIONARIES:
                dictionary.clear()
            reset_model_data()  # moto keeps all objects for its dashboard

    def backend(self, account_id: str, region: str) -> LocalBackend:
        """Returns the backend of an account and region. Only while entered."""
        return cast("LocalBackend", ec2_backends[account_id][region])

    def backends(self, region: str) -> dict[str, LocalBackend]:
        """Returns the used accounts of a region, by id. Only while entered."""
        return {
            account: self.backend(account, region)
            for account, regions in ec2_backends.items()
            if dict.__contains__(regions, region)  # moto's own `in` is true for every valid region
        }

    def account_of_issued_key(self, access_key_id: str) -> str:
        """Returns the account of an access key from this STS or IAM; empty for other keys. Only while entered."""
        for account_id, _, users in iam_backends.iter_backends():
            if access_key_id in cast("IAMBackend", users).access_keys:
                return account_id
        for account_id, _, tokens in sts_backends.iter_backends():
            if any(role.access_key_id == access_key_id for role in cast("STSBackend", tokens).assumed_roles):
                return account_id
        return ""

    def seed_parameters(self, account_id: str, region: str) -> None:
        """Adds the public SSM parameters of the public AMIs. Only while entered; a second call does nothing."""
        parameters = ssm_backends[account_id][region]._parameters
        if parameters.latest_amis_loaded:
            return
        parameters.latest_amis_loaded = True  # keeps moto from loading its own, whose AMIs do not exist here
        for name, value in public_images.parameters(region).items():
            parameters[name].append(
                Parameter(  # type: ignore[abstract]
                    account_id=account_id,
                    name=name,
                    value=value,
                    parameter_type="String",
                    description=None,
                    allowed_pattern=None,
                    keyid=None,
                    last_modified_date=public_images.PARAMETER_DATE,
                    version=1,
                    data_type="aws:ec2:image",
                )
            )

    def _save(self) -> None:
        self._contents = [dict(dictionary.items()) for dictionary in _DICTIONARIES]
