"""Runs calls to external systems concurrently."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

_AT_ONCE = 8
"""A boto3 client keeps ten connections, and EC2 throttles bursts of requests."""

Answer = TypeVar("Answer")


def run_all(questions: Sequence[Callable[[], Answer]], *, at_once: int = _AT_ONCE) -> list[Answer]:
    """Runs all calls, at most `at_once` concurrently.

    Returns their results in order. After a failure no further call starts, and the first failure in order is raised.
    An interruption is raised immediately: the running calls are read-only, and end with the program.
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
