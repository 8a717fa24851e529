"""Ports that ask AWS each question once."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any, cast

import pytest

from ami_bakery.core.ec2.usage import AmiReference, ReferenceKind
from ami_bakery.errors import DeniedError, Stopped
from ami_bakery.ports import Ports
from ami_bakery.report.remembered_calls import remembering_ports

INSTANCE = AmiReference(kind=ReferenceKind.INSTANCE, name="i-1")
DENIED = DeniedError("listing", "not allowed", "Allow it.")


class CountedAws:
    """All ports: notes each call. `failure`: raised by each call."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.warnings: list[str] = []
        self.failure = failure

    def find_by_id(self, region: str, ids: Sequence[str]) -> Any:
        return self._answer(("find_by_id", region, *ids), tuple(ids))

    def references(self, region: str, amis: Sequence[str]) -> Any:
        return self._answer(("references", region, *amis), dict.fromkeys(amis, (INSTANCE,)))

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def _answer(self, call: tuple[Any, ...], answer: Any) -> Any:
        self.calls.append(call)
        if self.failure is not None:
            raise self.failure
        return answer


def remembering(aws: CountedAws, unknown: list[str] | None = None) -> Any:
    ports = Ports(**dict.fromkeys(Ports.__annotations__, cast("Any", aws)))
    return remembering_ports(ports, [] if unknown is None else unknown)


def test_same_question_is_asked_once() -> None:
    aws = CountedAws()
    ports = remembering(aws)
    assert ports.ec2.find_by_id("us-east-1", ["ami-1"]) == ports.ec2.find_by_id("us-east-1", ("ami-1",)) == ("ami-1",)
    ports.ec2.find_by_id("eu-west-1", ["ami-1"])
    assert aws.calls == [("find_by_id", "us-east-1", "ami-1"), ("find_by_id", "eu-west-1", "ami-1")]


def test_references_of_an_ami_are_read_once_in_any_list() -> None:
    aws = CountedAws()
    usage = remembering(aws).usage
    usage.references("us-east-1", ["ami-1"])
    assert usage.references("us-east-1", ["ami-1", "ami-2"]) == {"ami-1": (INSTANCE,), "ami-2": (INSTANCE,)}
    usage.references("us-east-1", ["ami-2"])
    assert aws.calls == [("references", "us-east-1", "ami-1"), ("references", "us-east-1", "ami-2")]


@pytest.mark.parametrize("ask", ["ec2", "usage"])
def test_denied_question_is_not_asked_again(ask: str) -> None:
    aws = CountedAws(DENIED)
    ports = remembering(aws)
    call = ports.ec2.find_by_id if ask == "ec2" else ports.usage.references
    for _ in range(2):
        with pytest.raises(DeniedError):
            call("us-east-1", ["ami-1"])
    assert len(aws.calls) == 1


def test_each_caller_gets_a_new_error_without_the_stack_of_others() -> None:
    """Threads ask at the same time."""
    ports = remembering(CountedAws(DENIED))
    raised = []
    for _ in range(3):
        with pytest.raises(DeniedError, match="not allowed") as caught:
            ports.ec2.find_by_id("us-east-1", ["ami-1"])
        raised.append(caught.value)
    assert len({id(error) for error in raised}) == 3
    assert len({len(traceback.extract_tb(error.__traceback__)) for error in raised}) == 1


def test_interruption_is_no_answer() -> None:
    aws = CountedAws(Stopped("waiting", "interrupted", "Run again."))
    ports = remembering(aws)
    for _ in range(2):
        with pytest.raises(Stopped):
            ports.ec2.find_by_id("us-east-1", ["ami-1"])
    assert len(aws.calls) == 2


def test_each_warning_is_shown_and_collected_once() -> None:
    aws, unknown = CountedAws(), list[str]()
    ports = remembering(aws, unknown)
    for message in ("a", "b", "a"):
        ports.reporter.warn(message)
    assert aws.warnings == unknown == ["a", "b"]
