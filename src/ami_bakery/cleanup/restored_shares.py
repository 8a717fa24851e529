"""Restores the launch permissions that an AMI had before its quarantine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ami_bakery.errors import AwsError

if TYPE_CHECKING:
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.ports import Ports

_NOT_GRANTED = frozenset({"InvalidAMIAttributeItemValue", "OperationNotPermitted"})
"""EC2's codes for a target that it does not accept any more: a closed account, or everyone if that is blocked."""
_VISIBLE_SECONDS, _POLL_SECONDS = 60.0, 1.0


def restore_permissions(ports: Ports, ami: Ami, noted: frozenset[str]) -> None:
    """Grants the noted permissions that are missing, and reads them back. Raises `AwsError`.

    A target that EC2 does not accept any more is only reported.
    """
    permissions = partial(ports.ec2.permissions, ami.region, ami.id)
    missing = noted - permissions() if noted else frozenset()
    if not missing:
        return
    granted = missing - _grant(ports, ami, missing)
    deadline = ports.clock.monotonic() + _VISIBLE_SECONDS
    while lacking := granted - permissions():
        if ports.clock.monotonic() > deadline:
            raise AwsError(
                f"sharing {ami.id} in {ami.region} as before its quarantine",
                f"EC2 accepted it, but does not show the launch permission of {', '.join(sorted(lacking))}",
                "Run the command again.",
            )
        ports.clock.sleep(_POLL_SECONDS)


def _grant(ports: Ports, ami: Ami, targets: frozenset[str]) -> frozenset[str]:
    """Grants launch permissions. Reports and returns those that EC2 does not accept any more.

    One of them makes the whole call fail, so each target is then granted by itself.
    """
    try:
        ports.ec2.grant(ami.region, ami.id, sorted(targets))
    except AwsError as error:
        if error.code not in _NOT_GRANTED:
            raise
        if len(targets) > 1:
            return frozenset().union(*(_grant(ports, ami, frozenset({target})) for target in sorted(targets)))
        ports.reporter.warn(
            f"{ami.id} ({ami.region}) is not shared with {', '.join(targets)} as before its quarantine: {error.wrong}"
        )
        return targets
    return frozenset()
