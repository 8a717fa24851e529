"""The documents: their code blocks, links and headings, so that tests can do what a reader would."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(
    r"^(?P<mark><!-- [a-z ]+ -->\n)?```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_CODE = re.compile(r"^```.*?^```$|``.+?``|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(
    r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(<?(?P<target>[^)\s>]+)>?[^)]*\)|<img [^>]*src=\"(?P<source>[^\"]+)\""
)
_HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *#*$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block. `mark` is what an HTML comment right above it says."""

    document: str
    line: int
    language: str
    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def documents() -> list[str]:
    """Every Markdown file of the repository, relative to it."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def all_blocks(*languages: str) -> list[Block]:
    """Those of all documents, in these languages."""
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
    """The texts of a document's blocks in one language, in order; with `mark`, of those below such a comment."""
    found = [
        block.text for block in blocks_of(path) if block.language == language and (mark is None or block.mark == mark)
    ]
    assert found, f"{path} has no block of {language}"
    return found


def links_of(document: str) -> list[str]:
    """The targets of its links and pictures."""
    text = _CODE.sub("", (ROOT / document).read_text())
    return [match["target"] or match["tag"] for match in _LINK.finditer(text)]


def code_of(document: str) -> list[str]:
    """What stands between single backticks in its text."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / document).read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)


def anchors_of(document: str) -> set[str]:
    """The names that GitHub gives to its headings."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / document).read_text(), flags=re.MULTILINE | re.DOTALL)
    names: dict[str, int] = {}
    found = set()
    for heading in _HEADING.finditer(text):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading["text"]).lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(f"{name}-{names[name]}" if name in names else name)
        names[name] = names.get(name, 0) + 1
    return found
