"""Disables AMIs with their launch permissions noted in tags, and enables them again as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cleanup.restored_shares import restore_permissions
from ami_bakery.core.ec2.ami import ABANDONED_TAG, DIGEST_TAG, AmiState
from ami_bakery.core.ec2.quarantine import enabled_tag, quarantine_tag_names, quarantine_tags, read_quarantine
from ami_bakery.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.ports import Ports

_VISIBLE_SECONDS, _POLL_SECONDS = 60.0, 1.0


def begin_quarantine(ports: Ports, ami: Ami, permissions: frozenset[str]) -> None:
    """Writes permissions and time to tags, disables the AMI, and waits.

    Raises `AwsError`; running again continues.

    permissions  its launch permissions now. Those that an interrupted run noted are noted again, because EC2 may have
                 removed them
    """
    doing = f"disabling {ami.id} in {ami.region}"
    noted = read_quarantine(ami.tags)
    try:
        tags = quarantine_tags(
            ports.locks.now(ami.region), permissions | (noted.permissions if noted is not None else frozenset())
        )
    except ValueError as error:
        todo = "EC2 removes them when an AMI is disabled. Remove some of them, or deregister the AMI yourself."
        raise AwsError(doing, str(error), todo) from error
    ports.ec2.tag(ami.region, [ami.id], tags)
    stale = [name for name in quarantine_tag_names(ami.tags) if name not in tags]
    if stale:
        ports.ec2.untag(ami.region, [ami.id], stale)
    ports.usage.disable(ami.region, ami.id)
    _wait(ports, ami, doing, lambda seen: seen.state is AmiState.DISABLED and read_quarantine(seen.tags) is not None)


def end_quarantine(ports: Ports, ami: Ami) -> None:
    """Enables an AMI, shares it as before, and removes the tags of its quarantine.

    Waits until EC2 shows that. Raises `AwsError`; running again continues. The AMI may be enabled already: an earlier
    run was interrupted.
    """
    noted = read_quarantine(ami.tags)
    ports.ec2.tag(ami.region, [ami.id], enabled_tag(ports.locks.now(ami.region)))
    ports.usage.enable(ami.region, ami.id)
    if noted is not None:
        restore_permissions(ports, ami, noted.permissions)
    fences = [name for name in (ABANDONED_TAG,) if name in ami.tags]
    ports.ec2.untag(ami.region, [ami.id], [*quarantine_tag_names(ami.tags), *fences])
    doing = f"enabling {ami.id} in {ami.region}"
    _wait(ports, ami, doing, lambda seen: seen.available and read_quarantine(seen.tags) is None)


def _wait(ports: Ports, ami: Ami, doing: str, is_done: Callable[[Ami], bool]) -> None:
    """Waits until EC2 shows the change. Raises `AwsError` if it does not within a minute."""
    deadline = ports.clock.monotonic() + _VISIBLE_SECONDS
    while True:
        found = ports.ec2.find_by_digest(ami.region, [ami.tags[DIGEST_TAG]], ("self",))
        seen = next((each for each in found if each.id == ami.id), None)
        if seen is not None and is_done(seen):
            return
        if ports.clock.monotonic() >= deadline:
            state = (
                f"it shows the state {seen.state} or the old tags" if seen is not None else "it does not show the AMI"
            )
            wrong = f"EC2 accepted all calls, but after {_VISIBLE_SECONDS:.0f} s {state}"
            raise AwsError(doing, wrong, "Run the command again.")
        ports.clock.sleep(_POLL_SECONDS)
