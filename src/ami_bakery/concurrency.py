"""Asks the outside several things side by side: the time of the slowest, not the sum."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

_AT_ONCE = 8
"""A boto3 client keeps ten connections, and EC2 throttles who asks too much at once."""

Answer = TypeVar("Answer")


def run_all(questions: Sequence[Callable[[], Answer]], *, at_once: int = _AT_ONCE) -> list[Answer]:
    """The answers, in the order of the questions. `at_once`: how many are asked at the same time, at most.

    After a failure nothing more is begun, and the first in that order is raised. An interruption is raised at once:
    what is still being asked changes nothing, and ends with the program.
    """
    if len(questions) < 2 or at_once < 2:
        return [question() for question in questions]
    answers: dict[int, Answer] = {}
    failures: dict[int, BaseException] = {}
    waiting = iter(enumerate(questions))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number, question = next(waiting, (0, None)) if not failures else (0, None)
            if question is None:
                return
            try:
                answers[number] = question()
            except BaseException as failure:
                failures[number] = failure

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(at_once, len(questions)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[min(failures)]
    return [answers[number] for number in range(len(questions))]


@contextmanager
def in_background(question: Callable[[], object]) -> Iterator[Callable[[], bool]]:
    """Ask while what is in the `with` block is done; then wait, and raise what asking has raised.

    Gives what tells whether the answer is still to come. Where the block fails, or is interrupted, nobody waits: what
    is still being asked changes nothing, and ends with the program.
    """
    failures: list[BaseException] = []

    def work() -> None:
        try:
            question()
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield thread.is_alive
    thread.join()
    if failures:
        raise failures[0]
