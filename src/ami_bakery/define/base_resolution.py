"""Determines the source AMIs of a template, from `from` or its builders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, assert_never

from ami_bakery.core.config.model import BaseFilter, BaseId, BaseImage, BaseParameter
from ami_bakery.define.base_lookup import BaseQuery, BaseResults, base_queries, query_of_filter
from ami_bakery.errors import AwsError, BakeryError, TemplateError
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.core.ec2.ami import Ami
    from ami_bakery.define.template_settings import TemplateSettings
    from ami_bakery.template.facts import Builder, SourceAmiFilter, TemplateFacts
    from ami_bakery.template.location import SourceLocation

PLACEHOLDER_AMI = "ami-00000000000000000"
"""A placeholder for the id of an AMI that is not built yet. Only for Packer and the template reader."""


class ResolvedBase(Frozen):
    """A template's source AMIs, or the parent image to build first.

    ids  (builder, AMI id), as in the manifest
    """

    ids: tuple[tuple[str, str], ...] = ()
    awaits: str | None = None


def queries_of(settings: TemplateSettings, facts: TemplateFacts) -> tuple[BaseQuery, ...]:
    """Returns the queries for the source AMIs."""
    return tuple(base_queries(settings.image, facts, lambda: settings.regions[0], settings.ports.packer))


def resolve_base(
    settings: TemplateSettings, facts: TemplateFacts, parents: Mapping[str, Ami | None], results: BaseResults
) -> ResolvedBase:
    """Returns the source AMIs. Raises `TemplateError` if a builder uses another one than `from`.

    parents  the AMI of each parent image; None if it must be built first
    results  the results of the queries of this run
    """
    base = _base(settings, facts, parents, results)
    if settings.image.base is not None:
        _check_base_is_used(settings, PLACEHOLDER_AMI if base.awaits is not None else base.ids[0][1])
    return base


def _base(
    settings: TemplateSettings, facts: TemplateFacts, parents: Mapping[str, Ami | None], results: BaseResults
) -> ResolvedBase:
    image = settings.image
    match image.base:
        case None:
            return ResolvedBase(ids=tuple(_template_bases(settings, facts, results)))
        case BaseId(ami=ami):
            return ResolvedBase(ids=(("", ami),))
        case BaseImage(image=name):
            parent = parents.get(name)
            return ResolvedBase(awaits=name) if parent is None else ResolvedBase(ids=(("", parent.id),))
        case BaseFilter() | BaseParameter():
            location = image.location(settings.config.file, "from")
            (query,) = queries_of(settings, facts)
            return ResolvedBase(ids=(("", _newest(settings, results, query, location)[-1]),))
        case _:
            assert_never(image.base)


def _newest(
    settings: TemplateSettings, results: BaseResults, query: BaseQuery, location: SourceLocation
) -> tuple[str, ...]:
    """Returns the newest AMIs, which were created in the same second.

    location  the line with the query
    """
    match results.result(settings.ports, query):
        case str(ami):
            return (ami,)
        case ():
            raise AwsError(
                f"looking up the source AMI in {query.region} ({location})",
                str(query),
                "Fix the filters, the owners or the region.",
                marks=(location.mark(f"no base image in {query.region}: {query}"),),
            )
        case AwsError() as error:
            raise error.revised(doing=f"{error.doing} ({location})", marks=(location.mark(str(error)),))
        case BakeryError() as error:
            raise error
        case tuple(amis):
            return tuple(ami.id for ami in amis)


def _check_base_is_used(settings: TemplateSettings, base: str) -> None:
    """Raises if a builder uses another source AMI than the hashed one."""
    image = settings.image
    for builder in settings.facts({image.from_variable: base}).builders:
        if builder.source_ami_filter is not None or builder.source_ami not in (None, base):
            other = builder.source_ami or "what a filter finds"
            awaited = image.base.image if isinstance(image.base, BaseImage) else base
            wrong = f"image {image.name} is made from {awaited} (`from`), and the builder uses {other}"
            raise TemplateError(
                f"looking at what {builder.name} starts from ({builder.location})",
                wrong,
                f"Write the variable {image.from_variable} as its source_ami.",
                marks=(builder.location.mark(wrong),),
            )


def _template_bases(settings: TemplateSettings, facts: TemplateFacts, results: BaseResults) -> list[tuple[str, str]]:
    """Returns the source AMIs in the template, by builder.

    Unknown ones are hashed as written.
    """
    bases = []
    for builder in facts.builders:
        if builder.source_ami:
            bases.append((builder.name, builder.source_ami))
        elif builder.source_ami_filter is not None:
            found = _filtered(settings, results, builder, builder.source_ami_filter)
            bases += [(builder.name, ami) for ami in found]
    return sorted(bases)


def _filtered(
    settings: TemplateSettings, results: BaseResults, builder: Builder, asked: SourceAmiFilter
) -> tuple[str, ...]:
    if not asked.owners:
        from ami_bakery.core.check.finding import without_owners

        raise TemplateError(
            f"looking for the base of {builder.name} ({builder.location})",
            "its filter has no owners: without owners, anyone's AMI can match",
            'Add owners, for example "owners": ["099720109477"].',
            marks=(builder.location.mark(without_owners(builder)),),
        )
    query = query_of_filter(asked, settings.regions[0], settings.ports.packer)
    return _newest(settings, results, query, builder.location)
