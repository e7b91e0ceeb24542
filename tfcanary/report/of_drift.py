"""The report of a comparison of two data sets: what drifted first, each column with its picture."""

from __future__ import annotations

from collections.abc import Iterator

from tfcanary.core.domain import Finding
from tfcanary.decide.drift import ColumnResult, Comparison
from tfcanary.report.as_html import as_html
from tfcanary.report.as_markdown import as_markdown
from tfcanary.report.blocks import Badge, Block, Code, Column, Fold, Histogram, Page, Paragraph, Part, Section, Table
from tfcanary.report.numbers import plain, share
from tfcanary.report.plots.histogram import Pair
from tfcanary.report.wording import of_finding, sentence

PICTURES = 100
"""Columns that are shown with a picture; the others stand in a table."""
_ANSWERS = {
    Finding.PASS: "No drift",
    Finding.WARN: "A little drift",
    Finding.INCONCLUSIVE: "Not enough data",
    Finding.FAIL: "Drift",
}


def drift_html(compared: Comparison, title: str) -> str:
    """A page: the answer first, then the columns by their effect, with both distributions over each other."""
    return as_html(drift_page(compared, title))


def drift_markdown(compared: Comparison, title: str) -> str:
    """The same in Markdown."""
    return as_markdown(drift_page(compared, title))


def drift_page(compared: Comparison, title: str) -> Page:
    """The values that both are made of."""
    columns = compared.by_severity
    return Page(
        title=title,
        about=title,
        answer=Badge(of_finding(compared.finding).tone, _ANSWERS[compared.finding]),
        why=sentence(why(compared)),
        facts=tuple(_facts(compared)),
        sections=(Section("Columns, the largest effect first", tuple(_blocks(columns))),) if columns else (),
    )


def why(compared: Comparison) -> str:
    """One sentence: the worst column, and how many are like it."""
    if not compared.columns:
        return "there is nothing to compare: neither side has a row"
    first, *others = compared.by_severity
    if compared.finding is Finding.PASS:
        return f"none of {len(compared.columns)} columns drifted; most moved {first.name}: {first.reason}"
    alike = [column for column in others if column.finding is first.finding]
    return f"{first.name}: {first.reason}" + (f"; likewise {len(alike)} more columns" if alike else "")


def _facts(compared: Comparison) -> Iterator[tuple[str, str]]:
    yield "reference rows", plain(compared.n_reference)
    yield "current rows", plain(compared.n_current)
    for finding in reversed(Finding):
        if number := sum(column.finding is finding for column in compared.columns):
            yield finding.value, plain(number)


def _blocks(columns: tuple[ColumnResult, ...]) -> Iterator[Block]:
    yield from (_column(column) for column in columns[:PICTURES])
    if rest := columns[PICTURES:]:
        heads = (Column("Column"), Column("Finding", 130), Column("Moved", 90, numeric=True), Column("Why"))
        rows = tuple((Code(c.name), of_finding(c.finding), share(c.effect), c.reason) for c in rest)
        yield Fold(f"{len(rest):,} more columns", (Table(heads, rows),))


def _column(column: ColumnResult) -> Part:
    blocks: list[Block] = [Paragraph(column.reason)]
    if column.bars:
        blocks.append(Histogram(column.name, tuple(Pair(s.label, s.reference, s.current) for s in column.bars)))
    return Part(column.name, of_finding(column.finding), tuple(blocks))
