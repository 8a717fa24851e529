"""Creates the manifest of a template, from its settings and inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ami_bakery.core.definition.manifest import Manifest, hash_value
from ami_bakery.template.env_inputs import why_not_hashed

if TYPE_CHECKING:
    from ami_bakery.define.inputs import Inventory
    from ami_bakery.define.template_settings import TemplateSettings
    from ami_bakery.template.facts import TemplateFacts


def template_manifest(
    settings: TemplateSettings,
    facts: TemplateFacts,
    inventory: Inventory | None,
    base: tuple[tuple[str, str], ...],
    tools: tuple[tuple[str, ...], ...] | None = None,
) -> Manifest:
    """Creates the manifest, whose digest is the template's.

    inventory  None if the inputs are passed to `Manifest.digest`
    base       (builder, AMI id); empty if the source AMI is not part of the digest
    tools      Packer's version and plugins, if known; None: query Packer
    """
    image = settings.image
    without = frozenset(image.digest_exclude)
    selected = "selection" not in without
    return Manifest(
        image=image.name,
        salt=image.salt,
        template=settings.template,
        workdir=settings.workdir,
        entries=inventory.entries if inventory else (),
        variables=tuple((name, hash_value(value)) for name, value in image.variables),
        var_files=settings.var_files,
        environment=() if "environment" in without else _environment(settings, facts),
        only=image.only if selected else (),
        except_=image.except_ if selected else (),
        arguments=settings.arguments.other,
        base=base,
        tools=tuple(_tools(settings, facts, without)) if tools is None else tools,
        left_out=tuple(sorted(without)),
    )


def _environment(settings: TemplateSettings, facts: TemplateFacts) -> tuple[tuple[str, str | None], ...]:
    """Returns the hashes of environment variables in the manifest; None if unset."""
    read = {name for name, _ in facts.environment if why_not_hashed(name, facts) is None}
    values = settings.ports.environment
    names = sorted({*settings.image.environment, *read})
    return tuple((name, hash_value(values[name]) if name in values else None) for name in names)


def _tools(settings: TemplateSettings, facts: TemplateFacts, without: frozenset[str]) -> Iterator[tuple[str, ...]]:
    if "packer-version" not in without:
        yield "packer", settings.ports.packer.version()
    if "plugin-versions" not in without:
        yield from settings.plugins(facts)
