"""Progress of long work is reported after a second, and then less and less often."""

from __future__ import annotations

import itertools
from typing import cast

from ami_bakery.define.progress import HashingProgress
from ami_bakery.ports import Clock, Reporter


class Recorder:
    """A settable clock, and a reporter that records."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.steps: list[tuple[float, str]] = []
        self.ended: list[str] = []

    def monotonic(self) -> float:
        return self.seconds

    def step(self, image: str, step: str) -> None:
        self.steps.append((self.seconds - 100, f"{image}: {step}"))

    def done(self, image: str) -> None:
        self.ended.append(image)


def recorded(seconds: int) -> Recorder:
    """Records the reports of `seconds` of work, with ten calls a second."""
    recorder = Recorder()
    progress = HashingProgress(cast(Reporter, recorder), cast(Clock, recorder), "app")
    for tenth in range(seconds * 10):
        recorder.seconds = 100 + tenth / 10
        progress(tenth * 1000, tenth * 10_000_000)
    progress.end()
    return recorder


def test_short_work_is_not_reported() -> None:
    recorder = recorded(1)
    assert recorder.steps == []
    assert recorder.ended == []


def test_long_work_is_reported_after_a_second_and_then_less_and_less_often() -> None:
    recorder = recorded(300)
    assert recorder.steps[0] == (1.0, "app: hashing: 10,000 files, 100 MB so far")
    assert recorder.steps[-1][1].endswith(" GB so far")
    moments = [moment for moment, _ in recorder.steps]
    pauses = [after - before for before, after in itertools.pairwise(moments)]
    assert len(moments) < 25
    assert max(pauses) <= 30.2
    assert recorder.ended == ["app"]


def test_one_file_is_singular() -> None:
    recorder = Recorder()
    progress = HashingProgress(cast(Reporter, recorder), cast(Clock, recorder), "app")
    recorder.seconds += 2
    progress(1, 1_500_000_000)
    assert recorder.steps == [(2.0, "app: hashing: 1 file, 1.5 GB so far")]
