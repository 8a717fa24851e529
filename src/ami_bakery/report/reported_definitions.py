"""Describes the definition of an image, without values that may be secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from ami_bakery.core.config.model import BaseFilter, BaseId, BaseImage, BaseParameter
from ami_bakery.report.report_facts import ReportedDefinition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ami_bakery.core.config.model import BaseSource, ImageConfig
    from ami_bakery.core.definition.manifest import Manifest
    from ami_bakery.define.inputs import Inventory
    from ami_bakery.define.resolver import ImageDefinition, Resolver
    from ami_bakery.template.facts import TemplateFacts


def describe_definition(resolver: Resolver, image: ImageConfig, known: ImageDefinition | None) -> ReportedDefinition:
    """Returns what the digest covers. Raises `BakeryError` if the definition cannot be read.

    known  the definition, if its plan did not fail
    """
    if known is not None and known.facts is not None and known.inventory is not None:
        facts, inventory = known.facts, known.inventory
    else:
        facts, inventory = resolver.inputs(image)
    manifest = known.manifest if known is not None else None
    if manifest is None:
        # The source AMI is unknown, and the rest is not.
        manifest = resolver.manifest(image, facts, inventory, base=())
    base = known.base if known is not None else ()
    return _described(resolver, image, facts, inventory, manifest, tuple(dict.fromkeys(ami for _, ami in base)))


def _described(
    resolver: Resolver,
    image: ImageConfig,
    facts: TemplateFacts,
    inventory: Inventory,
    manifest: Manifest,
    source_amis: tuple[str, ...],
) -> ReportedDefinition:
    settings = resolver.settings(image)
    return ReportedDefinition(
        template=settings.template,
        workdir=settings.workdir,
        only=image.only,
        except_=image.except_,
        source=None if image.base is None else source_text(image.base),
        source_amis=source_amis,
        variables=tuple(_public_variables(resolver, image, facts)),
        var_files=settings.var_files,
        environment=tuple(name for name, _ in manifest.environment),
        tools=tuple((name, version) for name, version, *_ in manifest.tools),
        salt=image.salt,
        test=None if image.test is None else resolver.ports.tree.relative(image.test.template),
        inputs=inventory.entries,
    )


def source_text(base: BaseSource) -> str:
    """Renders the key `from` of bakery.toml."""
    match base:
        case BaseId():
            return base.ami
        case BaseImage():
            return base.image
        case BaseParameter():
            return f"ssm: {base.parameter}"
        case BaseFilter():
            filters = (f"{name}: {', '.join(values)}" for name, values in base.filters)
            return "; ".join((*filters, f"owners: {', '.join(base.owners)}"))
        case _:
            assert_never(base)


def _public_variables(resolver: Resolver, image: ImageConfig, facts: TemplateFacts) -> Iterator[tuple[str, str | None]]:
    """Yields the variables. Values are only those of bakery.toml, if the template declares the variable as public."""
    written = dict(resolver.config.image(image.name).variables)
    after_dashes = dict(resolver.arguments.variables)
    public = {variable.name for variable in facts.variables if not variable.sensitive}
    for name, _ in image.variables:
        is_shown = name in written and name not in after_dashes and name in public
        yield name, written[name] if is_shown else None
