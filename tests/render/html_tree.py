"""Parses HTML into a list of elements, with the standard library's parser."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

INLINE = frozenset({"a", "b", "code", "strong", "time"})
VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta", "rect", "path", "circle", "line", "use"})


@dataclass
class Element:
    """An element. `text` is all text inside, without markup."""

    tag: str
    attributes: dict[str, str | None]
    parent: Element | None
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def within(self, **attributes: str) -> bool:
        """Whether an ancestor has these attributes."""
        above = self.parent
        while above is not None:
            if attributes.items() <= above.attributes.items():
                return True
            above = above.parent
        return False


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._separate(tag)
        element = Element(tag, dict(attrs), self._open[-1] if self._open else None)
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attrs), self._open[-1] if self._open else None))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self._open, f"</{tag}> without a start"
        assert self._open[-1].tag == tag, f"</{tag}> ends <{self._open[-1].tag}>"
        self._open.pop()
        self._separate(tag)

    def _separate(self, tag: str) -> None:
        """Separates the text of an element from the text around it, unless it is part of a sentence."""
        if tag not in INLINE:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.texts.append(data)


def elements_of(page: str) -> list[Element]:
    """Returns all elements in order. Fails if an element is not closed where it must be."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader._open == []
    return reader.elements
