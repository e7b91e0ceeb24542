"""A page as Markdown: the same words without pictures. Nothing in it is HTML, a link or a table's bar unless we wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import singledispatch

from tfcanary.report.blocks import (
    NAME,
    SENTENCE,
    Badge,
    Block,
    Cell,
    Code,
    Column,
    Criteria,
    Facts,
    Fold,
    Histogram,
    History,
    Noted,
    Page,
    Paragraph,
    Part,
    Signatures,
    Table,
    Waits,
)
from tfcanary.report.evidence_blocks import evidence_table
from tfcanary.report.history import changes, findings_words, milestones
from tfcanary.report.numbers import clock, duration, plain, share
from tfcanary.report.plots.text import cut, isolated, visible

LIMIT = 390_000
"""Characters; the Kubeflow UI shows 400,000 and cuts the rest without a word."""
_ROWS = 500
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKS = re.compile(r"[\\`*_\[\]|~$]|(?<=http):(?=//)|(?<=https):(?=//)|(?<=ftp):(?=//)|(?<=www)\.|@")
_AT_THE_START = re.compile(r"^(\s*)(?:([#+=-])|(\d+)([.)])(?=\s|$))")
_PLAIN_CODE = re.compile(r"[\w./:=+, ?()\[\]…-]+", re.ASCII)


def as_markdown(page: Page) -> str:
    """The whole document; where it would be too long, it ends at a line and says so."""
    return _limited(_lines(page))


def _lines(page: Page) -> Iterator[str]:
    yield from (f"# {escape(page.answer.word)}", "", f"**{data(page.why)}**", "", data(page.about, NAME), "")
    if page.facts:
        facts: tuple[tuple[Cell, ...], ...] = tuple((name, value) for name, value in page.facts)
        yield from _table((Column("Fact"), Column("Value")), facts)
    for section in page.sections:
        yield from (f"## {data(section.heading, NAME)}", "")
        yield from _all(section.blocks)


def escape(text: str) -> str:
    """Text that shows as it is: no markup, no entity, no link, on one line."""
    plainly = "".join(_ENTITIES.get(c, c) for c in visible(text))
    return _AT_THE_START.sub(_guarded, _MARKS.sub(lambda found: f"\\{found.group()}", plainly))


def _guarded(found: re.Match[str]) -> str:
    space, mark, digits, dot = found.groups()
    return f"{space}\\{mark}" if mark else f"{space}{digits}\\{dot}"


def data(text: str, most: int = SENTENCE) -> str:
    """Text that may come from anywhere."""
    return isolated(escape(cut(text, most)))


def _limited(lines: Iterable[str]) -> str:
    """The lines up to the limit: what comes after them is not even made."""
    shown, size = list[str](), 0
    for line in lines:
        size += len(line) + 1
        if size > LIMIT:
            shown += ["", "The report is longer than can be shown here; the HTML page has the rest."]
            break
        shown.append(line)
    return "\n".join(shown).rstrip() + "\n"


def _all(blocks: Iterable[Block]) -> Iterator[str]:
    for block in blocks:
        yield from _block(block)


def _cell(cell: Cell) -> str:
    if isinstance(cell, Noted):
        return f"{_cell(cell.main)} ({data(cell.note)})"
    if isinstance(cell, Badge):
        return f"**{escape(cell.word)}**"
    return _code(cell.text) if isinstance(cell, Code) else data(cell)


def _code(text: str) -> str:
    """A code span where nothing in the text could end it; else plain text."""
    shown = cut(text, NAME)
    return f"`{shown}`" if _PLAIN_CODE.fullmatch(shown) else escape(shown)


@singledispatch
def _block(block: Block) -> Iterator[str]:
    raise TypeError(f"no rendering for {type(block).__name__}")


@_block.register
def _(block: Paragraph) -> Iterator[str]:
    yield from (data(block.text), "")


@_block.register
def _(block: Table) -> Iterator[str]:
    yield from _table(block.columns, block.rows)


def _table(columns: tuple[Column, ...], rows: Iterable[tuple[Cell, ...]]) -> list[str]:
    heads = " | ".join(escape(c.heading) for c in columns)
    bars = " | ".join("---:" if c.numeric else "---" for c in columns)
    return [f"| {heads} |", f"| {bars} |", *(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows), ""]


@_block.register
def _(block: Facts) -> Iterator[str]:
    yield from _table((Column("What"), Column("Which")), block.rows)


@_block.register
def _(block: Fold) -> Iterator[str]:
    yield from (f"**{data(block.summary, NAME)}**", "", *_all(block.blocks))


@_block.register
def _(block: Part) -> Iterator[str]:
    word = f": {escape(block.badge.word)}" if block.badge else ""
    yield from (f"### {data(block.heading, NAME)}{word}", "")
    yield from _all(block.blocks)


@_block.register
def _(block: Criteria) -> Iterator[str]:
    yield from _block(evidence_table(block.evidence))


@_block.register
def _(block: History) -> Iterator[str]:
    points = block.timeline.points
    if not points:
        weights: Iterable[tuple[Cell, ...]] = [(clock(at), f"{weight} %") for at, weight in changes(block)]
        yield from _table((Column("Time (UTC)"), Column("Canary weight", numeric=True)), weights)
        return
    columns = ("After", "Stage", "Canary weight", "Stable requests", "Canary requests")
    rows: Iterable[tuple[Cell, ...]] = [
        (
            duration(p.at - points[0].at),
            str(p.stage),
            f"{p.weight} %",
            plain(p.stable_requests),
            plain(p.canary_requests),
            findings_words(p),
        )
        for p in milestones(block.timeline)
    ]
    yield from _table((*(Column(c, numeric=True) for c in columns), Column("Findings")), rows)


@_block.register
def _(block: Histogram) -> Iterator[str]:
    columns = (Column("Where"), Column("Reference", numeric=True), Column("Current", numeric=True))
    yield from _table(columns, [(pair.label, share(pair.reference), share(pair.current)) for pair in block.pairs])


@_block.register
def _(block: Waits) -> Iterator[str]:
    yield from _table((Column("What"), Column("After")), [(wait.label, wait.words) for wait in block.waits])


@_block.register
def _(block: Signatures) -> Iterator[str]:
    headings = ("Name", "Direction", "Stable", "Candidate", "Change")
    rows = block.pairs.rows
    cells = ((Code(r.alias), r.direction, _side(r.stable), _side(r.candidate), r.change.value) for r in rows[:_ROWS])
    yield from _table(tuple(Column(h) for h in headings), cells)
    if len(rows) > _ROWS:
        yield from (f"{plain(len(rows) - _ROWS)} more rows are not shown.", "")


def _side(text: str | None) -> Cell:
    return "none" if text is None else Code(text)
