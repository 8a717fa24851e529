"""Benchmark results, their thresholds, and the document that shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.comparison import Case, Contender, Entry, Kind, Run, WrongAnswer, run_case
from benchmarks.figures import ratio
from benchmarks.report import RESULTS, redraw
from benchmarks.results import CaseResult, Results, from_json, merged, to_json
from benchmarks.table_pages import BUILD_COLUMNS, IMAGE_COLUMNS, build_rows, image_rows
from benchmarks.thresholds import ratio_of, thresholds

from tests.report.documents import large_document


def entry(name: str, *seconds: float, kind: Kind = Kind.OURS, peak_kib: int = 1000) -> Entry:
    return Entry(name=name, kind=kind, runs=tuple(Run(seconds=s, cpu_seconds=s, peak_kib=peak_kib) for s in seconds))


def results(*entries: Entry, name: str = "unchanged, warm") -> Results:
    return Results(machine={"cores": "2"}, cases=(CaseResult(name=name, about="", entries=entries),))


def test_the_document_matches_the_results_in_json() -> None:
    assert redraw(check=True) == []


def test_results_survive_writing_and_reading() -> None:
    kept = from_json(RESULTS.read_text())
    assert from_json(to_json(kept)) == kept


def test_a_ratio_compares_medians_and_its_quartiles_compare_rounds() -> None:
    """A machine that is slow in one round is slow for both contenders."""
    figure = ratio([1, 1, 10], [2, 2, 20])
    assert (figure.value, figure.low, figure.high) == (0.5, 0.5, 0.5)
    assert ratio_of(entry("a", 1, 1, 1), entry("b", 4, 2)).value == pytest.approx(1 / 3)


def test_a_threshold_is_met_only_up_to_its_limit() -> None:
    original = entry("original", 2, 2, kind=Kind.BASELINE)
    (met,) = thresholds(results(entry("drop-in", 0.6, 0.6), original))
    (missed,) = thresholds(results(entry("drop-in", 0.7, 0.7), original))
    assert (met.is_met, missed.is_met) == (True, False)
    large = results(entry("drop-in", 1, peak_kib=90_000), name="memory, 100,000 files")
    assert [threshold.is_met for threshold in thresholds(large)] == [False]


def test_a_bake_is_compared_with_the_originals_and_with_packer() -> None:
    contenders = (entry("drop-in", 3), entry("original", 3), entry("packer build", 2))
    assert [
        (threshold.title, threshold.figure.value) for threshold in thresholds(results(*contenders, name="bake"))
    ] == [
        ("bake: drop-in / original", 1),
        ("bake: drop-in / packer build", 1.5),
    ]


def test_a_case_that_is_run_again_replaces_its_earlier_result() -> None:
    before, again = results(entry("drop-in", 1)), results(entry("drop-in", 2))
    other = results(entry("drop-in", 3), name="bake")
    assert merged(before, again).cases == again.cases
    assert [case.name for case in merged(before, other).cases] == ["unchanged, warm", "bake"]


def contender(name: str, script: str, **more: str) -> Contender:
    return Contender(name=name, kind=Kind.OURS, command=("/bin/sh", "-c", script), **more)  # type: ignore[arg-type]


def test_contenders_alternate_and_each_round_starts_with_another_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    both = tuple(contender(name, f"printf {name} >>{log}") for name in "ab")
    found = run_case(Case(name="case", about="", contenders=both, rounds=3))
    assert log.read_text() == "ab" + "ab" + "ba" + "ab"
    assert [len(entry.runs) for entry in found] == [3, 3]


def test_a_contender_that_fails_or_does_other_work_is_an_error() -> None:
    for wrong in (contender("a", "echo no", expects="yes"), contender("a", "exit 3")):
        with pytest.raises(WrongAnswer):
            run_case(Case(name="case", about="", contenders=(wrong,), rounds=1))


def test_a_missing_contender_is_reported_as_not_run() -> None:
    (found,) = run_case(Case(name="case", about="", contenders=(contender("a", "", missing="no a here"),), rounds=1))
    assert (found.runs, found.missing) == ((), "no a here")


def test_a_contender_that_reports_its_own_time_is_not_timed_as_a_whole() -> None:
    reporting = Contender(name="a", kind=Kind.OURS, command=("/bin/sh", "-c", "echo x; echo 2.5 300"), reports=True)
    (found,) = run_case(Case(name="case", about="", contenders=(reporting,), rounds=1))
    assert [(run.seconds, run.peak_kib) for run in found.runs] == [(2.5, 300)]


def test_pages_are_compared_with_those_of_libraries() -> None:
    contenders = (entry("report", 3), entry("DataTables", 2), entry("Tabulator", 1))
    found = thresholds(results(*contenders, name="page, first paint"))
    assert [(threshold.figure.value, threshold.is_met) for threshold in found] == [(1.5, True), (3, False)]


def test_pages_of_libraries_have_a_row_for_each_image_and_each_build() -> None:
    document = large_document(images=12, builds=3)
    assert len(image_rows(document)) == 12
    assert len(build_rows(document)) == 36
    assert {len(row) for row in image_rows(document)} == {len(IMAGE_COLUMNS)}
    assert {len(row) for row in build_rows(document)} == {len(BUILD_COLUMNS)}
