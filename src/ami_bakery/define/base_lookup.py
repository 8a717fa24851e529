"""What images start from, asked of EC2 and SSM: each filter and each parameter once in a run, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from ami_bakery.concurrency import run_all
from ami_bakery.core.config.model import BaseFilter, BaseParameter, ImageConfig
from ami_bakery.core.ec2.image import Ami, newest_in_second
from ami_bakery.core.packer.csv_filter import listed
from ami_bakery.core.text.masking import Masker
from ami_bakery.errors import AwsError, BakeryError
from ami_bakery.values import Frozen, field

if TYPE_CHECKING:
    from ami_bakery.ports import Packer, Ports
    from ami_bakery.template.facts import SourceAmiFilter, TemplateFacts


class NewestAmi(Frozen):
    """Which available AMI of these owners, of those that match, is the newest? `written`: see `SourceAmiFilter`."""

    region: str
    owners: tuple[str, ...]
    filters: tuple[tuple[str, tuple[str, ...]], ...]
    deprecated: bool = False
    written: str = field(default="", compare=False)

    def __str__(self) -> str:
        asked = self.written or ", ".join(f"{name} = {' or '.join(values)}" for name, values in self.filters)
        if self.written:
            return f"no available AMI of {' or '.join(self.owners)} matches {asked}"
        return f"no available AMI of {' or '.join(self.owners)} has {asked}"


class ParameterValue(Frozen):
    """Which AMI id does this parameter hold?"""

    region: str
    name: str


BaseQuery: TypeAlias = NewestAmi | ParameterValue
BaseResult: TypeAlias = tuple[Ami, ...] | str | BakeryError
"""The newest AMIs, several if they are of the same second, none if no AMI matches; an id; or what the other side
refused with."""


def base_queries(
    image: ImageConfig, facts: TemplateFacts, region: Callable[[], str], packer: Packer
) -> Iterator[BaseQuery]:
    """What is to be asked to know what an image starts from. `region`: where it is baked, wanted only then."""
    match image.base:
        case BaseFilter(owners=owners, filters=filters):
            yield NewestAmi(region=region(), owners=owners, filters=filters)
        case BaseParameter(parameter=name):
            yield ParameterValue(region=region(), name=name)
        case None:
            for builder in facts.builders:
                if not builder.source_ami and builder.source_ami_filter is not None:
                    yield question_of_filter(builder.source_ami_filter, region(), packer)
        case _:
            pass


def question_of_filter(asked: SourceAmiFilter, region: str, packer: Packer) -> NewestAmi:
    """As this Packer reads the filter; of what it finds, available ones alone are meant."""
    filters = asked.filters
    lists = tuple((name, tuple(part for value in values for part in listed(value))) for name, values in filters)
    if lists != filters and packer.lists_in_filters():
        filters = lists
    return NewestAmi(
        region=asked.region or region,
        owners=asked.owners,
        filters=filters,
        deprecated=asked.deprecated,
        written=asked.written,
    )


def ask(ports: Ports, questions: Iterable[BaseQuery]) -> Mapping[BaseQuery, BaseResult]:
    """The answer to each. A refusal is an answer, too: it stops only the images that are made from that base."""
    distinct = dict.fromkeys(questions)
    filters = [question for question in distinct if isinstance(question, NewestAmi)]
    names: dict[str, list[str]] = {}
    for question in distinct:
        if isinstance(question, ParameterValue):
            names.setdefault(question.region, []).append(question.name)
    tasks = [partial(_ask_ec2, ports, question) for question in filters]
    tasks += [partial(_ask_ssm, ports, region, asked) for region, asked in names.items()]
    return {question: answer for answers in run_all(tasks) for question, answer in answers.items()}


def matching_amis(ports: Ports, question: NewestAmi, *, in_any_state: bool = False) -> tuple[Ami, ...]:
    return ports.ec2.find_matching(
        question.region, question.owners, question.filters, deprecated=question.deprecated, in_any_state=in_any_state
    )


def _ask_ec2(ports: Ports, question: NewestAmi) -> dict[BaseQuery, BaseResult]:
    try:
        return {question: newest_in_second(matching_amis(ports, question))}
    except AwsError as error:
        return {question: _without_values(question, error) if question.written else error}
    except BakeryError as error:
        return {question: error}


def _without_values(question: NewestAmi, error: AwsError) -> AwsError:
    """EC2 repeats what it refuses."""
    masker = Masker(text for name, values in question.filters for text in (name, *values))
    return AwsError(masker.mask(error.doing), masker.mask(error.wrong), error.todo, code=error.code)


def _ask_ssm(ports: Ports, region: str, names: Iterable[str]) -> dict[BaseQuery, BaseResult]:
    answers = ports.parameters.values(region, tuple(names))
    return {ParameterValue(region=region, name=name): answer for name, answer in answers.items()}
