"""The page of a comparison of two data sets: the column that drifted most comes first, and each column has a picture."""

from __future__ import annotations

from collections.abc import Iterator

from tfcanary.core.domain import Finding
from tfcanary.decide.drift import ColumnResult, Comparison
from tfcanary.report.blocks import (
    Badge,
    Block,
    Code,
    DistributionChart,
    Fold,
    Paragraph,
    ReportPage,
    Section,
    Subsection,
    Table,
    TableColumn,
)
from tfcanary.report.numbers import plain, share
from tfcanary.report.plots.histogram import SharePair
from tfcanary.report.wording import finding_badge, sentence

PICTURES = 100
"""The largest number of columns that have a picture; the others are rows of a table."""
_ANSWERS = {
    Finding.PASS: "No drift",
    Finding.WARN: "A little drift",
    Finding.INCONCLUSIVE: "Not enough data",
    Finding.FAIL: "Drift",
}


def drift_page(comparison: Comparison, title: str) -> ReportPage:
    """Return the page: the answer, then the columns by their effect, with both distributions of each."""
    columns = comparison.by_severity
    return ReportPage(
        title=title,
        about=title,
        answer=Badge(finding_badge(comparison.finding).tone, _ANSWERS[comparison.finding]),
        why=sentence(drift_reason(comparison)),
        facts=tuple(_facts(comparison)),
        sections=(Section("Columns, the largest effect first", tuple(_blocks(columns))),) if columns else (),
    )


def drift_reason(comparison: Comparison) -> str:
    """Return one sentence with the worst column, and how many columns have the same finding."""
    if not comparison.columns:
        return "there is nothing to compare: neither side has a row"
    first, *others = comparison.by_severity
    if comparison.finding is Finding.PASS:
        return f"none of {len(comparison.columns)} columns drifted; the largest effect is in {first.name}: {first.reason}"
    same_finding = [column for column in others if column.finding is first.finding]
    return f"{first.name}: {first.reason}" + (f"; and {len(same_finding)} more columns" if same_finding else "")


def _facts(comparison: Comparison) -> Iterator[tuple[str, str]]:
    yield "reference rows", plain(comparison.n_reference)
    yield "current rows", plain(comparison.n_current)
    for finding in reversed(Finding):
        if number := sum(column.finding is finding for column in comparison.columns):
            yield finding.value, plain(number)


def _blocks(columns: tuple[ColumnResult, ...]) -> Iterator[Block]:
    """Yield the columns that did not pass, then those that passed in a fold, then a table of the columns without a picture."""
    pictured = columns[:PICTURES]
    yield from (_subsection(column) for column in pictured if column.finding is not Finding.PASS)
    if passed := tuple(_subsection(column) for column in pictured if column.finding is Finding.PASS):
        yield Fold(f"{len(passed):,} column{'s' if len(passed) > 1 else ''} without drift", passed)
    if rest := columns[PICTURES:]:
        headings = (TableColumn("Column"), TableColumn("Finding", 130), TableColumn("Effect", 90, numeric=True), TableColumn("Reason"))
        rows = tuple((Code(c.name), finding_badge(c.finding), share(c.effect), c.reason) for c in rest)
        yield Fold(f"{len(rest):,} more columns", (Table(headings, rows),))


def _subsection(column: ColumnResult) -> Subsection:
    blocks: list[Block] = [Paragraph(column.reason)]
    if column.bars:
        blocks.append(DistributionChart(column.name, tuple(SharePair(s.label, s.reference, s.current) for s in column.bars)))
    return Subsection(column.name, finding_badge(column.finding), tuple(blocks))
