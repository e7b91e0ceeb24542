"""Two profiles compared: which columns drifted, by how much, and where there is too little to tell.

A column is flagged where a test is significant after Benjamini-Hochberg over every test of every column and, besides,
enough rows moved to matter. With a million rows everything is significant and little matters; with a hundred it is the
other way round, and then the answer is "too few".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tfcanary.domain import Finding
from tfcanary.drift import ordered, unordered, words
from tfcanary.drift.counts import Tally
from tfcanary.drift.found import ColumnFound, Comparison, Settings, Test
from tfcanary.drift.layout import Kind
from tfcanary.drift.measure import Measured, measure
from tfcanary.drift.profiles import Profile, by_name
from tfcanary.stats.multiplicity import benjamini_hochberg, spent_at


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is the same for all columns."""

    reference: Profile
    current: Profile
    settings: Settings
    chance: float = 1.0
    """Of a false alarm in one test, where it alone is significant."""


def compare(reference: Profile, current: Profile, settings: Settings | None = None, look: int = 1) -> Comparison:
    """Compare what was counted.

    Args:
        reference: What should be.
        current: What is; made with the layout of the reference.
        settings: What counts as drift; the defaults of `Settings` where not given.
        look: Number of this look at a growing window, from 1 on: it may spend alpha/(l (l + 1)).

    Raises Refused where a column was counted with different layouts, ValueError where look < 1.
    """
    asked = _Asked(reference, current, settings or Settings())
    alpha = spent_at(look, asked.settings.alpha)
    names = sorted({tally.column.name for side in (reference, current) for tally in side.tallies}, key=by_name)
    measured = [_measured(name, asked) for name in names]
    chances = [test.chance for one in measured for test in one.tests]
    flags = iter(benjamini_hochberg(chances, alpha))
    asked = replace(asked, chance=alpha / max(1, len(chances)))
    columns = (_column(name, _flagged(one, flags), asked) for name, one in zip(names, measured, strict=True))
    return Comparison(tuple(columns), reference.rows, current.rows, alpha)


def _measured(name: str, asked: _Asked) -> Measured:
    reference, current = asked.reference.of(name), asked.current.of(name)
    if reference is None or current is None or _retyped(reference, current):
        return Measured()
    return measure(reference, current, asked.settings)


def _flagged(measured: Measured, flags: Iterator[bool]) -> Measured:
    return replace(measured, tests=tuple(replace(test, significant=next(flags)) for test in measured.tests))


def _column(name: str, measured: Measured, asked: _Asked) -> ColumnFound:
    reference, current = asked.reference.of(name), asked.current.of(name)
    kind = current.column.kind if current else reference.column.kind if reference else Kind.EMPTY
    n, m = asked.reference.rows, asked.current.rows
    if not n or not m:
        return ColumnFound(name, kind, Finding.INCONCLUSIVE, no_rows(n, m, asked.settings), 0.0, n, m)
    if reference is None or current is None or _retyped(reference, current):
        return ColumnFound(name, kind, Finding.FAIL, _other_schema(name, asked), 1.0, n, m)
    # The test to speak of: the largest effect among the significant ones, or else among all.
    most = max(measured.tests, key=lambda test: (test.significant, test.effect), default=Test("nulls", 0.0, 1.0, "no nulls"))
    finding, reason = _judged(measured, most, kind, asked)
    return ColumnFound(name, kind, finding, reason, most.effect, n, m, measured.tests, measured.shares)


def no_rows(reference: int, current: int, settings: Settings) -> str:
    """Who has none, and how many would do for a single test."""
    who = " and ".join(name for name, rows in ((settings.current, current), (settings.reference, reference)) if not rows)
    enough = 2 * (ordered.seen_from(2, 2, settings.alpha / 2) / settings.fail) ** 2
    return f"no {settings.rows} of {who}: about {_rounded(enough)} of each would be enough"


def _judged(measured: Measured, most: Test, kind: Kind, asked: _Asked) -> tuple[Finding, str]:
    settings = asked.settings
    rows = words.both(asked.reference.rows, asked.current.rows)
    if most.significant and most.effect >= settings.warn:
        finding = Finding.FAIL if most.effect >= settings.fail else Finding.WARN
        return finding, f"{most.moved} (about {words.percent(most.effect)} of rows moved), {rows}"
    if kind is Kind.OTHER:
        return Finding.INCONCLUSIVE, "holds values that are not compared; only nulls are counted"
    seen = _seen_from(measured, asked)
    if seen > settings.fail:
        return (
            Finding.INCONCLUSIVE,
            f"{rows} are too few to tell whether {words.percent(settings.fail)} of rows moved: {_enough(seen, asked)}",
        )
    if measured.hidden >= settings.warn and most.effect + measured.hidden >= settings.fail:
        return Finding.INCONCLUSIVE, f"{words.percent(measured.hidden)} of the rows lie in one cell: count both again without a layout"
    how = "not by chance, but too few to matter" if most.significant else "as by chance"
    return Finding.PASS, f"{words.percent(most.effect)} of rows moved, {how} ({most.moved}), {rows}"


def _seen_from(measured: Measured, asked: _Asked) -> float:
    """The smallest share of moved rows that would have been found; of those with a value, as the values are the hardest to compare."""
    n, m = (max(1, round(side.rows * measured.share)) for side in (asked.reference, asked.current))
    if measured.freedom:
        return measured.share * unordered.seen_from(n, m, asked.chance, measured.freedom)
    return measured.share * ordered.seen_from(n, m, asked.chance)


def _enough(seen: float, asked: _Asked) -> str:
    times = (seen / asked.settings.fail) ** 2
    return f"about {_rounded(asked.current.rows * times)} and {_rounded(asked.reference.rows * times)} would be enough"


def _rounded(rows: float) -> str:
    """Up to two digits."""
    unit = 10 ** max(0, len(str(math.ceil(rows))) - 2)
    return f"{math.ceil(rows / unit) * unit:,}"


def _retyped(reference: Tally, current: Tally) -> bool:
    return reference.column.kind is not current.column.kind and Kind.EMPTY not in (reference.column.kind, current.column.kind)


def _other_schema(name: str, asked: _Asked) -> str:
    reference, current = asked.reference.of(name), asked.current.of(name)
    if reference and current:
        return f"holds {current.column.kind.value} values where {asked.settings.reference} has {reference.column.kind.value} values"
    who, other = (asked.settings.current, asked.current) if reference else (asked.settings.reference, asked.reference)
    near = next((tally.column.name for tally in other.tallies if tally.column.name.casefold() == name.casefold()), None)
    hint = f", but has {near!r}" if near else ""
    return f"is {'missing' if reference else 'new'}: {who} does not have it{hint}"
