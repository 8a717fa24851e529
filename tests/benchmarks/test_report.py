"""What the benchmark says of what it has measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.comparison import Case, Contender, Entry, Kind, Run, WrongAnswer, hold
from benchmarks.figures import ratio, surplus
from benchmarks.report import RESULTS, redraw
from benchmarks.results import Measured, Results, from_json, merged, to_json
from benchmarks.thresholds import bars, ratio_of


def entry(name: str, *seconds: float, kind: Kind = Kind.OURS, peak_kib: int = 1000) -> Entry:
    return Entry(name=name, kind=kind, runs=tuple(Run(seconds=s, cpu_seconds=s, peak_kib=peak_kib) for s in seconds))


def results(*entries: Entry, name: str = "unchanged, warm") -> Results:
    return Results(machine={"cores": "2"}, cases=(Measured(name=name, about="", entries=entries),))


def test_the_document_shows_the_results_that_are_kept_beside_it() -> None:
    assert redraw(check=True) == []


def test_results_are_read_as_they_were_written() -> None:
    kept = from_json(RESULTS.read_text())
    assert from_json(to_json(kept)) == kept


def test_a_ratio_is_of_medians_and_its_spread_of_rounds() -> None:
    """A machine that is slow for a round is slow for both."""
    figure = ratio([1, 1, 10], [2, 2, 20])
    assert (figure.value, figure.low, figure.high) == (0.5, 0.5, 0.5)
    assert surplus([3, 4, 5], [1, 1, 1]).value == 3
    assert ratio_of(entry("a", 1, 1, 1), entry("b", 4, 2)).value == pytest.approx(1 / 3)


def test_a_bar_is_missed_where_it_is() -> None:
    original = entry("original", 2, 2, kind=Kind.RIVAL)
    (held,) = bars(results(entry("drop-in", 1, 1), original))
    (missed,) = bars(results(entry("drop-in", 1.1, 1.1), original))
    assert (held.holds, missed.holds) == (True, False)
    large = results(entry("drop-in", 1, peak_kib=90_000), name="memory, 100,000 files")
    assert [bar.holds for bar in bars(large)] == [False]


def test_a_part_that_is_run_again_takes_the_place_of_what_was_there() -> None:
    before, again = results(entry("drop-in", 1)), results(entry("drop-in", 2))
    other = results(entry("drop-in", 3), name="bake")
    assert merged(before, again).cases == again.cases
    assert [case.name for case in merged(before, other).cases] == ["unchanged, warm", "bake"]


def contender(name: str, script: str, **more: str) -> Contender:
    return Contender(name=name, kind=Kind.OURS, command=("/bin/sh", "-c", script), **more)  # type: ignore[arg-type]


def test_contenders_take_turns_and_each_begins_a_round(tmp_path: Path) -> None:
    log = tmp_path / "log"
    both = tuple(contender(name, f"printf {name} >>{log}") for name in "ab")
    found = hold(Case(name="case", about="", contenders=both, rounds=3))
    assert log.read_text() == "ab" + "ab" + "ba" + "ab"
    assert [len(entry.runs) for entry in found] == [3, 3]


def test_who_does_other_work_or_fails_is_not_timed() -> None:
    for wrong in (contender("a", "echo no", expects="yes"), contender("a", "exit 3")):
        with pytest.raises(WrongAnswer):
            hold(Case(name="case", about="", contenders=(wrong,), rounds=1))


def test_who_is_not_there_is_told_as_not_run() -> None:
    (found,) = hold(Case(name="case", about="", contenders=(contender("a", "", missing="no a here"),), rounds=1))
    assert (found.runs, found.missing) == ((), "no a here")
