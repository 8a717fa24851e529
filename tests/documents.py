"""Reads code blocks, links and headings of the documentation, for tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(
    r"^(?P<mark><!-- [a-z][\w ./-]* -->\n)?```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_CODE = re.compile(r"^```.*?^```$|``.+?``|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(
    r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(<?(?P<target>[^)\s>]+)>?[^)]*\)|<img [^>]*src=\"(?P<source>[^\"]+)\""
)
_HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *#*$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced code block. `mark` is the text of an HTML comment directly above it."""

    document: str
    line: int
    language: str
    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def documents() -> list[str]:
    """Returns all Markdown files, relative to the repository."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def all_blocks(*languages: str) -> list[Block]:
    """Returns the code blocks of all documents in these languages."""
    return [block for document in documents() for block in blocks_of(document) if block.language in languages]


def blocks_of(document: str) -> Iterator[Block]:
    text = (ROOT / document).read_text()
    for match in _BLOCK.finditer(text):
        yield Block(
            document=document,
            line=text.count("\n", 0, match.start()) + 1,
            language=match["language"],
            mark=(match["mark"] or "").removeprefix("<!-- ").removesuffix(" -->\n"),
            text=match["text"],
        )


def blocks(path: str, language: str, *, mark: str | None = None) -> list[str]:
    """Returns the code blocks of a document in one language, in order; with `mark`, only those with that mark."""
    found = [
        block.text for block in blocks_of(path) if block.language == language and (mark is None or block.mark == mark)
    ]
    assert found, f"{path} has no block of {language}"
    return found


def links_of(document: str) -> list[str]:
    """Returns the targets of links and images."""
    text = _CODE.sub("", (ROOT / document).read_text())
    return [match["target"] or match["source"] for match in _LINK.finditer(text)]


def code_of(document: str) -> list[str]:
    """Returns the code spans between single backticks."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / document).read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)


def anchors_of(document: str) -> set[str]:
    """Returns the anchors that GitHub generates for the headings."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / document).read_text(), flags=re.MULTILINE | re.DOTALL)
    names: dict[str, int] = {}
    found = set()
    for heading in _HEADING.finditer(text):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading["text"]).lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(f"{name}-{names[name]}" if name in names else name)
        names[name] = names.get(name, 0) + 1
    return found
