"""Remembers the answers of AWS, so that a report asks each question once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from copy import copy
from typing import TYPE_CHECKING, Any, cast

from ami_bakery.errors import BakeryError, Stopped
from ami_bakery.values import replace

if TYPE_CHECKING:
    from ami_bakery.core.ec2.usage import AmiReference
    from ami_bakery.ports import AmiUsage, Ec2, ParameterStore, Ports, Reporter


def remembering_ports(ports: Ports, unknown: list[str]) -> Ports:
    """Returns ports that ask EC2, SSM and Auto Scaling each question once.

    They also remember errors. They are for reading only: an answer does not change after a write.

    unknown  receives each warning once: it says what could not be read
    """
    return replace(
        ports,
        ec2=cast("Ec2", _Remembered(ports.ec2)),
        parameters=cast("ParameterStore", _Remembered(ports.parameters)),
        usage=cast("AmiUsage", _RememberedUsage(ports.usage)),
        reporter=cast("Reporter", _WarningsOnce(ports.reporter, unknown)),
    )


class _Remembered:
    """A port whose methods are called once for each combination of arguments."""

    def __init__(self, port: object) -> None:
        self._port = port
        self._answers: dict[Hashable, object] = {}
        self._waiting: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: object, **named: object) -> Any:
            return self._once((name, _frozen(arguments), _frozen(named)), lambda: self._ask(name, *arguments, **named))

        return call

    def _ask(self, name: str, *arguments: object, **named: object) -> Any:
        return getattr(self._port, name)(*arguments, **named)

    def _once(self, key: Hashable, ask: Callable[[], object]) -> Any:
        """Returns the remembered answer, or asks. Raises the remembered error."""
        with self._lock:
            waiting = self._waiting.setdefault(key, threading.Lock())
        with waiting:
            if key not in self._answers:
                self._answers[key] = _answer(ask)
        answer = self._answers[key]
        if isinstance(answer, BakeryError):
            # Raising one instance in several threads would mix their stacks.
            raise copy(answer) from answer.__cause__
        return answer


class _RememberedUsage(_Remembered):
    """Asks for the references of each AMI once, in whatever group of AMIs."""

    def references(self, region: str, amis: Sequence[str]) -> Mapping[str, tuple[AmiReference, ...]]:
        known: dict[str, tuple[AmiReference, ...]] = self._once(("known references", region), dict)
        unknown = [ami for ami in dict.fromkeys(amis) if ami not in known]
        if unknown:
            failed = ("failed references", region)
            if failed not in self._answers:
                answer = _answer(lambda: self._ask("references", region, unknown))
                if isinstance(answer, BakeryError):
                    self._answers[failed] = answer
                else:
                    known.update(cast("Mapping[str, tuple[AmiReference, ...]]", answer))
            if failed in self._answers:
                self._once(failed, dict)
        return {ami: known.get(ami, ()) for ami in amis}


class _WarningsOnce:
    """A reporter that shows each warning once, and collects them."""

    def __init__(self, reporter: Reporter, collected: list[str]) -> None:
        self._reporter, self._collected = reporter, collected

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reporter, name)

    def warn(self, message: str) -> None:
        if message not in self._collected:
            self._collected.append(message)
            self._reporter.warn(message)


def _answer(ask: Callable[[], object]) -> object:
    """Returns the answer, or the error. An interruption is no answer."""
    try:
        return ask()
    except Stopped:
        raise
    except BakeryError as error:
        return error


def _frozen(value: object) -> Hashable:
    """Returns a hashable value that is equal for equal arguments."""
    if isinstance(value, Mapping):
        return tuple(sorted((key, _frozen(each)) for key, each in value.items()))
    if isinstance(value, Set):
        return frozenset(value)
    if isinstance(value, (list, tuple)):
        return tuple(map(_frozen, value))
    return value
