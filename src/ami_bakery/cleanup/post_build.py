"""Removes, or tags and reports, resources that still exist after a build."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ami_bakery.cleanup.deletion import remove
from ami_bakery.core.ec2.ami import IMAGE_TAG, Ami
from ami_bakery.core.ec2.resource import Resource, ResourceKind, kind_of
from ami_bakery.core.ec2.run import RUN_TAG
from ami_bakery.core.packer.build_progress import CreatedKind, CreatedResource
from ami_bakery.errors import AwsError
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ami_bakery.ports import Ports

_SETTLING_SECONDS = 5.0
"""EC2 may still show a resource that Packer has just removed."""


class PostBuildCleanup(Frozen):
    """The cleanup after one build.

    regions      regions that may have copies, besides the region of each builder
    keep_reason  why nothing may be removed; empty if resources may be removed
    needs_no_ami  whether an AMI of this run is removed, too: a test needs none
    """

    ports: Ports
    image: str
    run: str
    created: Sequence[CreatedResource]
    region_of: Callable[[str], str]
    regions: Sequence[str]
    keep_reason: str = ""
    interrupted: bool = field(default=False)
    needs_no_ami: bool = False

    def clean_up_failed(self) -> None:
        """Cleans up after a failed Packer. Reports and never raises, so that the user sees Packer's failure."""
        if not self.created:
            return
        try:
            resources = list(self._remaining())
        except AwsError as refusal:
            self._report_unchecked(refusal)
            return
        # The user may want to inspect the AMI of a failed build.
        with_amis = self.interrupted or self.needs_no_ami
        self._remove(
            resources, [resource for resource in resources if with_amis or resource.kind is not ResourceKind.AMI]
        )
        if not resources and self.interrupted:
            self.ports.reporter.note(f"{self.image}: Packer has cleaned up: nothing of this run remains in EC2")

    def clean_up_succeeded(self) -> None:
        """Cleans up after a successful Packer. Packer only logs the resources that it could not remove."""
        if not self.created:
            return
        try:
            remaining = list(self._temporary_resources(listed=True))
            if remaining:
                self.ports.clock.sleep_uninterrupted(_SETTLING_SECONDS)
                remaining = list(self._temporary_resources(listed=True))
            if self.needs_no_ami:
                remaining += self._amis()
        except AwsError as refusal:
            self._report_unchecked(refusal)
            return
        self._remove(remaining, remaining)

    def _remove(self, resources: Sequence[Resource], removable: Sequence[Resource]) -> None:
        """Removes `removable`, and reports the others."""
        to_remove = [] if self.keep_reason else removable
        results = list(remove(self.ports, to_remove, self.ports.clock.sleep_uninterrupted))
        removed = [resource for resource, error in results if error is None]
        if removed:
            self.ports.reporter.note(f"{self.image}: removed orphaned resources: {_listed(removed)}")
        for resource, error in results:
            if error is not None:
                self._report(f"{resource} of {resource.region} could not be removed: {error.wrong}")
        untouched = [resource for resource in resources if resource not in to_remove]
        if untouched:
            self._tag(untouched)
            why = f" ({self.keep_reason})" if self.keep_reason else ""
            self._report(f"remains in EC2{why}: {_listed(untouched)}")

    def _tag(self, resources: Sequence[Resource]) -> None:
        """Tags the resources so that they can be found later: if EC2's response was lost, Packer does not know them."""
        for resource in resources:
            if RUN_TAG not in resource.tags and kind_of(resource.id) is not None:
                try:
                    self.ports.ec2.tag(resource.region, [resource.id], {RUN_TAG: self.run, IMAGE_TAG: self.image})
                except AwsError as error:
                    self.ports.reporter.warn(f"{self.image}: {resource} could not be tagged with its run: {error}")

    def _report_unchecked(self, refusal: AwsError) -> None:
        created = ", ".join(f"{created.kind.replace('-', ' ')} {created.value}" for created in self.created)
        self._report(f"could not check for orphaned resources: {refusal}. Packer had created {created}")

    def _report(self, text: str) -> None:
        command = f"ami-bakery images {self.image} --orphans --clean"
        self.ports.reporter.warn(f"{self.image}: {text}. `{command}` removes orphaned resources")

    def _remaining(self) -> Iterator[Resource]:
        yield from self._temporary_resources()
        yield from self._amis()

    def _amis(self) -> Iterator[Resource]:
        names = _values(self.created, CreatedKind.AMI_NAME)
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
        """Yields the temporary resources of the build. `listed`: key pairs only if they may be listed."""
        homes = self._homes()
        for region in dict.fromkeys(homes.values()):
            created = [resource for resource in self.created if homes[resource.builder] == region]
            pairs = _values(created, CreatedKind.KEY_PAIR)
            yield from self.ports.temporary_resources.instances(
                region, ids=_values(created, CreatedKind.INSTANCE), key_pairs=pairs
            )
            yield from self.ports.temporary_resources.security_groups(
                region, names=_values(created, CreatedKind.SECURITY_GROUP)
            )
            yield from self._key_pairs(region, pairs, listed=listed)

    def _homes(self) -> Mapping[str, str]:
        return {created.builder: self.region_of(created.builder) for created in self.created}

    def _key_pairs(self, region: str, names: Sequence[str], *, listed: bool) -> Iterator[Resource]:
        """Yields the key pairs. If they cannot be listed, all of them: deleting a missing one has no effect."""
        there = self.ports.temporary_resources.key_pairs(region) if names else ()
        known = None if there is None else {pair.name for pair in there}
        for name in names:
            if name in known if known is not None else not listed:
                yield Resource(kind=ResourceKind.KEY_PAIR, id=name, region=region, name=name)

    def _is_ours(self, ami: Ami) -> bool:
        """Whether this run created the AMI. Packer prints a name even if another AMI has it."""
        if ami.verified:
            return False
        amis = _values(self.created, CreatedKind.AMI)
        return (
            ami.id in amis or ami.source in amis or ami.source_instance in _values(self.created, CreatedKind.INSTANCE)
        )


def _values(created: Iterable[CreatedResource], kind: CreatedKind) -> list[str]:
    return [resource.value for resource in created if resource.kind is kind]


def _listed(resources: Iterable[Resource]) -> str:
    return ", ".join(f"{resource} of {resource.region}" for resource in resources)
