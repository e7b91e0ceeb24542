"""The tests of one column: values, nulls, NaN, infinity, and values that are new or lie beyond all of the reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tfcanary.decide.drift import figures, ordered, unordered
from tfcanary.decide.drift.cells import CountArray, Keys, is_infinite
from tfcanary.decide.drift.comparison_result import NANS, NULLS, UNSEEN, Bar, ColumnTest, ComparisonSettings
from tfcanary.decide.drift.counts import ColumnCounts, align
from tfcanary.decide.drift.entity_spread import DesignEffects, design_effects
from tfcanary.decide.drift.layout import ColumnKind
from tfcanary.decide.stats.hypergeometric import difference_tail


@dataclass(frozen=True, slots=True)
class ColumnMeasurement:
    """The tests of one column before the correction for many tests."""

    tests: tuple[ColumnTest, ...] = ()
    bars: tuple[Bar, ...] = ()
    share: float = 1.0
    """Share of the rows that have a value: no more rows can have moved within the values."""
    mix: unordered.MixComparison | None = None
    """The comparison of categories; None where values have an order."""
    hidden: float = 0.0
    """Share of rows by which the effect may be larger than the cells show."""
    design: DesignEffects = DesignEffects()
    """Design effects of the column: factors by which the number of independent rows is smaller."""
    name: str = ""
    """Name of the column."""


def measure(reference: ColumnCounts, current: ColumnCounts, settings: ComparisonSettings) -> ColumnMeasurement:
    """Compare the counts of one column on both sides. Both must have rows."""
    pair = _ColumnPair(reference, current, settings, design_effects(reference.spread, current.spread))
    missing = tuple(_missing(pair))
    if not reference.present or not current.present or reference.column.kind is ColumnKind.OTHER:
        return ColumnMeasurement(missing, design=pair.design)
    return (_numbers if reference.column.kind.in_cells else _categories)(pair, missing)


@dataclass(frozen=True, slots=True)
class _ColumnPair:
    """The counts of one column on both sides, with what their comparison needs."""

    reference: ColumnCounts
    current: ColumnCounts
    settings: ComparisonSettings
    design: DesignEffects

    @property
    def share(self) -> float:
        """Share of the rows that have a value, on the side that has more: no more rows can have moved within the values."""
        return max(side.present / side.rows for side in (self.reference, self.current))


def _missing(pair: _ColumnPair) -> Iterator[ColumnTest]:
    reference, current = pair.reference, pair.current
    n, m = reference.rows, current.rows
    for about, a, b, design_effect in (
        (NULLS, reference.nulls, current.nulls, pair.design.nulls),
        (NANS, reference.nans, current.nans, pair.design.nans),
    ):
        if a or b:
            word = "null" if about == NULLS else about
            yield _share_test(about, word, a, b, n, m, design_effect, pair.settings)


def _share_test(about: str, word: str, a: int, b: int, n: int, m: int, design_effect: float, settings: ComparisonSettings) -> ColumnTest:
    """Return the test whether equal shares of both sides' rows, `a` of `n` and `b` of `m`, have a property."""
    effect = abs(a / n - b / m)
    p_value = ordered.weaken(difference_tail(a + b, n, m, effect), design_effect)
    return ColumnTest(about, effect, p_value, f"{word} in {figures.shares_text(a / n, b / m, settings)}")


def _numbers(pair: _ColumnPair, tests: tuple[ColumnTest, ...]) -> ColumnMeasurement:
    reference, current, settings, share = pair.reference, pair.current, pair.settings, pair.share
    keys, first, second = align(reference, current)
    gap = ordered.largest_gap(first, second, pair.design.ordered)
    upper = min(gap.first, gap.second) > 0.5
    shares = (1 - gap.first, 1 - gap.second) if upper else (gap.first, gap.second)
    edge = figures.edge_labels(reference, keys, first + second, [gap.at])[0]
    what = "later than" if reference.column.kind is ColumnKind.TIME else "above"
    sentence = f"{what if upper else 'up to'} {edge}: {figures.shares_text(*shares, settings)}"
    hidden = ordered.hidden_distance(keys, reference.whole and current.whole, first, second)
    bars = figures.bars_of_cells(reference, keys, first, second)
    tests_of_column = (ColumnTest("values", gap.distance * share, gap.p_value, sentence), *tests, *_extremes(pair, keys, first, second))
    return ColumnMeasurement(tests_of_column, bars, share, hidden=hidden * share, design=pair.design)


def _extremes(pair: _ColumnPair, keys: Keys, first: CountArray, second: CountArray) -> Iterator[ColumnTest]:
    """Yield the tests of infinite values, and of values beyond all of the reference."""
    infinite = is_infinite(keys)
    if infinite.any():
        rows = pair.reference.rows, pair.current.rows
        counts = int(first[infinite].sum()), int(second[infinite].sum())
        yield _share_test("infinite values", "infinity", *counts, *rows, pair.design.ordered, pair.settings)
    out, expected, p_value = ordered.out_of_range(first, second)
    if out:
        settings = pair.settings
        ends = figures.edge_labels(pair.reference, keys, first + second, np.flatnonzero(first)[[0, -1]].tolist())
        who = f"{figures.percent(out)} of {settings.current}'s {settings.rows}"
        sentence = f"{who} lie beyond all values of {settings.reference} (about {ends[0]} to {ends[1]})"
        p_value = ordered.weaken(p_value, pair.design.ordered)
        yield ColumnTest("out of range", max(0.0, out - expected) * pair.share, p_value, sentence)


def _categories(pair: _ColumnPair, tests: tuple[ColumnTest, ...]) -> ColumnMeasurement:
    settings, share = pair.settings, pair.share
    keys, first, second = align(pair.reference, pair.current)
    n, m = int(first.sum()), int(second.sum())
    mix = unordered.compare_mix(first, second, pair.design.mix)
    top = np.argsort(-np.abs(first / n - second / m), kind="stable")[: figures.BARS - 1].tolist()
    labels = [
        figures.value_label(keys[i].as_py()) if not isinstance(keys, np.ndarray) else f"values with checksum {keys[i]:04x}" for i in top
    ]
    sentence = f"{labels[0]}: {figures.shares_text(first[top[0]] / n, second[top[0]] / m, settings)}"
    tests_of_column = [ColumnTest("values", unordered.moved_share(first, second) * share, mix.p_value, sentence), *tests]
    if not isinstance(keys, np.ndarray):
        tests_of_column.append(_new_values(*unordered.new_values(first, second), share, settings, pair.design.mix))
    return ColumnMeasurement(tuple(tests_of_column), figures.bars_of_values(labels, first, second, top), share, mix, design=pair.design)


def _new_values(
    new: float, expected: float, p_value: float, share: float, settings: ComparisonSettings, design_effect: float
) -> ColumnTest:
    sentence = f"{figures.percent(new)} of {settings.current}'s {settings.rows} have values that {settings.reference} does not have"
    expecting = f", {figures.percent(expected)} were to be expected" if expected else ""
    return ColumnTest(UNSEEN, max(0.0, new - expected) * share, ordered.weaken(p_value, design_effect), sentence + expecting)
