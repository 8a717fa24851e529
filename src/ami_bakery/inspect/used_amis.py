"""Finds what uses the AMIs of images, and how far each AMI is behind the newest build."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ami_bakery.core.channel.builds_behind import how_far_behind
from ami_bakery.core.concurrency import run_all
from ami_bakery.core.ec2.usage import AmiReference, InstanceAmi, ReferenceKind, TemplateVersion
from ami_bakery.errors import AwsError
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.core.channel.builds_behind import Behind
    from ami_bakery.inspect.inventory import ImageAmi
    from ami_bakery.ports import Ports

Answer = TypeVar("Answer")
_OTHERS = (
    ReferenceKind.PARAMETER,
    ReferenceKind.IMAGE_RECIPE,
    ReferenceKind.CONTAINER_RECIPE,
    ReferenceKind.OTHER,
)


class UsedTemplate(Frozen):
    """A launch template that names an AMI. `versions`: those that do, oldest first; None if unknown."""

    template: str
    versions: tuple[TemplateVersion, ...] | None


class UsedAmi(Frozen):
    """What uses one AMI. None: it could not be read.

    behind          None if EC2 has no date of the AMI
    groups          Auto Scaling groups
    configurations  launch configurations
    others          SSM parameters and recipes
    """

    made: ImageAmi
    behind: Behind | None
    instances: tuple[InstanceAmi, ...] | None
    templates: tuple[UsedTemplate, ...] | None
    groups: tuple[AmiReference, ...] | None
    configurations: tuple[AmiReference, ...] | None
    others: tuple[AmiReference, ...] | None

    @property
    def is_used(self) -> bool | None:
        """Whether anything uses it; None if nothing is known to use it, and a part could not be read."""
        parts = (self.instances, self.templates, self.groups, self.configurations, self.others)
        return True if any(parts) else None if None in parts else False


class _RegionUse(Frozen):
    """What EC2 and Auto Scaling answer in one region; None for an answer that was denied or failed."""

    references: Mapping[str, tuple[AmiReference, ...]] | None
    scaling: Mapping[str, tuple[AmiReference, ...]] | None
    instances: tuple[InstanceAmi, ...] | None
    versions: tuple[TemplateVersion, ...] | None


def find_uses(ports: Ports, made: Sequence[ImageAmi]) -> tuple[UsedAmi, ...]:
    """Returns what uses each AMI, in the given order. What cannot be read is a warning, and unknown.

    made  all AMIs of the images, because they say how far each one is behind
    """
    regions: dict[str, list[str]] = {}
    of_image: dict[str, list[ImageAmi]] = {}
    for item in made:
        regions.setdefault(item.ami.region, []).append(item.ami.id)
        of_image.setdefault(item.image, []).append(item)
    answers = run_all([partial(_read_region, ports, region, amis) for region, amis in regions.items()], at_once=3)
    uses = dict(zip(regions, answers, strict=True))
    return tuple(
        _used(item, uses[item.ami.region], how_far_behind(item.ami, (other.ami for other in of_image[item.image])))
        for item in made
    )


def _read_region(ports: Ports, region: str, amis: Sequence[str]) -> _RegionUse:
    def unless_failed(call: Callable[[], Answer]) -> Answer | None:
        try:
            return call()
        except AwsError as error:
            ports.reporter.warn(f"some uses of AMIs are unknown: {error}. {error.todo}")
            return None

    usage = ports.usage
    references = unless_failed(partial(usage.references, region, amis))
    named = {
        one.name for found in (references or {}).values() for one in found if one.kind is ReferenceKind.LAUNCH_TEMPLATE
    }
    return _RegionUse(
        references=references,
        scaling=unless_failed(partial(usage.auto_scaling_amis, region)),
        instances=unless_failed(partial(usage.instance_amis, region)),
        versions=unless_failed(partial(usage.template_versions, region, sorted(named))) if named else (),
    )


def _used(made: ImageAmi, use: _RegionUse, behind: Behind | None) -> UsedAmi:
    ami = made.ami.id
    references = None if use.references is None else use.references.get(ami, ())
    scaling = None if use.scaling is None else use.scaling.get(ami, ())
    return UsedAmi(
        made=made,
        behind=behind,
        instances=_instances(ami, use.instances, references),
        templates=None if references is None else tuple(_templates(ami, references, use.versions)),
        groups=_of_kinds(scaling, ReferenceKind.AUTO_SCALING_GROUP),
        configurations=_of_kinds(scaling, ReferenceKind.LAUNCH_CONFIGURATION),
        others=_of_kinds(references, *_OTHERS),
    )


def _of_kinds(references: Iterable[AmiReference] | None, *kinds: ReferenceKind) -> tuple[AmiReference, ...] | None:
    return None if references is None else tuple(one for one in references if one.kind in kinds)


def _instances(
    ami: str, instances: Iterable[InstanceAmi] | None, references: Iterable[AmiReference] | None
) -> tuple[InstanceAmi, ...] | None:
    """Returns the instances of an AMI. References know only their ids."""
    if instances is not None:
        return tuple(sorted((one for one in instances if one.ami == ami), key=lambda one: one.instance))
    found = _of_kinds(references, ReferenceKind.INSTANCE)
    if found is None:
        return None
    return tuple(InstanceAmi(instance=one.name, ami=ami, state="", launched=None) for one in found)


def _templates(
    ami: str, references: Iterable[AmiReference], versions: Iterable[TemplateVersion] | None
) -> Iterator[UsedTemplate]:
    known = None if versions is None else [version for version in versions if version.ami == ami]
    for one in references:
        if one.kind is ReferenceKind.LAUNCH_TEMPLATE:
            own = None if known is None else tuple(version for version in known if version.template == one.name)
            yield UsedTemplate(template=one.name, versions=own)
