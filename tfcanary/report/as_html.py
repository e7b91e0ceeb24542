"""A page as self-contained HTML: no script, nothing to load; it is XML, too. The Kubeflow UI shows it in a sandboxed frame."""

from __future__ import annotations

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
    Section,
    Signatures,
    Table,
    Waits,
)
from tfcanary.report.charts import criteria, over_time, overlaid, waiting
from tfcanary.report.plots.glyph import Tone, glyph
from tfcanary.report.plots.markup import Child, Markup, code, element, join
from tfcanary.report.plots.text import cut
from tfcanary.report.signature_table import Change, SignatureRow
from tfcanary.report.style import SHEET

_NOTHING_MAY_LOAD = "default-src 'none'; style-src 'unsafe-inline'"
_CHANGES = {Change.SAME: Tone.PLAIN, Change.CHANGED: Tone.WARN, Change.ADDED: Tone.GOOD, Change.REMOVED: Tone.BAD}
_ROWS = 500


def as_html(page: Page) -> str:
    """The whole document."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="Content-Security-Policy", content=_NOTHING_MAY_LOAD),
        element("title", f"{cut(page.title, NAME)}: {page.answer.word}"),
        element("style", Markup(SHEET)),
    )
    main = element("main", _header(page), _facts(page), *(_section(s) for s in page.sections), class_="tfcanary")
    return f"<!DOCTYPE html>\n{element('html', head, element('body', main), lang='en').text}\n"


def _header(page: Page) -> Markup:
    return element(
        "header",
        element("p", data(page.about, NAME), class_="about"),
        element("h1", glyph(page.answer.tone, 28), page.answer.word),
        element("p", data(page.why), class_="why"),
        class_=page.answer.tone.value,
    )


def _facts(page: Page) -> Markup:
    facts = (element("div", element("dt", name), element("dd", data(value))) for name, value in page.facts)
    return element("dl", *facts, class_="facts") if page.facts else Markup("")


def _section(section: Section) -> Markup:
    return element("section", element("h2", data(section.heading, NAME)), *(_block(b) for b in section.blocks))


def data(text: str, most: int = SENTENCE) -> Markup:
    """Text that may come from anywhere: cut, and isolated so that its direction does not turn its neighbours."""
    return element("bdi", cut(text, most))


def _cell(cell: Cell) -> Markup:
    if isinstance(cell, Noted):
        return join([_cell(cell.main), element("small", data(cell.note))])
    if isinstance(cell, Badge):
        return badge(cell)
    return code(cut(cell.text, NAME)) if isinstance(cell, Code) else data(cell)


def badge(one: Badge) -> Markup:
    """Sign and word."""
    return element("span", glyph(one.tone), one.word, class_=f"badge {one.tone.value}")


@singledispatch
def _block(block: Block) -> Markup:
    raise TypeError(f"no rendering for {type(block).__name__}")


@_block.register
def _(block: Paragraph) -> Markup:
    return element("p", data(block.text), class_="quiet" if block.quiet else None)


@_block.register
def _(block: Table) -> Markup:
    rows = (element("tr", *_cells(block.columns, row)) for row in block.rows)
    return _table(block.columns, *rows)


def _table(columns: tuple[Column, ...], *rows: Markup, name: str | None = None) -> Markup:
    widths = (element("col", style=f"width:{c.width}px" if c.width else None) for c in columns)
    heads = (element("th", c.heading, scope="col", class_=_numeric(c)) for c in columns)
    parts: list[Child] = [element("colgroup", *widths), element("thead", element("tr", *heads)), element("tbody", *rows)]
    return element("table", *parts, class_=name)


def _cells(columns: tuple[Column, ...], row: tuple[Cell, ...]) -> tuple[Markup, ...]:
    return tuple(element("td", _cell(cell), class_=_numeric(column)) for column, cell in zip(columns, row, strict=True))


def _numeric(column: Column) -> str | None:
    return "number" if column.numeric else None


@_block.register
def _(block: Facts) -> Markup:
    pairs = (part for name, cell in block.rows for part in (element("dt", name), element("dd", _cell(cell))))
    return element("dl", *pairs, class_="list")


@_block.register
def _(block: Fold) -> Markup:
    return element("details", element("summary", data(block.summary, NAME)), *(_block(b) for b in block.blocks))


@_block.register
def _(block: Part) -> Markup:
    word = (badge(block.badge),) if block.badge else ()
    return join([element("h3", data(block.heading, NAME), *word), *(_block(b) for b in block.blocks)])


@_block.register
def _(block: Criteria) -> Markup:
    return criteria(block.evidence, badge)


@_block.register
def _(block: History) -> Markup:
    return over_time(block)


@_block.register
def _(block: Histogram) -> Markup:
    return overlaid(block.pairs, cut(block.name, NAME))


@_block.register
def _(block: Waits) -> Markup:
    return waiting(block)


@_block.register
def _(block: Signatures) -> Markup:
    columns = (Column("Name"), Column("Stable"), Column("Candidate"), Column("Change", 112))
    rows = block.pairs.rows
    table = _table(columns, *(_signature_row(r) for r in rows[:_ROWS]), name="diff")
    return join([table, element("p", f"{len(rows) - _ROWS:,} more rows are not shown.", class_="quiet")]) if len(rows) > _ROWS else table


def _signature_row(row: SignatureRow) -> Markup:
    change = Badge(_CHANGES[row.change], row.change.value)
    sides = (element("td", _side(text)) for text in (row.stable, row.candidate))
    name = element("td", code(cut(row.alias, NAME)), element("small", data(row.direction, NAME)))
    last = element("td", badge(change) if row.change is not Change.SAME else element("span", "same", class_="none"))
    return element("tr", name, *sides, last, class_=row.change.value)


def _side(text: str | None) -> Markup:
    return element("span", "none", class_="none") if text is None else code(cut(text, NAME))
