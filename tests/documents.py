"""The code blocks of the documents, so that tests can run what a reader would."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(
    r"^(?P<mark><!-- [a-z ]+ -->\n)?```(?P<language>[a-z]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


def blocks(path: str, language: str, *, mark: str | None = None) -> list[str]:
    """The texts of a document's blocks in one language, in order; with `mark`, of those below such a comment."""
    found = [
        match["text"]
        for match in _BLOCK.finditer((ROOT / path).read_text())
        if match["language"] == language and (mark is None or match["mark"] == f"<!-- {mark} -->\n")
    ]
    assert found, f"{path} has no block of {language}"
    return found
