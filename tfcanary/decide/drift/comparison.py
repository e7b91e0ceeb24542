"""Compares two profiles: which columns drifted, by how much, and where there are too few rows to tell.

A column is flagged where a test is significant after Benjamini-Hochberg over every test of every column and where, besides, enough rows
moved to matter. With a million rows everything is significant and little matters; with a hundred rows it is the other way round, and
then the answer is "too few".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tfcanary.core.domain import Finding
from tfcanary.core.errors import Refused
from tfcanary.decide.drift import figures, ordered
from tfcanary.decide.drift.column_tests import ColumnMeasurement, measure
from tfcanary.decide.drift.comparison_result import NANS, NULLS, UNSEEN, ColumnResult, ColumnTest, Comparison, ComparisonSettings, belongs
from tfcanary.decide.drift.counts import ColumnCounts
from tfcanary.decide.drift.entity_spread import FEWEST_GROUPS
from tfcanary.decide.drift.layout import ColumnKind
from tfcanary.decide.drift.profiles import Profile, by_name
from tfcanary.decide.stats.hypergeometric import difference_tail
from tfcanary.decide.stats.multiplicity import alpha_of_look, benjamini_hochberg

WITH_VALUES = ("out of range",)
"""Tests that share the significance of the first test, that of the values.

What lies beyond the reference's values has moved, so that the test of the values detects it; another test would only weaken all others.
"""
PLAIN = ("infinite values", "out of range")
"""Tests whose sentence says more than that of the values."""
TELLING = 0.9
"""Least effect, as a part of the largest one, from which on such a test is the one that the reason names."""
UNREAD = "(rows that could not be read)"
"""Name of the result for rows that were dropped: rows that could not be read are no data, and never pass silently."""


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What is the same for all columns of a comparison."""

    reference: Profile
    current: Profile
    settings: ComparisonSettings
    alpha: float = 1.0
    """The significance level of a test where it alone is significant."""


def compare(reference: Profile, current: Profile, settings: ComparisonSettings | None = None, look: int = 1) -> Comparison:
    """Compare two profiles column by column.

    Args:
        reference: What the data should be.
        current: What the data are; made with the layout of the reference.
        settings: What counts as drift; the defaults of `ComparisonSettings` where not given.
        look: Number of this look at growing data, from 1 on: the first may spend most of alpha, see `alpha_of_look`.

    Raises Refused where a column was counted with different layouts, or where a column that the settings name exists on neither side.
    Raises ValueError where look < 1.
    """
    settings = settings or ComparisonSettings()
    reference, current = (_selected(side, (reference, current), settings) for side in (reference, current))
    alpha = alpha_of_look(look, settings.alpha)
    inputs = _Inputs(reference, current, settings)
    names = sorted({tally.column.name for side in (reference, current) for tally in side.tallies}, key=by_name)
    measurements = [_measure(name, inputs) for name in names]
    p_values = [test.p_value for one in measurements for test in one.tests if test.about not in WITH_VALUES]
    flags = iter(benjamini_hochberg(p_values, alpha))
    inputs = replace(inputs, alpha=alpha / max(1, len(p_values)))
    columns = (_column(name, _with_flags(one, flags), inputs) for name, one in zip(names, measurements, strict=True))
    return Comparison((*columns, *_unreadable_rows(inputs)), reference.rows, current.rows, alpha)


def largest_cell_share(profile: Profile) -> float:
    """Return the largest share of a column's rows in one cell of several values: the most by which a distance may be wrong."""
    tallies = (tally for tally in profile.tallies if tally.column.kind.in_cells)
    return max((ordered.largest_cell_share(tally.keys, tally.whole, tally.counts) for tally in tallies), default=0.0)


def no_rows_reason(reference: int, current: int, settings: ComparisonSettings) -> str:
    """Return which side has no rows, and how many of each would be enough for a single test."""
    who = " and ".join(name for name, rows in ((settings.current, current), (settings.reference, reference)) if not rows)
    enough = 2 * (ordered.detectable_distance(2, 2, alpha_of_look(1, settings.alpha)) / settings.fail) ** 2
    return f"no {settings.rows} of {who}: about {_rounded_up(enough)} of each would be enough"


def _selected(side: Profile, both: tuple[Profile, Profile], settings: ComparisonSettings) -> Profile:
    """Return the columns of a profile that the settings name, or all."""
    names = [tally.column.name for profile in both for tally in profile.tallies]
    for field, columns in (("columns", settings.columns), ("importance", settings.importance)):
        for name in columns if names else ():
            if not any(belongs(column, name) for column in names):
                raise Refused(f"{field}: there is no column {name[:80]!r}; there are {', '.join(dict.fromkeys(names[:20]))}")
    if not settings.columns:
        return side
    return side.only([column for column in names if any(belongs(column, name) for name in settings.columns)])


def _unreadable_rows(inputs: _Inputs) -> Iterator[ColumnResult]:
    """Yield a result for the rows that were dropped, as if they were a column."""
    reference, current, settings = inputs.reference, inputs.current, inputs.settings
    if reference.dropped or current.dropped:
        n, m = reference.rows + reference.dropped, current.rows + current.dropped
        a, b = reference.dropped / max(1, n), current.dropped / max(1, m)
        significant = n > 0 and m > 0 and difference_tail(reference.dropped + current.dropped, n, m, abs(a - b)) < settings.alpha
        effect = abs(a - b) if significant else 0.0
        finding = Finding.FAIL if effect >= settings.fail else Finding.INCONCLUSIVE if max(a, b) >= settings.fail else Finding.WARN
        reason = f"{figures.percent(b)} of {settings.current} and {figures.percent(a)} of {settings.reference}: dropped"
        yield ColumnResult(UNREAD, ColumnKind.OTHER, finding, f"{reason}, as they could not be read", effect, n, m)


def _measure(name: str, inputs: _Inputs) -> ColumnMeasurement:
    reference, current = inputs.reference.of(name), inputs.current.of(name)
    if reference is None or current is None or _kinds_differ(reference, current):
        return ColumnMeasurement()
    return replace(measure(reference, current, inputs.settings), name=name)


def _with_flags(measurement: ColumnMeasurement, flags: Iterator[bool]) -> ColumnMeasurement:
    """Return the measurement with the significance of its tests, taken from the front of `flags`."""
    first, *others = measurement.tests or (None,)
    if first is None:
        return measurement
    of_values = next(flags)
    tests = [replace(test, significant=of_values if test.about in WITH_VALUES else next(flags)) for test in others]
    return replace(measurement, tests=(replace(first, significant=of_values), *tests))


def _column(name: str, measurement: ColumnMeasurement, inputs: _Inputs) -> ColumnResult:
    reference, current = inputs.reference.of(name), inputs.current.of(name)
    kind = current.column.kind if current else reference.column.kind if reference else ColumnKind.EMPTY
    n, m = inputs.reference.rows, inputs.current.rows
    if not n or not m:
        return ColumnResult(name, kind, Finding.INCONCLUSIVE, no_rows_reason(n, m, inputs.settings), 0.0, n, m)
    if reference is None or current is None or _kinds_differ(reference, current):
        return ColumnResult(name, kind, Finding.FAIL, _schema_reason(name, inputs), 1.0, n, m)
    importance = inputs.settings.importance_of(name)
    test = _test_to_name(measurement.tests, lambda one: list(Finding).index(inputs.settings.finding(one, importance)))
    finding, reason = _finding_and_reason(measurement, test, kind, inputs)
    return ColumnResult(name, kind, finding, reason, test.effect, n, m, measurement.tests, measurement.bars)


def _test_to_name(tests: tuple[ColumnTest, ...], severity: Callable[[ColumnTest], int]) -> ColumnTest:
    """Return the test that the reason names: the worst, of several the largest effect among the significant ones, or else among all."""
    largest = max(tests, key=lambda test: (severity(test), test.significant, test.effect), default=ColumnTest(NULLS, 0.0, 1.0, "no nulls"))
    if largest.about in (UNSEEN, NULLS, NANS):
        return largest
    plain = [test for test in tests if test.about in PLAIN and test.significant and test.effect >= TELLING * largest.effect]
    first = min(plain, key=lambda test: PLAIN.index(test.about), default=largest)
    return replace(first, effect=largest.effect) if largest.significant else largest


def _finding_and_reason(measurement: ColumnMeasurement, test: ColumnTest, kind: ColumnKind, inputs: _Inputs) -> tuple[Finding, str]:
    settings = inputs.settings
    rows = figures.row_counts(inputs.reference.rows, inputs.current.rows)
    importance = settings.importance_of(measurement.name)
    if measurement.design.groups < FEWEST_GROUPS:
        return Finding.INCONCLUSIVE, f"{rows} belong to too few different values of {inputs.reference.entity!r} to tell"
    finding = settings.finding(test, importance)
    if finding is not Finding.PASS:
        return finding, f"{test.sentence} (about {figures.percent(test.effect)} of rows moved), {rows}"
    if kind is ColumnKind.OTHER:
        asked_for = any(belongs(measurement.name, name) for name in settings.columns)
        return Finding.INCONCLUSIVE if asked_for else Finding.PASS, "holds values that are not compared; only nulls are counted"
    detectable = _detectable_share(measurement, inputs)
    if detectable * importance > settings.fail:
        factor = (detectable / settings.fail) ** 2
        enough = f"about {_rounded_up(inputs.current.rows * factor)} and {_rounded_up(inputs.reference.rows * factor)} would be enough"
        return Finding.INCONCLUSIVE, f"{rows} are too few to tell whether {figures.percent(settings.fail)} of rows moved: {enough}"
    if measurement.hidden >= settings.warn and test.effect + measurement.hidden >= settings.fail:
        return Finding.INCONCLUSIVE, f"{figures.percent(measurement.hidden)} of the rows lie in one cell: count both again without a layout"
    how = "not by chance, but too few to matter" if test.significant else "as by chance"
    return Finding.PASS, f"{figures.percent(test.effect)} of rows moved, {how} ({test.sentence}), {rows}"


def _detectable_share(measurement: ColumnMeasurement, inputs: _Inputs) -> float:
    """Return the smallest share of moved rows that the test of the values would have detected; its power is the least of all tests."""
    if measurement.mix and measurement.mix.freedom:
        return measurement.share * measurement.mix.detectable_share(inputs.alpha)
    n, m = (max(1, round(side.rows * measurement.share / measurement.design.ordered)) for side in (inputs.reference, inputs.current))
    return measurement.share * ordered.detectable_distance(n, m, inputs.alpha)


def _rounded_up(rows: float) -> str:
    """Return a number of rows, rounded up to two digits."""
    unit = 10 ** max(0, len(str(math.ceil(rows))) - 2)
    return f"{math.ceil(rows / unit) * unit:,}"


def _kinds_differ(reference: ColumnCounts, current: ColumnCounts) -> bool:
    return reference.column.kind is not current.column.kind and ColumnKind.EMPTY not in (reference.column.kind, current.column.kind)


def _schema_reason(name: str, inputs: _Inputs) -> str:
    reference, current = inputs.reference.of(name), inputs.current.of(name)
    if reference and current:
        return f"holds {current.column.kind.value} values where {inputs.settings.reference} has {reference.column.kind.value} values"
    who, other = (inputs.settings.current, inputs.current) if reference else (inputs.settings.reference, inputs.reference)
    near = next((tally.column.name for tally in other.tallies if tally.column.name.casefold() == name.casefold()), None)
    hint = f", but has {near!r}" if near else ""
    return f"is {'missing' if reference else 'new'}: {who} does not have it{hint}"
