"""Two profiles compared: which columns drifted, by how much, and where there is too little to tell.

A column is flagged where a test is significant after Benjamini-Hochberg over every test of every column and, besides,
enough rows moved to matter. With a million rows everything is significant and little matters; with a hundred it is the
other way round, and then the answer is "too few".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tfcanary.core.domain import Finding
from tfcanary.core.errors import Refused
from tfcanary.decide.drift import figures, ordered
from tfcanary.decide.drift.column_tests import Measured, measure
from tfcanary.decide.drift.comparison_result import ColumnFound, Comparison, Settings, Test, belongs
from tfcanary.decide.drift.counts import Tally
from tfcanary.decide.drift.entity_spread import FEWEST_GROUPS
from tfcanary.decide.drift.layout import Kind
from tfcanary.decide.drift.profiles import Profile, by_name
from tfcanary.decide.stats.hypergeometric import difference_tail
from tfcanary.decide.stats.multiplicity import alpha_of_look, benjamini_hochberg

WITH_VALUES = ("out of range",)
"""What lies beyond the reference's values has moved, and the test of the values, which comes first, has seen it: a test of its own would
only make all others weaker."""
PLAIN = ("infinite values", "out of range")
"""What says more than "the values moved" ..."""
TELLING = 0.9
"""... and is spoken of where its effect is so near to the largest."""
UNREAD = "(rows that could not be read)"
"""Stands among the columns where rows were dropped: what nobody could read is no data, and never passes silently."""


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
        look: Number of this look at a growing window, from 1 on: the first may spend most of alpha, see `spent_at`.

    Raises Refused where a column was counted with different layouts or a column that is asked for exists on neither side, ValueError
    where look < 1.
    """
    settings = settings or Settings()
    reference, current = (_chosen(side, (reference, current), settings) for side in (reference, current))
    asked = _Asked(reference, current, settings)
    alpha = alpha_of_look(look, asked.settings.alpha)
    names = sorted({tally.column.name for side in (reference, current) for tally in side.tallies}, key=by_name)
    measured = [_measured(name, asked) for name in names]
    chances = [test.chance for one in measured for test in one.tests if test.about not in WITH_VALUES]
    flags = iter(benjamini_hochberg(chances, alpha))
    asked = replace(asked, chance=alpha / max(1, len(chances)))
    columns = (_column(name, _flagged(one, flags), asked) for name, one in zip(names, measured, strict=True))
    return Comparison((*columns, *_unread(asked)), reference.rows, current.rows, alpha)


def coarsest(profile: Profile) -> float:
    """The largest share of a column's rows that lies in one cell of several values: how much a distance may be wrong, at most."""
    tallies = (tally for tally in profile.tallies if tally.column.kind.in_cells)
    return max((ordered.coarsest(tally.keys, tally.whole, tally.counts) for tally in tallies), default=0.0)


def _chosen(side: Profile, both: tuple[Profile, Profile], settings: Settings) -> Profile:
    """The columns that the settings ask for."""
    names = [tally.column.name for profile in both for tally in profile.tallies]
    for kind, asked in (("columns", settings.columns), ("importance", settings.importance)):
        for name in asked if names else ():
            if not any(belongs(column, name) for column in names):
                raise Refused(f"{kind}: there is no column {name[:80]!r}; there are {', '.join(dict.fromkeys(names[:20]))}")
    if not settings.columns:
        return side
    return side.only([column for column in names if any(belongs(column, name) for name in settings.columns)])


def _unread(asked: _Asked) -> Iterator[ColumnFound]:
    """Rows that were there and could not be read, as if it were a column."""
    reference, current = asked.reference, asked.current
    if reference.dropped or current.dropped:
        n, m = reference.rows + reference.dropped, current.rows + current.dropped
        a, b = reference.dropped / max(1, n), current.dropped / max(1, m)
        sure = n > 0 and m > 0 and difference_tail(reference.dropped + current.dropped, n, m, abs(a - b)) < asked.settings.alpha
        effect = abs(a - b) if sure else 0.0
        finding = Finding.FAIL if effect >= asked.settings.fail else Finding.WARN
        reason = f"{figures.percent(b)} of {asked.settings.current} and {figures.percent(a)} of {asked.settings.reference}: dropped"
        yield ColumnFound(UNREAD, Kind.OTHER, finding, f"{reason}, as they could not be read", effect, n, m)


def _measured(name: str, asked: _Asked) -> Measured:
    reference, current = asked.reference.of(name), asked.current.of(name)
    if reference is None or current is None or _retyped(reference, current):
        return Measured()
    return replace(measure(reference, current, asked.settings), name=name)


def _flagged(measured: Measured, flags: Iterator[bool]) -> Measured:
    first, *others = measured.tests or (None,)
    if first is None:
        return measured
    values = next(flags)
    tests = [replace(test, significant=values if test.about in WITH_VALUES else next(flags)) for test in others]
    return replace(measured, tests=(replace(first, significant=values), *tests))


def _column(name: str, measured: Measured, asked: _Asked) -> ColumnFound:
    reference, current = asked.reference.of(name), asked.current.of(name)
    kind = current.column.kind if current else reference.column.kind if reference else Kind.EMPTY
    n, m = asked.reference.rows, asked.current.rows
    if not n or not m:
        return ColumnFound(name, kind, Finding.INCONCLUSIVE, no_rows(n, m, asked.settings), 0.0, n, m)
    if reference is None or current is None or _retyped(reference, current):
        return ColumnFound(name, kind, Finding.FAIL, _other_schema(name, asked), 1.0, n, m)
    # The test to speak of: the largest effect among the significant ones, or else among all.
    most = _most_telling(measured.tests)
    finding, reason = _judged(measured, most, kind, asked)
    return ColumnFound(name, kind, finding, reason, most.effect, n, m, measured.tests, measured.shares)


def _most_telling(tests: tuple[Test, ...]) -> Test:
    most = max(tests, key=lambda test: (test.significant, test.effect), default=Test("nulls", 0.0, 1.0, "no nulls"))
    plain = [test for test in tests if test.about in PLAIN and test.significant and test.effect >= TELLING * most.effect]
    first = min(plain, key=lambda test: PLAIN.index(test.about), default=most)
    return replace(first, effect=most.effect) if most.significant else most


def no_rows(reference: int, current: int, settings: Settings) -> str:
    """Who has none, and how many would do for a single test."""
    who = " and ".join(name for name, rows in ((settings.current, current), (settings.reference, reference)) if not rows)
    enough = 2 * (ordered.seen_from(2, 2, alpha_of_look(1, settings.alpha)) / settings.fail) ** 2
    return f"no {settings.rows} of {who}: about {_rounded(enough)} of each would be enough"


def _judged(measured: Measured, most: Test, kind: Kind, asked: _Asked) -> tuple[Finding, str]:
    settings = asked.settings
    rows = figures.both(asked.reference.rows, asked.current.rows)
    weight = settings.weight(measured.name)
    if measured.design.groups < FEWEST_GROUPS:
        return Finding.INCONCLUSIVE, f"{rows} belong to too few different values of {asked.reference.entity!r} to tell"
    if most.significant and most.effect * weight >= settings.warn:
        finding = Finding.FAIL if most.effect * weight >= settings.fail else Finding.WARN
        return finding, f"{most.moved} (about {figures.percent(most.effect)} of rows moved), {rows}"
    if kind is Kind.OTHER:
        return Finding.INCONCLUSIVE, "holds values that are not compared; only nulls are counted"
    seen = _seen_from(measured, asked)
    if seen * weight > settings.fail:
        return (
            Finding.INCONCLUSIVE,
            f"{rows} are too few to tell whether {figures.percent(settings.fail)} of rows moved: {_enough(seen, asked)}",
        )
    if measured.hidden >= settings.warn and most.effect + measured.hidden >= settings.fail:
        return Finding.INCONCLUSIVE, f"{figures.percent(measured.hidden)} of the rows lie in one cell: count both again without a layout"
    how = "not by chance, but too few to matter" if most.significant else "as by chance"
    return Finding.PASS, f"{figures.percent(most.effect)} of rows moved, {how} ({most.moved}), {rows}"


def _seen_from(measured: Measured, asked: _Asked) -> float:
    """The smallest share of moved rows that would have been found; of those with a value, as the values are the hardest to compare."""
    if measured.mix and measured.mix.freedom:
        return measured.share * measured.mix.seen_from(asked.chance)
    n, m = (max(1, round(side.rows * measured.share / measured.design.ordered)) for side in (asked.reference, asked.current))
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
