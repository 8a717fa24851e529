"""After Packer has ended: looks what of its run is still in EC2, and removes it, or marks it and says what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cleanup.deletion import remove
from ami_bakery.core.ec2.image import IMAGE_TAG, Ami
from ami_bakery.core.ec2.resource import Resource, ResourceKind, kind_of
from ami_bakery.core.ec2.run import RUN_TAG
from ami_bakery.core.packer.build_progress import CreatedKind, CreatedResource
from ami_bakery.errors import AwsError
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ami_bakery.ports import Ports

_SETTLING_SECONDS = 5.0
"""EC2 may go on showing what Packer has just removed."""


class Sweep(Frozen):
    """One run of one image.

    regions    where copies may be, beside the region of each builder
    hands_off  why nothing is to be removed; empty where it is
    """

    ports: Ports
    image: str
    run: str
    made: Sequence[CreatedResource]
    region_of: Callable[[str], str]
    regions: Sequence[str]
    hands_off: str = ""
    interrupted: bool = field(default=False)

    def sweep(self) -> None:
        """After a Packer that did not end well. Tells; raises nothing: the failure of Packer is what the user is to
        read of."""
        if not self.made:
            return
        try:
            things = list(self._left())
        except AwsError as refusal:
            self._tell_unseen(refusal)
            return
        # An AMI of a run that failed of itself may be what the user wants to look at.
        self._carry_out(things, [one for one in things if self.interrupted or one.kind is not ResourceKind.AMI])
        if not things and self.interrupted:
            self.ports.reporter.note(f"{self.image}: Packer has cleaned up: nothing of this run is left in EC2")

    def sweep_scaffold(self) -> None:
        """After a Packer that ended well: what it could not remove is a line of its log only, which costs money."""
        if not self.made:
            return
        try:
            left = list(self._temporary_resources(listed=True))
            if left:
                self.ports.clock.sleep_uninterrupted(_SETTLING_SECONDS)
                left = list(self._temporary_resources(listed=True))
        except AwsError as refusal:
            self._tell_unseen(refusal)
            return
        self._carry_out(left, left)

    def _carry_out(self, things: Sequence[Resource], removable: Sequence[Resource]) -> None:
        """Remove these, and tell of the others."""
        doomed = [] if self.hands_off else removable
        results = list(remove(self.ports, doomed, self.ports.clock.sleep_uninterrupted))
        removed = [thing for thing, error in results if error is None]
        if removed:
            self.ports.reporter.note(f"{self.image}: removed what Packer had left: {_listed(removed)}")
        for thing, error in results:
            if error is not None:
                self._tell_command(f"{thing} of {thing.region} is left: {error.wrong}")
        untouched = [thing for thing in things if thing not in doomed]
        if untouched:
            self._mark(untouched)
            why = f" ({self.hands_off})" if self.hands_off else ""
            self._tell_command(f"left in EC2{why}: {_listed(untouched)}")

    def _mark(self, things: Sequence[Resource]) -> None:
        """So that it is found later: where EC2's answer was lost, Packer itself does not know what it has made."""
        for thing in things:
            if RUN_TAG not in thing.tags and kind_of(thing.id) is not None:
                try:
                    self.ports.ec2.tag(thing.region, [thing.id], {RUN_TAG: self.run, IMAGE_TAG: self.image})
                except AwsError as error:
                    self.ports.reporter.warn(f"{self.image}: {thing} could not be marked with its run: {error}")

    def _tell_unseen(self, refusal: AwsError) -> None:
        made = ", ".join(f"{made.kind.replace('-', ' ')} {made.value}" for made in self.made)
        self._tell_command(f"whether Packer has left something could not be seen: {refusal}. It had made {made}")

    def _tell_command(self, text: str) -> None:
        command = f"ami-bakery images {self.image} --orphans --clean"
        self.ports.reporter.warn(f"{self.image}: {text}. `{command}` removes what is left")

    def _left(self) -> Iterator[Resource]:
        yield from self._temporary_resources()
        names = _values(self.made, CreatedKind.AMI_NAME)
        for region in dict.fromkeys([*self._homes().values(), *self.regions]):
            for ami in self.ports.ec2.find_by_name(region, names) if names else ():
                if self._is_ours(ami):
                    yield Resource(
                        kind=ResourceKind.AMI,
                        id=ami.id,
                        region=region,
                        name=ami.name,
                        tags=ami.tags,
                        parts=ami.snapshots,
                    )

    def _temporary_resources(self, *, listed: bool = False) -> Iterator[Resource]:
        """`listed`: key pairs only where they can be listed."""
        homes = self._homes()
        for region in dict.fromkeys(homes.values()):
            made = [one for one in self.made if homes[one.builder] == region]
            pairs = _values(made, CreatedKind.KEY_PAIR)
            yield from self.ports.temporary_resources.instances(
                region, ids=_values(made, CreatedKind.INSTANCE), key_pairs=pairs
            )
            yield from self.ports.temporary_resources.security_groups(
                region, names=_values(made, CreatedKind.SECURITY_GROUP)
            )
            yield from self._key_pairs(region, pairs, listed=listed)

    def _homes(self) -> Mapping[str, str]:
        return {made.builder: self.region_of(made.builder) for made in self.made}

    def _key_pairs(self, region: str, names: Sequence[str], *, listed: bool) -> Iterator[Resource]:
        """Where they cannot be listed: to delete one that is not there does nothing."""
        there = self.ports.temporary_resources.key_pairs(region) if names else ()
        known = None if there is None else {pair.name for pair in there}
        for name in names:
            if name in known if known is not None else not listed:
                yield Resource(kind=ResourceKind.KEY_PAIR, id=name, region=region, name=name)

    def _is_ours(self, ami: Ami) -> bool:
        """Packer's words alone do not say so: it may have been refused the name, because another's AMI has it."""
        if ami.verified:
            return False
        amis = _values(self.made, CreatedKind.AMI)
        return ami.id in amis or ami.source in amis or ami.source_instance in _values(self.made, CreatedKind.INSTANCE)


def _values(made: Iterable[CreatedResource], kind: CreatedKind) -> list[str]:
    return [one.value for one in made if one.kind is kind]


def _listed(things: Iterable[Resource]) -> str:
    return ", ".join(f"{thing} of {thing.region}" for thing in things)
