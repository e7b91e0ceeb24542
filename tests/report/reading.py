"""Reads pages as a browser, an XML parser and a Markdown parser do; the tests compare what they see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from xml.etree import ElementTree

from markdown_it import MarkdownIt
from markdown_it.token import Token


@dataclass
class Seen:
    """What a browser makes of a page."""

    tags: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    """Comments, declarations and processing instructions."""

    @property
    def words(self) -> str:
        """All text."""
        return "".join(self.text)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen = Seen()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.tags.append(tag)
        self.seen.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.seen.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.seen.odd.append(data)

    def handle_pi(self, data: str) -> None:
        self.seen.odd.append(data)


def browser(page: str) -> Seen:
    """As HTML."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.seen


def xml(page: str) -> ElementTree.Element:
    """As XML; raises where it is not well-formed."""
    return ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>"))


def markdown(text: str) -> list[Token]:
    """As CommonMark with tables and strokes; inline tokens are flattened into the list."""
    return [
        one for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text) for one in (token, *(token.children or ()))
    ]


def said_in(text: str) -> list[str]:
    """The text of each paragraph, heading and cell, as a reader sees it."""
    tokens = (t for t in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text) if t.type == "inline")
    return ["".join(child.content for child in token.children or ()) for token in tokens]


def rows(text: str) -> Iterator[int]:
    """Cells of each table row."""
    cells = 0
    for token in markdown(text):
        cells += token.type in ("td_open", "th_open")
        if token.type == "tr_close":
            yield cells
            cells = 0
