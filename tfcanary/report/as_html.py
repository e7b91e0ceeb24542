"""Renders a page as self-contained HTML: without scripts and without anything to load, as the Kubeflow UI's sandboxed frame demands. It is also valid XML."""

from __future__ import annotations

from dataclasses import dataclass
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
from tfcanary.report.charts import criteria_chart, distribution_chart, history_chart, waits_chart
from tfcanary.report.plots.glyph import Tone, glyph
from tfcanary.report.plots.markup import Child, Markup, code, element, join
from tfcanary.report.plots.text import cut
from tfcanary.report.signature_table import SignatureChange, SignatureRow
from tfcanary.report.style import LIVE, SHEET

NOTHING_MAY_LOAD = "default-src 'none'; style-src 'unsafe-inline'"
ONLY_FROM_HERE = f"{NOTHING_MAY_LOAD}; script-src 'self'; connect-src 'self'"
"""The policy of a live page: a script of its own server, which may ask that server."""
_CHANGES = {
    SignatureChange.SAME: Tone.PLAIN,
    SignatureChange.CHANGED: Tone.WARN,
    SignatureChange.ADDED: Tone.GOOD,
    SignatureChange.REMOVED: Tone.BAD,
}
_ROWS = 500
"""The largest number of rows of a signature that are shown."""


@dataclass(frozen=True, slots=True)
class LiveScript:
    """The script that keeps a page up to date; all addresses are relative to the page."""

    src: str
    events: str
    """The address of the server-sent events that say when the page has changed."""
    revision: str
    """What the page shows, as the events name it."""


def as_html(page: ReportPage, live: LiveScript | None = None) -> str:
    """Return the whole HTML document of a page; with `live`, of one that its server keeps up to date."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="Content-Security-Policy", content=ONLY_FROM_HERE if live else NOTHING_MAY_LOAD),
        element("title", f"{cut(page.title, NAME)}: {page.answer.word}"),
        element("style", Markup(SHEET + LIVE if live else SHEET)),
        *((element("script", src=live.src, data_events=live.events, data_revision=live.revision, defer="defer"),) if live else ()),
    )
    facts = (element("div", element("dt", name), element("dd", foreign_text(value))) for name, value in page.facts)
    facts_list = (element("dl", *facts, class_="facts"),) if page.facts else ()
    sections = (element("section", element("h2", foreign_text(s.heading, NAME)), *(_block(b) for b in s.blocks)) for s in page.sections)
    main = element("main", _header(page), *facts_list, *sections, class_="tfcanary")
    connection = (element("div", id="connection", role="status", class_="tfcanary"),) if live else ()
    return f"<!DOCTYPE html>\n{element('html', head, element('body', *connection, main), lang='en').text}\n"


def _header(page: ReportPage) -> Markup:
    return element(
        "header",
        element("p", foreign_text(page.about, NAME), class_="about"),
        element("h1", glyph(page.answer.tone, 28), page.answer.word),
        element("p", foreign_text(page.why), class_="why"),
        class_=page.answer.tone.value,
    )


def foreign_text(text: str, most: int = SENTENCE) -> Markup:
    """Return foreign text: at most `most` characters, in an element that keeps its reading direction away from its neighbours."""
    return element("bdi", cut(text, most))


def _cell(cell: Cell) -> Markup:
    if isinstance(cell, CellWithNote):
        return join([_cell(cell.main), element("small", foreign_text(cell.note))])
    if isinstance(cell, Badge):
        return badge(cell)
    if isinstance(cell, Link):
        return element("a", foreign_text(cell.text, NAME), href=cell.href)
    return code(cut(cell.text, NAME)) if isinstance(cell, Code) else foreign_text(cell)


def badge(content: Badge) -> Markup:
    """Return the sign and the word of a badge."""
    return element("span", glyph(content.tone), content.word, class_=f"badge {content.tone.value}")


@singledispatch
def _block(block: Block) -> Markup:
    raise TypeError(f"no rendering for {type(block).__name__}")


@_block.register
def _(block: Paragraph) -> Markup:
    return element("p", foreign_text(block.text), class_="quiet" if block.quiet else None)


@_block.register
def _(block: Table) -> Markup:
    cells = (
        [element("td", _cell(cell), class_=_numeric(column)) for column, cell in zip(block.columns, row, strict=True)] for row in block.rows
    )
    return _table(block.columns, *(element("tr", *row) for row in cells))


def _table(columns: tuple[TableColumn, ...], *rows: Markup, name: str | None = None) -> Markup:
    widths = (element("col", style=f"width:{c.width}px" if c.width else None) for c in columns)
    headings = (element("th", c.heading, scope="col", class_=_numeric(c)) for c in columns)
    parts: list[Child] = [element("colgroup", *widths), element("thead", element("tr", *headings)), element("tbody", *rows)]
    return element("table", *parts, class_=name)


def _numeric(column: TableColumn) -> str | None:
    return "number" if column.numeric else None


@_block.register
def _(block: Facts) -> Markup:
    pairs = (part for name, cell in block.rows for part in (element("dt", name), element("dd", _cell(cell))))
    return element("dl", *pairs, class_="list")


@_block.register
def _(block: Fold) -> Markup:
    return element("details", element("summary", foreign_text(block.summary, NAME)), *(_block(b) for b in block.blocks))


@_block.register
def _(block: Subsection) -> Markup:
    words = (badge(block.badge),) if block.badge else ()
    return join([element("h3", foreign_text(block.heading, NAME), *words), *(_block(b) for b in block.blocks)])


@_block.register
def _(block: CriteriaChart) -> Markup:
    return criteria_chart(block, badge)


@_block.register
def _(block: HistoryChart) -> Markup:
    return history_chart(block)


@_block.register
def _(block: DistributionChart) -> Markup:
    return distribution_chart(block)


@_block.register
def _(block: WaitsChart) -> Markup:
    return waits_chart(block)


@_block.register
def _(block: SignatureDiff) -> Markup:
    columns = (TableColumn("Name"), TableColumn("Stable"), TableColumn("Candidate"), TableColumn("Change", 112))
    rows = block.pairs.rows
    table = _table(columns, *(_signature_row(r) for r in rows[:_ROWS]), name="diff")
    if len(rows) <= _ROWS:
        return table
    return join([table, element("p", f"{len(rows) - _ROWS:,} more rows are not shown.", class_="quiet")])


def _signature_row(row: SignatureRow) -> Markup:
    change = Badge(_CHANGES[row.change], row.change.value)
    sides = (
        element("td", element("span", "none", class_="none") if text is None else code(cut(text, NAME)))
        for text in (row.stable, row.candidate)
    )
    name = element("td", code(cut(row.alias, NAME)), element("small", foreign_text(row.direction, NAME)))
    last = element("td", badge(change) if row.change is not SignatureChange.SAME else element("span", "same", class_="none"))
    return element("tr", name, *sides, last, class_=row.change.value)
