"""Evidence as blocks: pictures for what has an interval, a table for the rest, what passed folded away, what was not asked listed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from tfcanary.core.domain import Absence, Evidence, Finding
from tfcanary.report.blocks import Block, Cell, Code, Column, Criteria, Fold, Noted, Paragraph, Section, Table
from tfcanary.report.numbers import figure, plain, unit_words, writer
from tfcanary.report.plots.text import cut
from tfcanary.report.wording import of_finding

MOST = 200
"""Rows of one table; the worst come first, and the page says how many are left out."""
_FIGURES = 24
_PICTURES = 6
"""Passed criteria that are drawn without being asked for."""
_WORST_FIRST = list(reversed(Finding))
_COLUMNS = (Column("Finding", 142), Column("Question", 180), Column("Answer"))


def sorted_worst(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """What may decide first, and the worst of it first; else in the order it came."""
    return tuple(sorted(evidence, key=lambda e: (not e.gating, _WORST_FIRST.index(e.finding))))


def evidence_blocks(evidence: Iterable[Evidence], fold: bool = True) -> tuple[Block, ...]:
    """All of it, at most `MOST` a kind; `fold` hides what passed behind a line (of pictures, only where they are many)."""
    ordered = sorted_worst(evidence)
    drawn, told = _parted(ordered, drawable)
    if not fold:
        return (*_pictures(drawn), *_table(told))
    few = sum(e.finding is Finding.PASS for e in drawn) <= _PICTURES
    pictures, folded_pictures = _parted(drawn, lambda e: few or e.finding is not Finding.PASS)
    rows, folded_rows = _parted(told, lambda e: e.finding is not Finding.PASS)
    folded = (*_pictures(folded_pictures), *_table(folded_rows))
    summary = f"{plain(len(folded_pictures) + len(folded_rows))} passed"
    return (*_pictures(pictures), *_table(rows), *((Fold(summary, folded),) if folded else ()))


def _parted(evidence: Sequence[Evidence], first: Callable[[Evidence], bool]) -> tuple[list[Evidence], list[Evidence]]:
    return [e for e in evidence if first(e)], [e for e in evidence if not first(e)]


def _pictures(evidence: Sequence[Evidence]) -> tuple[Block, ...]:
    return (Criteria(tuple(evidence[:MOST])), *_left_out(evidence)) if evidence else ()


def _table(evidence: Sequence[Evidence]) -> tuple[Block, ...]:
    return (evidence_table(evidence), *_left_out(evidence)) if evidence else ()


def drawable(evidence: Evidence) -> bool:
    """Whether there is an interval whose estimate can be placed on an axis."""
    return evidence.interval is not None and math.isfinite(evidence.interval.estimate)


def evidence_table(evidence: Sequence[Evidence]) -> Table:
    """Finding, question and answer, with the figures beneath."""
    return Table(_COLUMNS, tuple(_row(e) for e in evidence[:MOST]))


def absent_section(absent: Iterable[Absence]) -> tuple[Section, ...]:
    """What was not asked, in so many words; no section where everything was."""
    rows = tuple(dict.fromkeys((a.about, a.reason) for a in absent))
    if not rows:
        return ()
    cells: tuple[tuple[Cell, ...], ...] = tuple((Code(about), reason) for about, reason in rows[:MOST])
    shown = Table((Column("Question", 240), Column("Why it was not asked")), cells)
    return (Section("Not asked", (Paragraph("What was not asked has neither passed nor failed.", quiet=True), shown, *_left_out(rows))),)


def figures_line(evidence: Evidence) -> str:
    """What it rests on, in one line."""
    shown = [f"{cut(name.replace('_', ' '), 60)} {cut(figure(value), 100)}" for name, value in list(evidence.figures.items())[:_FIGURES]]
    more = len(evidence.figures) - _FIGURES
    return " · ".join([*shown, *([f"and {plain(more)} more"] if more > 0 else [])])


def interval_words(evidence: Evidence) -> str:
    """Estimate, bounds and limits: `4.1, from 1.9 to 8.8; tolerance 1.1; margin 1.5 (ratio to stable)`."""
    write, interval = writer(evidence.unit), evidence.interval
    parts = [f"{write(interval.estimate)}, from {write(interval.low)} to {write(interval.high)}"] if interval else []
    parts += [f"{word} {write(v)}" for word, v in (("tolerance", evidence.tolerance), ("margin", evidence.margin)) if v is not None]
    unit = cut(unit_words(evidence.unit), 60)
    return f"{'; '.join(parts)}{f' ({unit})' if unit and parts else ''}"


def _row(evidence: Evidence) -> tuple[Cell, ...]:
    finding = of_finding(evidence.finding)
    note = " · ".join(part for part in (interval_words(evidence), figures_line(evidence)) if part)
    reason = evidence.reason
    return (
        finding if evidence.gating else Noted(finding, "shown only"),
        Code(evidence.about),
        Noted(reason, note) if note else reason,
    )


def _left_out(rows: Sequence[object]) -> tuple[Block, ...]:
    more = len(rows) - MOST
    return (Paragraph(f"{plain(more)} more are not shown; none of them is worse than these.", quiet=True),) if more > 0 else ()
