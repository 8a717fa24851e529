"""Hypothesis strategies for image dependency graphs."""

from __future__ import annotations

from hypothesis import strategies as st


@st.composite
def image_graphs(draw: st.DrawFn, most: int = 12) -> dict[str, str | None]:
    """Generates images by name with their parent, or None; in any order."""
    count = draw(st.integers(1, most))
    parents: dict[str, str | None] = {}
    for number in range(count):
        parent = draw(st.none() | st.integers(0, number - 1)) if number else None
        parents[f"i{number}"] = None if parent is None else f"i{parent}"
    names = draw(st.permutations(list(parents)))
    return {name: parents[name] for name in names}
