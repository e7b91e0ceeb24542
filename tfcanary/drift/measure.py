"""The tests of one column: values, nulls, NaN, and values that the reference does not have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tfcanary.drift import ordered, unordered, words
from tfcanary.drift.counts import Tally, aligned
from tfcanary.drift.found import Settings, Share, Test
from tfcanary.drift.layout import Kind
from tfcanary.stats.hypergeometric import difference_tail


@dataclass(frozen=True, slots=True)
class Measured:
    """What one column's counts say, before it is known what those of the others say."""

    tests: tuple[Test, ...] = ()
    shares: tuple[Share, ...] = ()
    share: float = 1.0
    """Of the rows that have a value: no more can have moved within the values."""
    freedom: int = 0
    """Degrees of freedom, where values were compared by the chi-square test."""
    hidden: float = 0.0
    """By how much the effect may be larger than the cells show."""


def measure(reference: Tally, current: Tally, settings: Settings) -> Measured:
    """Compare two counts of the same column; both have rows."""
    missing = tuple(_missing(reference, current, settings))
    if not reference.present or not current.present or reference.column.kind is Kind.OTHER:
        return Measured(missing)
    share = max(reference.present / reference.rows, current.present / current.rows)
    values = _numbers if reference.column.kind.in_cells else _categories
    return values(reference, current, settings, share, missing)


def _missing(reference: Tally, current: Tally, settings: Settings) -> Iterator[Test]:
    n, m = reference.rows, current.rows
    for about, a, b in (("nulls", reference.nulls, current.nulls), ("NaN", reference.nans, current.nans)):
        if a or b:
            effect = abs(a / n - b / m)
            word = "null" if about == "nulls" else about
            yield Test(about, effect, difference_tail(a + b, n, m, effect), f"{word} in {words.against(a / n, b / m, settings)}")


def _numbers(reference: Tally, current: Tally, settings: Settings, share: float, tests: tuple[Test, ...]) -> Measured:
    keys, first, second = aligned(reference, current)
    gap = ordered.gap(first, second)
    upper = min(gap.first, gap.second) > 0.5
    shares = (1 - gap.first, 1 - gap.second) if upper else (gap.first, gap.second)
    edge = words.edges(reference, keys, first + second, [gap.at])[0]
    what = "later than" if reference.column.kind is Kind.TIME else "above"
    moved = f"{what if upper else 'up to'} {edge}: {words.against(*shares, settings)}"
    hidden = ordered.hidden(keys, reference.whole and current.whole, first, second)
    bars = words.bars_of_cells(reference, keys, first, second)
    return Measured((Test("values", gap.distance * share, gap.chance, moved), *tests), bars, share, hidden=hidden * share)


def _categories(reference: Tally, current: Tally, settings: Settings, share: float, tests: tuple[Test, ...]) -> Measured:
    keys, first, second = aligned(reference, current)
    n, m = int(first.sum()), int(second.sum())
    chance, freedom = unordered.mix_chance(first, second)
    top = np.argsort(-np.abs(first / n - second / m), kind="stable")[: words.BARS - 1].tolist()
    labels = [words.value(keys[i].as_py()) if not isinstance(keys, np.ndarray) else f"values with checksum {keys[i]:04x}" for i in top]
    moved = f"{labels[0]}: {words.against(first[top[0]] / n, second[top[0]] / m, settings)}"
    found = [Test("values", unordered.moved_share(first, second) * share, chance, moved), *tests]
    if not isinstance(keys, np.ndarray):
        found.append(_unseen(*unordered.unseen(first, second), share, settings))
    return Measured(tuple(found), words.bars_of_values(labels, first, second, top), share, freedom)


def _unseen(new: float, expected: float, chance: float, share: float, settings: Settings) -> Test:
    moved = f"{words.percent(new)} of {settings.current}'s {settings.rows} have values that {settings.reference} does not have"
    expecting = f", {words.percent(expected)} were to be expected" if expected else ""
    return Test("unseen values", max(0.0, new - expected) * share, chance, moved + expecting)
