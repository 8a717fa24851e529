"""A Hypothesis strategy for invalid input: cuts, doubles, swaps and replaces bytes."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FUZZ = settings(
    max_examples=int(os.environ.get("AMI_BAKERY_FUZZ_EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

_PIECES = (
    b"",
    b"\x00",
    b"\xff",
    b"\n",
    b'"',
    b"'",
    b"[",
    b"]]",
    b"{",
    b"}",
    b"<",
    b">",
    b"&",
    b",",
    b"=",
    b"0",
    b"-1",
    b"ami-",
)
_LONG = (b"9" * 400, b"[" * 3000, b"a" * 2000)


@st.composite
def mutated(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    """Returns a sample with one to four changes."""
    text = draw(st.sampled_from(list(samples)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + draw(st.sampled_from([0, 1, 5, 40, 4000])))))
        part = text[start:end]
        new = draw(
            st.one_of(
                st.sampled_from(_PIECES),
                st.sampled_from(_LONG),
                st.binary(max_size=6),
                st.text(max_size=4).map(lambda part: part.encode("utf-8", "surrogatepass")),
                st.just(part * 2),
                st.just(part[::-1]),
            )
        )
        text = text[:start] + new + text[end:]
    return text
