"""Turns evidence into blocks: pictures for evidence with an interval, a table for the rest, a fold for what passed, a list of what was not checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from tfcanary.core.domain import Absence, Evidence, Finding
from tfcanary.report.blocks import Block, Cell, CellWithNote, Code, CriteriaChart, Fold, Paragraph, Section, Table, TableColumn
from tfcanary.report.numbers import figure, plain, share, unit_words, writer
from tfcanary.report.plots.text import cut
from tfcanary.report.wording import evidence_badge

MOST = 200
"""The largest number of rows of one table; the worst come first, and the page says how many are omitted."""
_FIGURES = 24
_PICTURES = 6
"""The largest number of passed criteria that are drawn outside of a fold."""
STATISTICS = ("alpha", "e-value for ", "needed for ")
"""Beginnings of the names of figures that only a statistician needs."""
PARTS = {
    "slice ": ("Slice", "Accuracy, canary minus stable"),
    "flips ": ("Slice", "Answers that changed"),
    "moved ": ("Column", "Rows that moved"),
}
"""Beginnings of the names of figures that belong to one slice or column, with the headings of their table; the name follows."""
_WORST_FIRST = list(reversed(Finding))
_COLUMNS = (TableColumn("Finding", 142), TableColumn("Check", 180), TableColumn("Result"))


def worst_first(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Return gating evidence first and the worst finding of it first; equal findings keep their order."""
    return tuple(sorted(evidence, key=lambda e: (not e.gating, _WORST_FIRST.index(e.finding))))


def evidence_blocks(evidence: Iterable[Evidence], fold: bool = True) -> tuple[Block, ...]:
    """Return pictures and tables of the evidence, at most `MOST` of each kind: first what failed, then the rest, then the statistics.

    `fold` hides passed evidence behind a line; passed pictures are hidden only where they are more than `_PICTURES`.
    """
    ordered = worst_first(evidence)
    failed, others = _partition(ordered, lambda e: e.gating and e.finding is Finding.FAIL)
    few = sum(e.finding is Finding.PASS for e in others if can_be_drawn(e)) <= _PICTURES
    visible, folded = _partition(others, lambda e: not fold or e.finding is not Finding.PASS or (few and can_be_drawn(e)))
    passed = (Fold(f"{plain(len(folded))} passed", _group(folded)),) if folded else ()
    return (*_group(failed), *_group(visible, legend=not any(map(can_be_drawn, failed))), *passed, *_statistics(ordered))


def _group(evidence: Sequence[Evidence], legend: bool = True) -> tuple[Block, ...]:
    """Return the pictures, then the table, then the tables of slices and columns."""
    with_picture, without_picture = _partition(evidence, can_be_drawn)
    tables = (block for e in evidence[:MOST] for block in _part_tables(e))
    return (*_pictures(with_picture, legend), *_table(without_picture), *tables)


def _partition(evidence: Sequence[Evidence], condition: Callable[[Evidence], bool]) -> tuple[list[Evidence], list[Evidence]]:
    return [e for e in evidence if condition(e)], [e for e in evidence if not condition(e)]


def _pictures(evidence: Sequence[Evidence], legend: bool) -> tuple[Block, ...]:
    return (CriteriaChart(tuple(evidence[:MOST]), legend), *_omitted(evidence)) if evidence else ()


def _table(evidence: Sequence[Evidence]) -> tuple[Block, ...]:
    return (evidence_table(evidence), *_omitted(evidence)) if evidence else ()


def can_be_drawn(evidence: Evidence) -> bool:
    """Whether the evidence has an interval whose estimate has a place on an axis."""
    return evidence.interval is not None and math.isfinite(evidence.interval.estimate)


def evidence_table(evidence: Sequence[Evidence]) -> Table:
    """Return a table with finding, id and reason of each evidence, and its figures as a note."""
    return Table(_COLUMNS, tuple(_row(e) for e in evidence[:MOST]))


def absent_section(absent: Iterable[Absence]) -> tuple[Section, ...]:
    """Return a section that lists what was not checked and why; no section where everything was."""
    rows = tuple(dict.fromkeys((a.about, a.reason) for a in absent))
    if not rows:
        return ()
    cells: tuple[tuple[Cell, ...], ...] = tuple((Code(about), reason) for about, reason in rows[:MOST])
    table = Table((TableColumn("Check", 240), TableColumn("Why it was not made")), cells)
    return (
        Section("Not checked", (Paragraph("A check that was not made has neither passed nor failed.", quiet=True), table, *_omitted(rows))),
    )


def _part_tables(evidence: Evidence) -> Iterator[Block]:
    """Yield a table for each kind of part (slices, columns) of which the evidence has figures."""
    for prefix, (heading, value_heading) in PARTS.items():
        parts = [(name.removeprefix(prefix), value) for name, value in evidence.figures.items() if name.startswith(prefix)]
        if parts:
            rows = tuple((Code(name), value if isinstance(value, str) else share(value)) for name, value in parts[:MOST])
            yield Table((TableColumn(heading, 280), TableColumn(value_heading)), rows)


def _statistics(evidence: Sequence[Evidence]) -> tuple[Block, ...]:
    """Return a fold with alpha and the e-values of each criterion; nothing where no evidence has them."""
    with_statistics = [(e.about, _line({name: v for name, v in e.figures.items() if name.startswith(STATISTICS)})) for e in evidence[:MOST]]
    rows = tuple((Code(about), line) for about, line in with_statistics if line)
    if not rows:
        return ()
    sentence = Paragraph(
        "An e-value measures evidence: a criterion alone causes a rollback, or allows a promotion, when its e-value reaches the needed value.",
        quiet=True,
    )
    return (Fold("Statistics: alpha and e-values", (sentence, Table((TableColumn("Check", 280), TableColumn("Statistics")), rows))),)


def figures_line(evidence: Evidence) -> str:
    """Return the counts of an evidence in one line, without the statistics and without the figures of its slices and columns."""
    return _line({name: value for name, value in evidence.figures.items() if not name.startswith((*STATISTICS, *PARTS))})


def _line(figures: Mapping[str, float | str]) -> str:
    first = list(figures.items())[:_FIGURES]
    parts = [f"{cut(name.replace('_', ' '), 60)} {cut(figure(value), 100)}" for name, value in first]
    more = len(figures) - _FIGURES
    return " · ".join([*parts, *([f"and {plain(more)} more"] if more > 0 else [])])


def interval_words(evidence: Evidence) -> str:
    """Return estimate, bounds and limits in one line: `4.1, from 1.9 to 8.8; tolerance 1.1; margin 1.5 (ratio to stable)`."""
    write, interval = writer(evidence.unit), evidence.interval
    parts = [f"{write(interval.estimate)}, from {write(interval.low)} to {write(interval.high)}"] if interval else []
    parts += [f"{word} {write(v)}" for word, v in (("tolerance", evidence.tolerance), ("margin", evidence.margin)) if v is not None]
    unit = cut(unit_words(evidence.unit), 60)
    return f"{'; '.join(parts)}{f' ({unit})' if unit and parts else ''}"


def _row(evidence: Evidence) -> tuple[Cell, ...]:
    finding = evidence_badge(evidence)
    note = " · ".join(part for part in (interval_words(evidence), figures_line(evidence)) if part)
    reason = evidence.reason
    return (
        finding if evidence.gating else CellWithNote(finding, "shown only"),
        Code(evidence.about),
        CellWithNote(reason, note) if note else reason,
    )


def _omitted(rows: Sequence[object]) -> tuple[Block, ...]:
    more = len(rows) - MOST
    return (Paragraph(f"{plain(more)} more are not shown; none of them is worse than these.", quiet=True),) if more > 0 else ()
