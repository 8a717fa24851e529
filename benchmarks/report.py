"""Renders results as terminal lines, as tables for docs/contributing/benchmarks.md, and as a plot."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

from benchmarks.comparison import Entry, Kind
from benchmarks.figures import Figure, middle
from benchmarks.results import CaseResult, Results, from_json
from benchmarks.thresholds import Threshold, ratio_of, thresholds

DOCUMENT = Path(__file__).parent.parent / "docs/contributing/benchmarks.md"
RESULTS = DOCUMENT.with_suffix(".json")
PLOT = DOCUMENT.with_suffix(".svg")
_COLORS = {Kind.OURS: "#0a7d4f", Kind.BASELINE: "#b4533c", Kind.LIMIT: "#8a8f98"}


def lines(case: CaseResult) -> Iterator[str]:
    """Yields the lines of one case for the terminal."""
    yield f"{case.name}: {case.about}"
    for entry in case.entries:
        if entry.missing:
            yield f"  {entry.name:32} not run: {entry.missing}"
            continue
        calls = f"  {sum(entry.counted.values())} calls" if entry.counted else ""
        yield f"  {entry.name:32} {_time(_seconds(entry)):>24}  {_peak(entry):>7}{calls}"
    for ours, other, figure in _ratios(case):
        yield f"  {f'{ours.name} / {other.name}':50} {_figure(figure)}"


def threshold_lines(results: Results) -> Iterator[str]:
    for threshold in thresholds(results):
        verdict = "ok     " if threshold.is_met else "NOT MET"
        yield f"  {verdict} {threshold.title}: {_measurement(threshold)}, at most {_limit(threshold)}"


def redraw(*, check: bool = False) -> list[str]:
    """Writes docs/contributing/benchmarks.json to the document and the plot. Returns the names of outdated files."""
    results = from_json(RESULTS.read_text())
    old = DOCUMENT.read_text()
    new = old
    for section, make in {"machine": _machine, "thresholds": _threshold_table, "results": _tables}.items():
        new = _filled(new, section, make(results))
    plot = svg(results)
    stale = []
    for path, text in ((DOCUMENT, new), (PLOT, plot)):
        if not path.is_file() or path.read_text() != text:
            stale.append(path.name)
            if not check:
                path.write_text(text)
    return stale


def _filled(text: str, section: str, content: str) -> str:
    pattern = re.compile(rf"(<!-- generated: {section} -->\n).*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda match: f"{match[1]}{content.rstrip()}\n{match[2]}", text)


def _machine(results: Results) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in results.machine.items())])


def _threshold_table(results: Results) -> str:
    rows = ["| | measured | threshold | |", "|---|---|---|---|"]
    for threshold in thresholds(results):
        rows.append(f"| {threshold.title} | {_measurement(threshold)} | {_limit(threshold)} | {_verdict(threshold)} |")
    return "\n".join(rows)


def _verdict(threshold: Threshold) -> str:
    if not threshold.is_met:
        return "**not met**"
    if threshold.goal is None:
        return "met"
    return "met, goal met" if threshold.figure.value <= threshold.goal else "goal not met"


def _limit(threshold: Threshold) -> str:
    goal = "" if threshold.goal is None else f"goal: {threshold.goal:g}"
    if math.isinf(threshold.limit):
        return goal
    return " ".join(part for part in (f"{threshold.limit:g}", f"({goal})" if goal else "", threshold.unit) if part)


def _tables(results: Results) -> str:
    parts = []
    for case in results.cases:
        parts += [f"### {case.name}", "", f"{case.about}.", "", "| | seconds | memory | |", "|---|---|---|---|"]
        for entry in case.entries:
            name = f"**{entry.name}**" if entry.kind is Kind.OURS else entry.name
            name = f"*{entry.name}*" if entry.kind is Kind.LIMIT else name
            if entry.missing:
                parts.append(f"| {name} | not run: {entry.missing} | | |")
            else:
                parts.append(f"| {name} | {_time(_seconds(entry))} | {_peak(entry)} | {_against(case, entry)} |")
        parts.append("")
    return "\n".join(parts)


def _against(case: CaseResult, entry: Entry) -> str:
    """Returns our ratios to this entry; for our own entries, their AWS API calls."""
    if entry.kind is Kind.OURS:
        return ", ".join(f"{count} {call}" for call, count in entry.counted.items())
    ratios = (f"{ours.name} / this: {_figure(figure)}" for ours, other, figure in _ratios(case) if other is entry)
    return "; ".join(ratios)


def _ratios(case: CaseResult) -> Iterator[tuple[Entry, Entry, Figure]]:
    present = [entry for entry in case.entries if entry.runs]
    for ours in (entry for entry in present if entry.kind is Kind.OURS):
        for other in (entry for entry in present if entry.kind is not Kind.OURS):
            yield ours, other, ratio_of(ours, other)


def _seconds(entry: Entry) -> list[float]:
    return [run.seconds for run in entry.runs]


def _time(seconds: list[float]) -> str:
    figure = middle(seconds)
    return f"{figure.value:.3f} ({figure.low:.3f}–{figure.high:.3f})"


def _figure(figure: Figure) -> str:
    return f"{figure.value:.2f} ({figure.low:.2f}–{figure.high:.2f})"


def _measurement(threshold: Threshold) -> str:
    if threshold.unit in ("MB", "calls"):
        return f"{threshold.figure.value:.0f} {threshold.unit}"
    return f"{_figure(threshold.figure)} {threshold.unit}".strip()


def _peak(entry: Entry) -> str:
    return f"{max(run.peak_kib for run in entry.runs) * 1024 / 1e6:.0f} MB"


_ROW, _HEAD, _LEFT, _WIDTH, _RIGHT = 18, 30, 250, 560, 90


def svg(results: Results) -> str:
    """Draws each median as a point, on a line between its quartiles; seconds on a logarithmic axis."""
    cases = [case for case in results.cases if not case.name.startswith("memory")]
    every = [run.seconds for case in cases for entry in case.entries for run in entry.runs]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))

    def across(seconds: float) -> float:
        return _LEFT + (math.log10(seconds) - low) / (high - low) * _WIDTH

    body, down = [], 40
    for case in cases:
        body.append(f'<text x="10" y="{down + 14}" class="case">{escape(case.name)}</text>')
        down += _HEAD - 8
        for entry in case.entries:
            body.append(_row(entry, down, across))
            down += _ROW
        down += 12
    ticks = "".join(_tick(10.0**power, across(10.0**power), down) for power in range(low, high + 1))
    width, height = _LEFT + _WIDTH + _RIGHT, down + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">\n'
        "<style>text{font:12px sans-serif;fill:#24292f}.case{font-weight:bold}.end{text-anchor:end}"
        ".middle{text-anchor:middle}.small{font-size:11px}</style>\n"
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n{ticks}\n' + "\n".join(body) + "\n</svg>\n"
    )


def _row(entry: Entry, down: int, across: object) -> str:
    assert callable(across)
    middle_of_row = down + _ROW / 2
    name = f'<text x="{_LEFT - 10}" y="{middle_of_row + 4:g}" class="end small">{escape(entry.name)}</text>'
    if not entry.runs:
        return f'{name}<text x="{_LEFT}" y="{middle_of_row + 4:g}" class="small">not run</text>'
    figure, color = middle(_seconds(entry)), _COLORS[entry.kind]
    line = (
        f'<line x1="{across(figure.low):.1f}" x2="{across(figure.high):.1f}" y1="{middle_of_row:g}" '
        f'y2="{middle_of_row:g}" stroke="{color}" stroke-width="3" opacity="0.5"/>'
    )
    point = f'<circle cx="{across(figure.value):.1f}" cy="{middle_of_row:g}" r="4.5" fill="{color}"/>'
    label = (
        f'<text x="{across(figure.high) + 8:.1f}" y="{middle_of_row + 4:g}" class="small">{figure.value:.3g} s</text>'
    )
    return name + line + point + label


def _tick(seconds: float, x: float, down: int) -> str:
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="30" y2="{down}" stroke="#d0d7de"/>'
        f'<text x="{x:.1f}" y="22" class="middle">{seconds:g} s</text>'
    )
