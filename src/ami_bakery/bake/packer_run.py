"""Runs Packer for a build or test, and cleans up after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ami_bakery.cleanup.post_build import PostBuildCleanup
from ami_bakery.cleanup.resource_tagger import ResourceTagger
from ami_bakery.core.packer.build_progress import CreatedKind, CreatedResource
from ami_bakery.errors import PackerError
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.core.packer.machine_output import Built
    from ami_bakery.ports import BuildRequest, Ports
    from ami_bakery.template.facts import TemplateFacts


class PackerRun(Frozen):
    """How to run Packer once.

    run           id of the run; created resources are tagged with it
    record        called with names and values of the resources that Packer creates, in the order of their creation
    facts         of the template
    home          the region of builders whose region is unknown
    keep_reason   why resources that still exist must be kept; empty if they may be removed
    needs_no_ami  whether AMIs that Packer creates are removed
    """

    ports: Ports
    run: str
    record: Callable[[Mapping[str, str]], None]
    facts: TemplateFacts
    home: str
    keep_reason: str = ""
    needs_no_ami: bool = False

    def carry_out(self, request: BuildRequest, created: list[CreatedResource]) -> Built:
        """Runs Packer and cleans up. Adds the resources to `created`, also on failure. Raises `PackerError`."""
        ports, image = self.ports, request.image
        try:
            with ResourceTagger(ports, image, self.run, self.region_of, self.record) as tagger:
                built = ports.packer.build(request, ports.reporter, tagger.created)
        except PackerError:
            ports.reporter.step(image, "checking for orphaned resources")
            self._cleanup(image, tagger.resources).clean_up_failed()
            raise
        finally:
            created += tagger.resources
        self._cleanup(image, tagger.resources).clean_up_succeeded()
        return built

    def region_of(self, builder: str) -> str:
        """Returns the region of a builder, by its name in Packer's output."""
        return self.facts.region_of(builder) or self.home

    def instances(self, created: Sequence[CreatedResource]) -> dict[str, list[str]]:
        """Returns the ids of the instances by region."""
        by_region: dict[str, list[str]] = {}
        for resource in created:
            if resource.kind is CreatedKind.INSTANCE:
                by_region.setdefault(self.region_of(resource.builder), []).append(resource.value)
        return by_region

    def _cleanup(self, image: str, created: Sequence[CreatedResource]) -> PostBuildCleanup:
        return PostBuildCleanup(
            ports=self.ports,
            image=image,
            run=self.run,
            created=created,
            region_of=self.region_of,
            regions=[region for builder in self.facts.builders for region in builder.ami_regions],
            keep_reason=self.keep_reason,
            interrupted=self.ports.packer.interrupted(),
            needs_no_ami=self.needs_no_ami,
        )
