"""What the documents' own programs and tests know of Markdown: headings with GitHub's anchors, links, fenced blocks, marked parts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

FENCE = re.compile(r"^( *)(`{3,})([^\n`]*)\n(.*?)^\1\2[ ]*$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of code."""

    language: str
    text: str
    line: int
    """Of its first line, from 1."""


def blocks(text: str) -> Iterator[Block]:
    """Every fenced block, its indentation taken away."""
    for found in FENCE.finditer(text):
        indent, _, language, body = found.groups()
        lines = (line.removeprefix(indent) for line in body.splitlines(keepends=True))
        yield Block(language.strip(), "".join(lines), text.count("\n", 0, found.start()) + 2)


def prose(text: str) -> str:
    """The text without fenced blocks, comments and code spans: what may hold a link."""
    return re.sub(r"`[^`\n]*`", "`", COMMENT.sub("", FENCE.sub("", text)))


def links(text: str) -> Iterator[str]:
    """The target of every link and picture, also of pictures written as HTML."""
    shown = prose(text)
    yield from (found.group(1) for found in LINK.finditer(shown))
    yield from re.findall(r'(?:src|srcset|href)="([^"]+)"', shown)


def anchors(text: str) -> set[str]:
    """Of each heading, as GitHub makes them: a heading that comes again gets a number."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in HEADING.findall(FENCE.sub("", text)):
        name = anchor(heading)
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def anchor(heading: str) -> str:
    """Small letters, spaces as hyphens, of all signs only hyphen and underscore stay."""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


def cell(text: str) -> str:
    """Text for a table's cell: on one line, no bar ends it, and nothing outside of code is HTML."""
    spans = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(span if span.startswith("`") else span.replace("<", "&lt;") for span in spans).replace("|", "\\|")


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table of cells that are made already."""
    lines = ["| " + " | ".join(one) + " |" for one in (heads, ("---",) * len(heads), *rows)]
    return "\n".join(lines) + "\n"


def put(text: str, name: str, content: str) -> str:
    """The text with `content` between `<!-- name -->` and `<!-- /name -->`; raises ValueError where the marks are missing."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{begin} and {end} are missing")
    return f"{before}{begin}\n{content}\n{end}{after}"
