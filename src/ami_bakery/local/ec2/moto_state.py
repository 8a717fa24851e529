"""Gives each embedded EC2 its own moto state. The only module that uses moto's internals.

Written for moto 5.2.5. moto keeps its state in global dictionaries (`moto.ec2.models.ec2_backends`, and one for each
service), so that a process has only one AWS. This module swaps their contents, under a lock, when a request is for
another embedded EC2 of the process. The lock also makes moto answer one request at a time.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from moto.autoscaling.models import autoscaling_backends
from moto.core import responses
from moto.core.model_instances import reset_model_data
from moto.core.utils import method_names_from_class
from moto.ec2.models import EC2Backend, ec2_backends
from moto.iam.models import IAMBackend, iam_backends
from moto.ssm.exceptions import SSMException
from moto.ssm.models import ssm_backends
from moto.sts.models import STSBackend, sts_backends

from ami_bakery.local.ec2 import public_images
from ami_bakery.local.ec2.local_images import LocalAmi, public_image
from ami_bakery.local.ec2.replication_lag import KeyPairLag
from ami_bakery.local.iam_requests import RESOLVE
from ami_bakery.local.ssm.parameter_names import split_selector
from ami_bakery.local.ssm.parameter_store import IMAGE_TYPE, LocalParameters, public_parameters

if TYPE_CHECKING:
    from types import TracebackType

    from moto.ec2.models.instances import Reservation

    from ami_bakery.local.ec2.local_launch_templates import LocalLaunchTemplate
    from ami_bakery.local.ec2.usage_report_actions import LocalUsageReport
    from ami_bakery.local.local_settings import Behaviour

_DICTIONARIES: tuple[Any, ...] = (autoscaling_backends, ec2_backends, iam_backends, ssm_backends, sts_backends)

# In every call, moto lists the hundreds of methods of a response class.
responses.method_names_from_class = cache(method_names_from_class)  # type: ignore[attr-defined]


class LocalBackend(EC2Backend):
    """moto's EC2 of one account and region. It has few public AMIs instead of moto's hundreds."""

    amis: dict[str, LocalAmi]  # type: ignore[assignment]

    def __init__(self, region_name: str, account_id: str) -> None:
        self.answers: dict[tuple[str, str], Any] = {}
        """By action and client token: the answer to the first call."""
        self.deregistered: dict[str, LocalAmi] = {}
        self.usage_reports: dict[str, LocalUsageReport] = {}
        self.key_pair_lag = KeyPairLag()
        super().__init__(region_name, account_id)

    def run_instances(self, image_id: str, *arguments: Any, **options: Any) -> Reservation:
        """Launches instances, also for Auto Scaling; records the launch with the AMI."""
        state = MotoState.active()
        resolved = state.resolve_image(image_id, self.account_id, self.region_name) or image_id
        reservation = super().run_instances(resolved, *arguments, **options)
        image = state.visible_images(self.account_id, self.region_name).get(resolved)
        if image is not None:
            for instance in reservation.instances:
                instance.architecture, instance.virtualization_type = image.architecture, image.virtualization_type
                image.record_launch(with_zone(instance.launch_time), state.behaviour)
        return reservation

    def deregister_image(self, ami_id: str) -> None:
        self.deregistered[ami_id] = self.amis[ami_id]
        super().deregister_image(ami_id)

    def add_launch_template(self, template: LocalLaunchTemplate) -> None:
        self.launch_templates[template.id] = template
        self.launch_template_name_to_ids[template.name] = template.id
        self.launch_template_insert_order.append(template.id)

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

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self._contents: list[dict[str, Any]] = [{} for _ in _DICTIONARIES]
        self._parameters: dict[tuple[str, str], LocalParameters] = {}
        self._called: dict[str, set[str]] = {}

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

    @classmethod
    def active(cls) -> MotoState:
        """Returns the state that is entered."""
        if cls._active is None:
            raise RuntimeError("no state of moto is entered")
        return cls._active

    def clear(self) -> None:
        """Removes everything except the public AMIs."""
        with self:
            for dictionary in _DICTIONARIES:
                dictionary.clear()
            self._parameters.clear()
            self._called.clear()
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

    def record_call(self, account_id: str, region: str) -> None:
        self._called.setdefault(account_id, set()).add(region)

    def called_regions(self, account_id: str) -> frozenset[str]:
        """Returns the regions that an account has called. Only while entered."""
        return frozenset(self._called.get(account_id, ()))

    def account_of_issued_key(self, access_key_id: str) -> str:
        """Returns the account of an access key from this STS or IAM; empty for other keys. Only while entered."""
        for account_id, _, users in iam_backends.iter_backends():
            if access_key_id in cast("IAMBackend", users).access_keys:
                return account_id
        for account_id, _, tokens in sts_backends.iter_backends():
            if any(role.access_key_id == access_key_id for role in cast("STSBackend", tokens).assumed_roles):
                return account_id
        return ""

    def caller(self, access_key_id: str, account_id: str) -> str:
        """Returns the ARN of a caller: a role session, an IAM user, or the account's own user. Only while entered."""
        for _, _, tokens in sts_backends.iter_backends():
            for role in cast("STSBackend", tokens).assumed_roles:
                if role.access_key_id == access_key_id:
                    return str(role.arn)
        for _, _, users in iam_backends.iter_backends():
            key = cast("IAMBackend", users).access_keys.get(access_key_id)
            if key is not None:
                return f"arn:aws:iam::{account_id}:user/{key.user_name}"
        return f"arn:aws:iam::{account_id}:user/embedded"

    def parameters(self, account_id: str, region: str) -> LocalParameters:
        """Returns the Parameter Store of an account and region. It also has AWS's public parameters."""
        key = (account_id, region)
        if key not in self._parameters:
            self._parameters[key] = LocalParameters(public_parameters(region))
        return self._parameters[key]

    def resolve_image(self, named: str, account_id: str, region: str) -> str | None:
        """Returns the AMI id of `resolve:ssm:NAME[:SELECTOR]`, and any other value unchanged.

        Returns None if the parameter does not exist or is not of data type aws:ec2:image. Only while entered.
        """
        name = named.removeprefix(RESOLVE)
        if name == named:
            return named
        try:
            bare, selector = split_selector(name, region, account_id)
            parameter = self.parameters(account_id, region).get(bare)
            found = parameter.selected(selector) if parameter else None
        except SSMException:
            return None
        return found.value if found is not None and found.data_type == IMAGE_TYPE else None

    def tags_of(self, account_id: str, region: str, arn: str) -> Mapping[str, str]:
        """Returns the tags of a resource by its ARN. Only while entered."""
        if ":ssm:" in arn:
            parameter = self.parameters(account_id, region).own("/" + arn.partition(":parameter/")[2])
            return parameter.tags if parameter else {}
        backend, name = self.backend(account_id, region), arn.rpartition("/")[2]
        pair = backend.key_pairs.get(name) if ":key-pair/" in arn else None
        tags: Mapping[str, str] = backend.tags.get(pair.id if pair else name, {})
        return tags

    def settle_parameters(self, validation_seconds: float) -> None:
        """Completes the pending writes of parameters that are due. Only while entered."""
        for (account_id, region), store in self._parameters.items():
            store.settle(partial(self._is_available_image, account_id, region), validation_seconds)

    def _is_available_image(self, account_id: str, region: str, value: str) -> bool:
        image = self.visible_images(account_id, region).get(value)
        return image is not None and image.state == "available"

    def registered_image(self, region: str, image_id: str) -> LocalAmi | None:
        """Returns an AMI of any account that is not deregistered. Only while entered."""
        return next((one.amis[image_id] for one in self.backends(region).values() if image_id in one.amis), None)

    def known_image(self, region: str, image_id: str) -> LocalAmi | None:
        """Returns an AMI of any account, even a deregistered one. Only while entered."""
        backends = self.backends(region).values()
        gone = (one.deregistered[image_id] for one in backends if image_id in one.deregistered)
        return self.registered_image(region, image_id) or next(gone, None)

    def visible_images(self, account_id: str, region: str) -> dict[str, LocalAmi]:
        """Returns a region's AMIs that an account can see, by id: own, public and shared ones."""
        visible = dict(self.backend(account_id, region).amis)
        for owner, backend in self.backends(region).items():
            if owner != account_id:
                theirs = (image for image in backend.amis.values() if image.owner_id == owner)
                visible.update({image.id: image for image in theirs if image.launchable_by(account_id)})
        return {image_id: image for image_id, image in visible.items() if image.is_visible()}

    def _save(self) -> None:
        self._contents = [dict(dictionary.items()) for dictionary in _DICTIONARIES]


def with_zone(moment: datetime.datetime) -> datetime.datetime:
    """Returns a time with its zone; moto's times are UTC, but some have no zone."""
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
