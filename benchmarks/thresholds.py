"""The thresholds for ratios of one session, and whether the results meet them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.comparison import Entry
from benchmarks.figures import Figure, ratio
from benchmarks.results import CaseResult, Results

OURS = ("drop-in", "bakery.toml")
_UNCHANGED = {"drop-in": 0.30, "bakery.toml": 0.38}
_BAKE = {"original": 1.0, "packer build": 1.2}
_PAGE = 1.5


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A measured figure with its upper limit. `goal`: an optional lower limit; `unit`: shown after the figure."""

    title: str
    figure: Figure
    limit: float
    goal: float | None = None
    unit: str = ""

    @property
    def is_met(self) -> bool:
        return self.figure.value <= self.limit


def thresholds(results: Results) -> Iterator[Threshold]:
    """Yields the thresholds of the cases that were run."""
    yield from _unchanged(results)
    for start, limit, goal in (
        ("unchanged, cold", 0.5, 0.25),
        ("unchanged, 20,000", 0.5, None),
        ("unchanged, 2 GB", 0.6, None),
    ):
        yield from _against(results, start, "original", limit, goal)
    yield from _digest_alone(results, "20,000", 0.5)
    yield from _digest_alone(results, "2 GB", 0.6)
    # Stricter than a user's comparison: the original has no command that only computes the checksum.
    for start, limit in (("digest, 20,000", 0.5), ("digest, 2 GB", 0.6)):
        yield from _against(results, start, "original", limit, None, label="original's checksum function")
    for case in results.cases:
        if case.name.startswith("digest, 2 GB"):
            yield from _near_the_limit(case)
    yield from _of_plans(results)
    yield from _overhead(results)
    yield from _pages(results)
    for case in results.cases:
        if case.name.startswith(("memory", "digest, 20,000", "digest, 2 GB")):
            yield from _memory(case)


def _unchanged(results: Results) -> Iterator[Threshold]:
    case = results.case("unchanged, warm")
    for ours, original in _pairs(case, "original") if case else ():
        title = f"{ours.name}: an unchanged image / the original's run"
        yield Threshold(title=title, figure=ratio_of(ours, original), limit=_UNCHANGED[ours.name], goal=0.25)


def _against(
    results: Results, start: str, baseline: str, limit: float, goal: float | None, *, label: str = ""
) -> Iterator[Threshold]:
    """`label`: the baseline's name in the report."""
    case = results.case(start)
    if case is None:
        return
    for ours, other in _pairs(case, baseline):
        title = f"{case.name}: {ours.name} / {label or baseline}"
        yield Threshold(title=title, figure=ratio_of(ours, other), limit=limit, goal=goal)


def _digest_alone(results: Results, start: str, limit: float) -> Iterator[Threshold]:
    case = results.case(f"unchanged, {start}")
    whole = case and case.entry("original")
    for name in OURS:
        ours = case and case.entry(f"{name}, digest")
        if case and ours and whole:
            title = f"digest, {case.name.removeprefix('unchanged, ')}: {name} / a whole run of the original"
            yield Threshold(title=title, figure=ratio_of(ours, whole), limit=limit)


def _near_the_limit(case: CaseResult) -> Iterator[Threshold]:
    for ours, other in _pairs(case, "reading the bytes once"):
        yield Threshold(
            title=f"{case.name}: {ours.name} / {other.name}", figure=ratio_of(ours, other), limit=float("inf"), goal=1.2
        )


def _of_plans(results: Results) -> Iterator[Threshold]:
    for regions in ("1 region", "4 regions"):
        many, one = results.case(f"plan, 1,000 images, {regions}"), results.case(f"plan, 1 image, {regions}")
        ours, first = many and many.entry("plan"), one and one.entry("plan")
        if not ours or not first:
            continue
        calls: Counter[str] = Counter()
        for call, count in ours.counted.items():
            action, _, region = call.partition(" ")
            calls[region] += count if action == "DescribeImages" else 0
        most = float(max(calls.values()))
        yield Threshold(
            title=f"plan of 1,000 images, {regions}: DescribeImages calls in the region with the most, including the "
            "lookup of the source AMI",
            figure=Figure(value=most, low=most, high=most),
            limit=5,
            unit="calls",
        )
        yield Threshold(title=f"plan of 1,000 images / of one, {regions}", figure=ratio_of(ours, first), limit=10)


def _overhead(results: Results) -> Iterator[Threshold]:
    case = results.case("bake")
    for baseline, limit in _BAKE.items():
        for ours, other in _pairs(case, baseline) if case else ():
            yield Threshold(title=f"bake: {ours.name} / {baseline}", figure=ratio_of(ours, other), limit=limit)


def _pages(results: Results) -> Iterator[Threshold]:
    for start in ("page, first paint", "page, first filter"):
        case = results.case(start)
        ours = case and case.entry("report")
        for library in ("DataTables", "Tabulator"):
            other = case and case.entry(library)
            if ours and other:
                yield Threshold(title=f"{start}: report / {library}", figure=ratio_of(ours, other), limit=_PAGE)


def _memory(case: CaseResult) -> Iterator[Threshold]:
    for name in OURS:
        entry = case.entry(name)
        # `packer version`, which a digest with bakery.toml runs, needs more memory than ami-bakery.
        if entry is not None and (name == "drop-in" or case.name.startswith("memory")):
            peak = max(run.peak_kib for run in entry.runs) * 1024 / 1e6
            yield Threshold(
                title=f"{case.name}: memory of {name}",
                figure=Figure(value=peak, low=peak, high=peak),
                limit=80,
                unit="MB",
            )


def _pairs(case: CaseResult, baseline: str) -> Iterator[tuple[Entry, Entry]]:
    other = case.entry(baseline)
    for name in OURS:
        ours = case.entry(name)
        if ours is not None and other is not None:
            yield ours, other


def _seconds(entry: Entry) -> list[float]:
    return [run.seconds for run in entry.runs]


def ratio_of(ours: Entry, other: Entry) -> Figure:
    rounds = min(len(ours.runs), len(other.runs))
    return ratio(_seconds(ours)[:rounds], _seconds(other)[:rounds])
