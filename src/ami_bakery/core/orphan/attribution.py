"""Attributes the resources of one region to runs."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ami_bakery.core.ec2.resource import Resource, ResourceKind, kind_of
from ami_bakery.core.ec2.run import KEY_PAIR_TAG, RUN_TAG
from ami_bakery.core.lock.lock import CREATED_AMI_TAG
from ami_bakery.core.orphan.orphan import GROUP_TAG, INSTANCE_TAG, NAME_TAG, RunIndex, is_started_by_packer
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ami_bakery.core.ec2.ami import Ami


class Attribution(Frozen):
    """The runs of resources. It starts with tags and records; found instances and groups add references.

    tagged     the tags of candidates, by id
    instances  those found by `instance_ids` and `key_pairs`
    groups     those found by `group_ids` and `group_names`
    """

    tagged: Mapping[str, Mapping[str, str]]
    runs: RunIndex
    instances: tuple[Resource, ...] = ()
    groups: tuple[Resource, ...] = ()

    def ids(self, kind: ResourceKind) -> list[str]:
        """Returns the ids of tagged resources of a kind."""
        return [item for item in self.tagged if kind_of(item) is kind]

    @property
    def instance_ids(self) -> list[str]:
        return [*self.ids(ResourceKind.INSTANCE), *self.runs.recorded(INSTANCE_TAG)]

    @cached_property
    def key_pairs(self) -> Mapping[str, str]:
        """Key pairs that tags or locks name. They find an instance that Packer created, but did not record."""
        named = {tags[KEY_PAIR_TAG]: tags.get(RUN_TAG, "") for tags in self.tagged.values() if tags.get(KEY_PAIR_TAG)}
        return {**named, **self.runs.recorded(KEY_PAIR_TAG)}

    @property
    def group_ids(self) -> list[str]:
        used = [group for group, run in self._used_groups.items() if run]
        return list(dict.fromkeys([*self.ids(ResourceKind.SECURITY_GROUP), *used]))

    @property
    def group_names(self) -> list[str]:
        return list(self.runs.recorded(GROUP_TAG))

    def is_of_run(self, group: Resource) -> bool:
        """Whether a run created the group. The template may have added a group of the user to an instance."""
        return group.id in self.tagged or group.name.startswith("packer_")

    @cached_property
    def all_key_pairs(self) -> Mapping[str, str]:
        """All key pairs that are named, without key pairs of the user."""
        named = {
            item.tags[KEY_PAIR_TAG]: item.tags.get(RUN_TAG, "")
            for item in (*self.instances, *self.groups)
            if KEY_PAIR_TAG in item.tags
        }
        used = {
            name: item.tags.get(RUN_TAG, "")
            for item in self.instances
            if is_started_by_packer(item)
            for name in item.uses
        }
        return {**used, **named, **self.key_pairs}

    @cached_property
    def amis(self) -> Mapping[str, str]:
        return self.runs.recorded(CREATED_AMI_TAG)

    @cached_property
    def ami_names(self) -> Mapping[str, str]:
        return self.runs.recorded(NAME_TAG)

    @cached_property
    def source_instances(self) -> Mapping[str, str]:
        """Instances that AMIs may have been created from. EC2 shows the tags of a terminated one for an hour."""
        gone = {
            item: tags.get(RUN_TAG, "")
            for item, tags in self.tagged.items()
            if kind_of(item) is ResourceKind.INSTANCE and KEY_PAIR_TAG in tags
        }
        packers = {instance.id: run for instance in self.instances if (run := self._run_that_created(instance))}
        return {**gone, **self.runs.recorded(INSTANCE_TAG), **packers}

    def run_of(self, resource: Resource) -> str:
        """Returns the run by records and references; empty if unknown. Only tags name a volume's or snapshot's run."""
        match resource.kind:
            case ResourceKind.INSTANCE:
                return _run_in(self._recorded, resource)
            case ResourceKind.SECURITY_GROUP:
                return _run_in({**self._used_groups, **self._recorded}, resource)
            case ResourceKind.KEY_PAIR:
                return self.all_key_pairs.get(resource.name, "")
            case _:
                return ""

    def run_of_ami(self, ami: Ami) -> str:
        return (
            self.amis.get(ami.id)
            or self.ami_names.get(ami.name)
            or self.source_instances.get(ami.source_instance or "", "")
        )

    @cached_property
    def _recorded(self) -> Mapping[str, str]:
        return {**self.key_pairs, **self.runs.recorded(GROUP_TAG, INSTANCE_TAG)}

    @cached_property
    def _used_groups(self) -> Mapping[str, str]:
        return {group: self._run_that_created(instance) for instance in self.instances for group in instance.groups}

    def _run_that_created(self, instance: Resource) -> str:
        """Returns the run; empty if a user may have copied its tags."""
        return self.run_of(instance) or instance.tags.get(RUN_TAG, "") if is_started_by_packer(instance) else ""


def _run_in(runs: Mapping[str, str], resource: Resource) -> str:
    return next((runs[name] for name in (resource.id, resource.name, *resource.uses) if runs.get(name)), "")
