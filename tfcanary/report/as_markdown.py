"""Renders a page as Markdown, with tables in place of pictures. Foreign text cannot create HTML, a link or a table cell."""

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
    CellWithNote,
    Code,
    CriteriaChart,
    DistributionChart,
    Facts,
    Fold,
    HistoryChart,
    Link,
    Paragraph,
    ReportPage,
    SignatureDiff,
    Subsection,
    Table,
    TableColumn,
    WaitsChart,
)
from tfcanary.report.evidence_blocks import evidence_table
from tfcanary.report.history import finding_counts, milestones, weight_changes
from tfcanary.report.numbers import clock, duration, plain, share
from tfcanary.report.plots.text import cut, isolate, visible

LIMIT = 390_000
"""The largest number of characters of a page; the Kubeflow UI shows 400,000 characters and drops the rest without a message."""
_ROWS = 500
"""The largest number of rows of a signature that are shown."""
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKS = re.compile(r"[\\`*_\[\]|~$]|(?<=http):(?=//)|(?<=https):(?=//)|(?<=ftp):(?=//)|(?<=www)\.|@")
_LINE_START = re.compile(r"^(\s*)(?:([#+=-])|(\d+)([.)])(?=\s|$))")
_PLAIN_CODE = re.compile(r"[\w./:=+, ?()\[\]…-]+", re.ASCII)


def as_markdown(page: ReportPage) -> str:
    """Return the whole Markdown document of a page; a page that is too long ends after a whole line with a sentence that says so."""
    return _first_lines(_lines(page))


def _lines(page: ReportPage) -> Iterator[str]:
    yield from (f"# {escape(page.answer.word)}", "", f"**{foreign_text(page.why)}**", "", foreign_text(page.about, NAME), "")
    if page.facts:
        facts: tuple[tuple[Cell, ...], ...] = tuple((name, value) for name, value in page.facts)
        yield from _table((TableColumn("Fact"), TableColumn("Value")), facts)
    for section in page.sections:
        yield from (f"## {foreign_text(section.heading, NAME)}", "")
        yield from _blocks(section.blocks)


def escape(text: str) -> str:
    """Return the text so that a reader sees it letter by letter, on one line: nothing in it is markup, an entity or a link."""
    without_entities = "".join(_ENTITIES.get(c, c) for c in visible(text))
    return _LINE_START.sub(_escape_line_start, _MARKS.sub(lambda match: f"\\{match.group()}", without_entities))


def _escape_line_start(match: re.Match[str]) -> str:
    space, mark, digits, dot = match.groups()
    return f"{space}\\{mark}" if mark else f"{space}{digits}\\{dot}"


def foreign_text(text: str, most: int = SENTENCE) -> str:
    """Return foreign text: at most `most` characters, escaped, with its reading direction kept away from its neighbours."""
    return isolate(escape(cut(text, most)))


def _first_lines(lines: Iterable[str]) -> str:
    """Return the lines up to `LIMIT` characters; the lines after them are not rendered at all."""
    first, size = list[str](), 0
    for line in lines:
        size += len(line) + 1
        if size > LIMIT:
            first += ["", "The report is longer than can be shown here; the HTML page has the rest."]
            break
        first.append(line)
    return "\n".join(first).rstrip() + "\n"


def _blocks(blocks: Iterable[Block]) -> Iterator[str]:
    for block in blocks:
        yield from _block(block)


def _cell(cell: Cell) -> str:
    if isinstance(cell, CellWithNote):
        return f"{_cell(cell.main)} ({foreign_text(cell.note)})"
    if isinstance(cell, Badge):
        return f"**{escape(cell.word)}**"
    if isinstance(cell, Link):
        return foreign_text(cell.text)
    return _code(cell.text) if isinstance(cell, Code) else foreign_text(cell)


def _code(text: str) -> str:
    """Return a code span where no character of the text could end it, else escaped text."""
    short = cut(text, NAME)
    return f"`{short}`" if _PLAIN_CODE.fullmatch(short) else escape(short)


@singledispatch
def _block(block: Block) -> Iterator[str]:
    raise TypeError(f"no rendering for {type(block).__name__}")


@_block.register
def _(block: Paragraph) -> Iterator[str]:
    yield from (foreign_text(block.text), "")


@_block.register
def _(block: Table) -> Iterator[str]:
    yield from _table(block.columns, block.rows)


def _table(columns: tuple[TableColumn, ...], rows: Iterable[tuple[Cell, ...]]) -> list[str]:
    headings = " | ".join(escape(c.heading) for c in columns)
    bars = " | ".join("---:" if c.numeric else "---" for c in columns)
    return [f"| {headings} |", f"| {bars} |", *(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows), ""]


@_block.register
def _(block: Facts) -> Iterator[str]:
    yield from _table((TableColumn("Name"), TableColumn("Value")), block.rows)


@_block.register
def _(block: Fold) -> Iterator[str]:
    yield from (f"**{foreign_text(block.summary, NAME)}**", "", *_blocks(block.blocks))


@_block.register
def _(block: Subsection) -> Iterator[str]:
    word = f": {escape(block.badge.word)}" if block.badge else ""
    yield from (f"### {foreign_text(block.heading, NAME)}{word}", "")
    yield from _blocks(block.blocks)


@_block.register
def _(block: CriteriaChart) -> Iterator[str]:
    yield from _block(evidence_table(block.evidence))


@_block.register
def _(block: HistoryChart) -> Iterator[str]:
    points = block.timeline.points
    if not points:
        weights: Iterable[tuple[Cell, ...]] = [(clock(at), f"{weight} %") for at, weight in weight_changes(block.timeline, block.events)]
        yield from _table((TableColumn("Time (UTC)"), TableColumn("Canary weight", numeric=True)), weights)
        return
    columns = ("After", "Stage", "Canary weight", "Stable requests", "Canary requests")
    rows: Iterable[tuple[Cell, ...]] = [
        (
            duration(p.at - points[0].at),
            str(p.stage),
            f"{p.weight} %",
            plain(p.stable_requests),
            plain(p.canary_requests),
            finding_counts(p),
        )
        for p in milestones(block.timeline)
    ]
    yield from _table((*(TableColumn(c, numeric=True) for c in columns), TableColumn("Findings")), rows)


@_block.register
def _(block: DistributionChart) -> Iterator[str]:
    columns = (TableColumn("Value"), TableColumn("Reference", numeric=True), TableColumn("Current", numeric=True))
    yield from _table(columns, [(pair.label, share(pair.reference), share(pair.current)) for pair in block.pairs])


@_block.register
def _(block: WaitsChart) -> Iterator[str]:
    yield from _table((TableColumn("Outcome"), TableColumn("Time")), [(wait.label, wait.words) for wait in block.waits])


@_block.register
def _(block: SignatureDiff) -> Iterator[str]:
    headings = ("Name", "Direction", "Stable", "Candidate", "Change")
    rows = block.pairs.rows
    cells = ((Code(r.alias), r.direction, _signature_side(r.stable), _signature_side(r.candidate), r.change.value) for r in rows[:_ROWS])
    yield from _table(tuple(TableColumn(h) for h in headings), cells)
    if len(rows) > _ROWS:
        yield from (f"{plain(len(rows) - _ROWS)} more rows are not shown.", "")


def _signature_side(text: str | None) -> Cell:
    return "none" if text is None else Code(text)
