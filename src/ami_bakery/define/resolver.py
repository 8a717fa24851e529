"""Resolves all inputs of an image, and computes its manifest and digest."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ami_bakery.core.definition.digest import Digest, Scheme
from ami_bakery.core.definition.manifest import Manifest, format_components
from ami_bakery.core.packer.arguments import PackerArguments
from ami_bakery.define.base_lookup import BaseResults
from ami_bakery.define.base_resolution import resolve_base
from ami_bakery.define.drop_in import SUBNET_VARIABLE, UncoveredPaths, drop_in_checksum, warnings
from ami_bakery.define.input_collection import (
    checked_facts,
    collect_inventory,
    collect_stamps,
    hashing_progress,
    stream_entries,
)
from ami_bakery.define.inputs import Inventory
from ami_bakery.define.template_manifest import template_manifest
from ami_bakery.define.template_settings import TemplateSettings
from ami_bakery.values import Frozen, field, replace

if TYPE_CHECKING:
    from ami_bakery.core.audit.comparison import AuditReport
    from ami_bakery.core.audit.mode import AuditMode
    from ami_bakery.core.config.model import Config, ImageConfig
    from ami_bakery.core.definition.manifest import Entry
    from ami_bakery.core.definition.stamp import Stamps
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.core.packer.plugins import UsedPlugin
    from ami_bakery.define.test_definition import TestDefinition
    from ami_bakery.ports import Ports
    from ami_bakery.template.facts import TemplateFacts


class ImageDefinition(Frozen):
    """An image with all inputs resolved.

    digest    None if it is unknown because the parent image `awaits` must be built first
    manifest  None in drop-in mode, whose checksum only covers files
    base      (builder, AMI id), as in the manifest
    unseen    warnings about things that the digest does not cover
    test      None if the image has no test
    """

    image: ImageConfig
    digest: Digest | None = None
    awaits: str | None = None
    facts: TemplateFacts | None = None
    inventory: Inventory | None = None
    manifest: Manifest | None = None
    base: tuple[tuple[str, str], ...] = ()
    unseen: tuple[str, ...] = ()
    test: TestDefinition | None = None

    @property
    def regions_of_template(self) -> tuple[str, ...]:
        """The other regions where the template itself creates the AMI, if known."""
        builders = self.facts.builders if self.facts else ()
        return tuple(dict.fromkeys(region for builder in builders for region in builder.ami_regions))

    @property
    def components(self) -> str:
        return format_components(self.manifest.components()) if self.manifest else ""


class Resolver(Frozen):
    """Resolves the images of one configuration. Each source AMI is looked up once.

    regions  those of `--region`; empty: those of each image
    audit    overrides the key `audit` of every image
    is_past  whether the files come from a git revision, which other programs cannot read
    audits   receives the report of each audited build, by image
    bases    the source AMIs that were looked up
    """

    ports: Ports
    config: Config
    arguments: PackerArguments = field(default_factory=PackerArguments)
    regions: tuple[str, ...] = ()
    audit: AuditMode | None = None
    is_past: bool = False
    audits: dict[str, AuditReport] = field(default_factory=dict)
    bases: BaseResults = field(default_factory=BaseResults)

    def image(self, name: str) -> ImageConfig:
        """Returns the configured image, merged with `--region` and the arguments after `--`."""
        image = self.config.image(name)
        return replace(
            image,
            regions=self.regions or image.regions,
            variables=tuple(sorted({**dict(image.variables), **dict(self.arguments.variables)}.items())),
            only=self.arguments.only or image.only,
            except_=self.arguments.except_ or image.except_,
            audit=self.audit or image.audit,
        )

    def settings(self, image: ImageConfig) -> TemplateSettings:
        """Returns the settings of the image's template."""
        return TemplateSettings(
            ports=self.ports, config=self.config, image=image, arguments=self.arguments, is_past=self.is_past
        )

    def regions_of(self, image: ImageConfig) -> tuple[str, ...]:
        return self.settings(image).regions

    def region_of(self, image: ImageConfig) -> str:
        """Returns the build region."""
        return self.regions_of(image)[0]

    def kms_keys(self, image: ImageConfig) -> dict[str, str]:
        """Returns the KMS keys of copies, by region. In the build region, the template sets the key."""
        keys = {region: image.kms_keys.of(region) for region in self.regions_of(image)[1:]}
        return {region: key for region, key in keys.items() if key}

    def facts(self, image: ImageConfig, handed: Mapping[str, str] | None = None) -> TemplateFacts:
        return self.settings(image).facts(handed)

    def checked_facts(self, image: ImageConfig) -> TemplateFacts:
        return checked_facts(self.settings(image), dict(self.config.image(image.name).variables))

    def inputs(self, image: ImageConfig) -> tuple[TemplateFacts, Inventory]:
        """Returns the facts of the template and all inputs. Needs no AWS."""
        facts = self.checked_facts(image)
        return facts, self.inventory(image, facts)

    def inventory(self, image: ImageConfig, facts: TemplateFacts) -> Inventory:
        return collect_inventory(self.settings(image), facts)

    def entries(self, image: ImageConfig, facts: TemplateFacts) -> Generator[Entry]:
        return stream_entries(self.settings(image), facts)

    def stamps(self, image: ImageConfig, facts: TemplateFacts) -> Stamps:
        return collect_stamps(self.settings(image), facts)

    def plugins(self, image: ImageConfig, facts: TemplateFacts) -> tuple[UsedPlugin, ...]:
        return self.settings(image).plugins(facts)

    def manifest(
        self,
        image: ImageConfig,
        facts: TemplateFacts,
        inventory: Inventory | None,
        base: tuple[tuple[str, str], ...],
        tools: tuple[tuple[str, ...], ...] | None = None,
    ) -> Manifest:
        return template_manifest(self.settings(image), facts, inventory, base, tools)

    def define(
        self,
        image: ImageConfig,
        parents: Mapping[str, Ami | None],
        inputs: tuple[TemplateFacts, Inventory | Iterator[Entry]] | None = None,
    ) -> ImageDefinition:
        """Defines an image.

        parents  the AMI of each parent image; None if it must be built first
        inputs   the result of `inputs` or `entries`, if it is known already; entries are not kept in memory
        """
        if image.scheme is Scheme.SHA1:
            return self._define_drop_in(image)
        settings = self.settings(image)
        facts, found = inputs or self.inputs(image)
        inventory, entries = (found, None) if isinstance(found, Inventory) else (None, found)
        base = resolve_base(settings, facts, parents, self.bases)
        if base.awaits is not None:
            return ImageDefinition(image=image, awaits=base.awaits, facts=facts, inventory=inventory)
        manifest = template_manifest(settings, facts, inventory, base.ids)
        return ImageDefinition(
            image=image,
            digest=manifest.digest(entries),
            facts=facts,
            inventory=inventory,
            manifest=manifest if inventory else None,
            base=base.ids,
        )

    def _define_drop_in(self, image: ImageConfig) -> ImageDefinition:
        uncovered = UncoveredPaths()
        with hashing_progress(self.settings(image)) as progress:
            digest = drop_in_checksum(self.ports.tree, image, uncovered, progress)
        unseen_inputs = tuple(warnings(self.ports.tree, image, self.ports.environment, uncovered))
        return ImageDefinition(image=image, digest=digest, unseen=unseen_inputs)

    def without_cache(self) -> Resolver:
        """Returns a resolver that looks everything up again."""
        self.ports.packer.forget_plugins()
        return replace(self, bases=BaseResults())

    def warm_up_tools(self, names: Iterable[str]) -> None:
        """Starts to query Packer in the background.

        Does nothing unless the digests of these images cover its version or plugins.
        """
        images = [image for image in map(self.image, names) if image.scheme is Scheme.SHA256]
        plugins = any("plugin-versions" not in image.digest_exclude for image in images)
        if plugins or any("packer-version" not in image.digest_exclude for image in images):
            self.ports.packer.warm_up(plugins=plugins)

    def handed_variables(
        self, definition: ImageDefinition, facts: TemplateFacts, region: str
    ) -> tuple[tuple[str, str], ...]:
        """Returns the variables for `-var`: the image's, and those of ami-bakery that the template declares."""
        image, digest = definition.image, definition.digest
        ours = {"config_checksum": digest.hex if digest else "", "aws_region": region}
        if image.scheme is Scheme.SHA1 and (subnet := self.ports.environment.get(SUBNET_VARIABLE)):
            ours["aws_subnet_id"] = subnet
        handed = {name: value for name, value in ours.items() if facts.declares(name)}
        if image.base is not None and definition.base:
            handed[image.from_variable] = definition.base[0][1]
        after_dashes = {name for name, _ in self.arguments.variables}
        own = {name: value for name, value in image.variables if name not in after_dashes}
        return tuple(sorted({**handed, **own}.items()))
