"""Looks up source AMIs in EC2 and SSM. Queries are concurrent, and each is sent once a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from ami_bakery.core.concurrency import run_all
from ami_bakery.core.config.model import BaseFilter, BaseParameter, ImageConfig
from ami_bakery.core.ec2.ami import Ami, newest_in_second
from ami_bakery.core.packer.csv_filter import listed
from ami_bakery.core.text.masking import Masker
from ami_bakery.core.text.sanitize import one_line
from ami_bakery.errors import AwsError, BakeryError
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from ami_bakery.ports import Packer, Ports
    from ami_bakery.template.facts import SourceAmiFilter, TemplateFacts


class AmiQuery(Frozen):
    """A query for the newest available AMI that matches the filters.

    written    see `SourceAmiFilter`
    by_packer  whether Packer runs the same query, so that its result cannot be changed
    """

    region: str
    owners: tuple[str, ...]
    filters: tuple[tuple[str, tuple[str, ...]], ...]
    deprecated: bool = False
    written: str = field(default="", compare=False)
    by_packer: bool = False

    def __str__(self) -> str:
        if self.written:
            return f"no available AMI of {' or '.join(self.owners)} matches {self.written}"
        filters = ", ".join(f"{name} = {' or '.join(values)}" for name, values in self.filters)
        return f"no available AMI of {' or '.join(self.owners)} has {filters}"


class ParameterQuery(Frozen):
    """A query for the AMI id in an SSM parameter."""

    region: str
    name: str


BaseQuery: TypeAlias = AmiQuery | ParameterQuery
BaseResult: TypeAlias = tuple[Ami, ...] | str | BakeryError
"""The newest AMIs (several if they were created in the same second, none if no AMI matches), an id, or an error."""


def base_queries(
    image: ImageConfig, facts: TemplateFacts, region: Callable[[], str], packer: Packer
) -> Iterator[BaseQuery]:
    """Yields the queries for an image's source AMI. `region` returns the build region; it is only called if needed."""
    match image.base:
        case BaseFilter(owners=owners, filters=filters):
            yield AmiQuery(region=region(), owners=owners, filters=filters)
        case BaseParameter(parameter=name):
            yield ParameterQuery(region=region(), name=name)
        case None:
            for builder in facts.builders:
                if not builder.source_ami and builder.source_ami_filter is not None:
                    yield query_of_filter(builder.source_ami_filter, region(), packer)
        case _:
            pass


def query_of_filter(ami_filter: SourceAmiFilter, region: str, packer: Packer) -> AmiQuery:
    """Returns the query for a template's filter. Interprets the filter as the installed Packer does."""
    filters = ami_filter.filters
    lists = tuple((name, tuple(part for value in values for part in listed(value))) for name, values in filters)
    if lists != filters and packer.lists_in_filters():
        filters = lists
    return AmiQuery(
        region=ami_filter.region or region,
        owners=ami_filter.owners,
        filters=filters,
        deprecated=ami_filter.deprecated,
        written=ami_filter.written,
        by_packer=True,
    )


def ask(ports: Ports, queries: Iterable[BaseQuery]) -> Mapping[BaseQuery, BaseResult]:
    """Returns the result of each query. An error is a result, because it affects only images with that source AMI."""
    distinct = dict.fromkeys(queries)
    filters = [query for query in distinct if isinstance(query, AmiQuery)]
    names: dict[str, list[str]] = {}
    for query in distinct:
        if isinstance(query, ParameterQuery):
            names.setdefault(query.region, []).append(query.name)
    tasks = [partial(_ask_ec2, ports, query) for query in filters]
    tasks += [partial(_ask_ssm, ports, region, parameters) for region, parameters in names.items()]
    return {query: answer for answers in run_all(tasks) for query, answer in answers.items()}


class BaseResults:
    """The results of the queries of one run: each query runs once."""

    def __init__(self) -> None:
        self._results: dict[BaseQuery, BaseResult] = {}

    def result(self, ports: Ports, query: BaseQuery) -> BaseResult:
        self.prefetch(ports, [query])
        return self._results[query]

    def prefetch(self, ports: Ports, queries: Iterable[BaseQuery]) -> None:
        """Runs queries in bulk, so that they do not run per image."""
        self._results.update(ask(ports, self.unanswered(queries)))

    def unanswered(self, queries: Iterable[BaseQuery]) -> list[BaseQuery]:
        return [query for query in queries if query not in self._results]

    def amis(self, region: str) -> dict[str, Ami]:
        """Returns the AMIs of a region that were found, by id."""
        found = (result for result in self._results.values() if isinstance(result, tuple))
        return {ami.id: ami for amis in found for ami in amis if ami.region == region}


def matching_amis(ports: Ports, query: AmiQuery, *, in_any_state: bool = False) -> tuple[Ami, ...]:
    return ports.ec2.find_matching(
        query.region, query.owners, query.filters, deprecated=query.deprecated, in_any_state=in_any_state
    )


def _ask_ec2(ports: Ports, query: AmiQuery) -> dict[BaseQuery, BaseResult]:
    try:
        return {query: _newest_usable(query, matching_amis(ports, query))}
    except AwsError as error:
        return {query: _without_values(query, error) if query.written else error}
    except BakeryError as error:
        return {query: error}


def _newest_usable(query: AmiQuery, amis: tuple[Ami, ...]) -> BaseResult:
    """Returns the newest AMIs that are not revoked. Raises if Packer would use a revoked one."""
    newest = newest_in_second(amis)
    revoked = next((ami for ami in newest if ami.revoked), None)
    if revoked is not None and query.by_packer:
        return AwsError(
            f"looking up the source AMI in {query.region}",
            f"{revoked.id}, the newest AMI that matches the filter, is revoked: {one_line(revoked.revoked)}",
            "Packer would use it. Change the filter, or use `from` in bakery.toml, which ignores revoked AMIs.",
        )
    return newest_in_second(ami for ami in amis if not ami.revoked)


def _without_values(query: AmiQuery, error: AwsError) -> AwsError:
    """Masks the filter's values, which EC2 repeats in its error."""
    masker = Masker(text for name, values in query.filters for text in (name, *values))
    return error.revised(doing=masker.mask(error.doing), wrong=masker.mask(error.wrong))


def _ask_ssm(ports: Ports, region: str, names: Iterable[str]) -> dict[BaseQuery, BaseResult]:
    answers = ports.parameters.values(region, tuple(names))
    return {ParameterQuery(region=region, name=name): answer for name, answer in answers.items()}
