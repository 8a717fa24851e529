"""The one place that reaches into moto: gives each embedded EC2 a moto state of its own, and our backend for EC2.

Read at moto 5.2.5. moto keeps its state in module-wide dictionaries (`moto.ec2.models.ec2_backends` and one such for
each service), so one process would have one AWS. Here the contents are swapped whenever another embedded EC2 of this
process is asked something, under one lock; that lock also makes moto answer one request at a time.
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
from ami_bakery.local.ec2.replication_lag import KeyPairNews

if TYPE_CHECKING:
    from types import TracebackType

_DICTIONARIES: tuple[Any, ...] = (ec2_backends, iam_backends, ssm_backends, sts_backends)


class LocalBackend(EC2Backend):
    """moto's EC2 of one account and region, with our public AMIs in place of moto's hundreds."""

    amis: dict[str, LocalAmi]  # type: ignore[assignment]

    def __init__(self, region_name: str, account_id: str) -> None:
        self.copies: dict[str, str] = {}
        self.launches: dict[str, Any] = {}
        """The AMI that was made for each client token of CopyImage."""
        self.key_pair_news = KeyPairNews()
        super().__init__(region_name, account_id)

    @property
    def default_key(self) -> str:
        """The KMS key that EC2 takes where none is named; nothing that is encrypted with it can be shared."""
        return f"arn:{self.partition}:kms:{self.region_name}:{self.account_id}:alias/aws/ebs"

    def _create_default_encryption_key(self) -> str:
        """Not moto's, which makes a key in a KMS that is not here."""
        self.default_kms_key_id = self.default_key
        return self.default_key

    def _load_amis(self) -> None:
        self.amis.update(
            {image.ami_id: public_image(self, image) for image in public_images.public_images(self.region_name)}
        )


class MotoState:
    """Enter it to make moto's dictionaries this state's; no other state, and no other thread, gets in meanwhile."""

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
        """Forget everything: the next request meets an empty account with the public AMIs."""
        with self:
            for dictionary in _DICTIONARIES:
                dictionary.clear()
            reset_model_data()  # moto keeps every object ever made, for a dashboard that is not here

    def backend(self, account_id: str, region: str) -> LocalBackend:
        """Only while entered."""
        return cast("LocalBackend", ec2_backends[account_id][region])

    def backends(self, region: str) -> dict[str, LocalBackend]:
        """The accounts that have been used in a region so far, by id. Only while entered."""
        return {
            account: self.backend(account, region)
            for account, regions in ec2_backends.items()
            if dict.__contains__(regions, region)  # moto's own `in` is about what could be there
        }

    def account_of_issued_key(self, access_key_id: str) -> str:
        """The account that STS or IAM of this embedded EC2 gave this access key out for; empty where they did not.
        Only while entered."""
        for account_id, _, users in iam_backends.iter_backends():
            if access_key_id in cast("IAMBackend", users).access_keys:
                return account_id
        for account_id, _, tokens in sts_backends.iter_backends():
            if any(role.access_key_id == access_key_id for role in cast("STSBackend", tokens).assumed_roles):
                return account_id
        return ""

    def seed_parameters(self, account_id: str, region: str) -> None:
        """Put the public SSM parameters of our public AMIs in place. Only while entered; a second time does nothing."""
        parameters = ssm_backends[account_id][region]._parameters
        if parameters.latest_amis_loaded:
            return
        parameters.latest_amis_loaded = True  # keep moto from loading its own, whose AMIs do not exist here
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
