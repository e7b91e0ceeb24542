"""The tests of one column: values, nulls, NaN, infinity, and values that the reference does not have or that lie beyond its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tfcanary.decide.drift import figures, ordered, unordered
from tfcanary.decide.drift.cells import Counts, Keys, is_infinite
from tfcanary.decide.drift.comparison_result import Settings, Share, Test
from tfcanary.decide.drift.counts import Tally, aligned
from tfcanary.decide.drift.entity_spread import Design, design
from tfcanary.decide.drift.layout import Kind
from tfcanary.decide.stats.hypergeometric import difference_tail


@dataclass(frozen=True, slots=True)
class Measured:
    """What one column's counts say, before it is known what those of the others say."""

    tests: tuple[Test, ...] = ()
    shares: tuple[Share, ...] = ()
    share: float = 1.0
    """Of the rows that have a value: no more can have moved within the values."""
    mix: unordered.Mix | None = None
    """Where values have no order."""
    hidden: float = 0.0
    """By how much the effect may be larger than the cells show."""
    design: Design = Design()
    """How many times fewer rows there are in truth."""
    name: str = ""
    """Of the column."""


def measure(reference: Tally, current: Tally, settings: Settings) -> Measured:
    """Compare two counts of the same column; both have rows."""
    asked = _Sides(reference, current, settings, design(reference.spread, current.spread))
    missing = tuple(_missing(asked))
    if not reference.present or not current.present or reference.column.kind is Kind.OTHER:
        return Measured(missing, design=asked.design)
    return (_numbers if reference.column.kind.in_cells else _categories)(asked, missing)


@dataclass(frozen=True, slots=True)
class _Sides:
    reference: Tally
    current: Tally
    settings: Settings
    design: Design

    @property
    def share(self) -> float:
        """Of the rows that have a value, on the side that has more: no more can have moved within the values."""
        return max(side.present / side.rows for side in (self.reference, self.current))


def _missing(asked: _Sides) -> Iterator[Test]:
    reference, current = asked.reference, asked.current
    n, m = reference.rows, current.rows
    for about, a, b, times in (
        ("nulls", reference.nulls, current.nulls, asked.design.nulls),
        ("NaN", reference.nans, current.nans, asked.design.nans),
    ):
        if a or b:
            word = "null" if about == "nulls" else about
            yield _difference(about, word, a, b, n, m, times, asked.settings)


def _difference(about: str, word: str, a: int, b: int, n: int, m: int, times: float, settings: Settings) -> Test:
    """Whether as many rows of both sides are like this."""
    effect = abs(a / n - b / m)
    chance = ordered.weakened(difference_tail(a + b, n, m, effect), times)
    return Test(about, effect, chance, f"{word} in {figures.against(a / n, b / m, settings)}")


def _numbers(asked: _Sides, tests: tuple[Test, ...]) -> Measured:
    reference, current, settings, share = asked.reference, asked.current, asked.settings, asked.share
    keys, first, second = aligned(reference, current)
    gap = ordered.gap(first, second, asked.design.ordered)
    upper = min(gap.first, gap.second) > 0.5
    shares = (1 - gap.first, 1 - gap.second) if upper else (gap.first, gap.second)
    edge = figures.edges(reference, keys, first + second, [gap.at])[0]
    what = "later than" if reference.column.kind is Kind.TIME else "above"
    moved = f"{what if upper else 'up to'} {edge}: {figures.against(*shares, settings)}"
    hidden = ordered.hidden(keys, reference.whole and current.whole, first, second)
    bars = figures.bars_of_cells(reference, keys, first, second)
    found = (Test("values", gap.distance * share, gap.chance, moved), *tests, *_extremes(asked, keys, first, second))
    return Measured(found, bars, share, hidden=hidden * share, design=asked.design)


def _extremes(asked: _Sides, keys: Keys, first: Counts, second: Counts) -> Iterator[Test]:
    """Infinity, and what lies beyond all values of the reference."""
    infinite = is_infinite(keys)
    if infinite.any():
        rows = asked.reference.rows, asked.current.rows
        counts = int(first[infinite].sum()), int(second[infinite].sum())
        yield _difference("infinite values", "infinity", *counts, *rows, asked.design.ordered, asked.settings)
    out, expected, chance = ordered.beyond(first, second)
    if out:
        settings = asked.settings
        ends = figures.edges(asked.reference, keys, first + second, np.flatnonzero(first)[[0, -1]].tolist())
        who = f"{figures.percent(out)} of {settings.current}'s {settings.rows}"
        moved = f"{who} lie beyond all values of {settings.reference} (about {ends[0]} to {ends[1]})"
        chance = ordered.weakened(chance, asked.design.ordered)
        yield Test("out of range", max(0.0, out - expected) * asked.share, chance, moved)


def _categories(asked: _Sides, tests: tuple[Test, ...]) -> Measured:
    settings, share = asked.settings, asked.share
    keys, first, second = aligned(asked.reference, asked.current)
    n, m = int(first.sum()), int(second.sum())
    mix = unordered.mix(first, second, asked.design.mix)
    top = np.argsort(-np.abs(first / n - second / m), kind="stable")[: figures.BARS - 1].tolist()
    labels = [figures.value(keys[i].as_py()) if not isinstance(keys, np.ndarray) else f"values with checksum {keys[i]:04x}" for i in top]
    moved = f"{labels[0]}: {figures.against(first[top[0]] / n, second[top[0]] / m, settings)}"
    found = [Test("values", unordered.moved_share(first, second) * share, mix.chance, moved), *tests]
    if not isinstance(keys, np.ndarray):
        found.append(_unseen(*unordered.unseen(first, second), share, settings, asked.design.mix))
    return Measured(tuple(found), figures.bars_of_values(labels, first, second, top), share, mix, design=asked.design)


def _unseen(new: float, expected: float, chance: float, share: float, settings: Settings, times: float) -> Test:
    moved = f"{figures.percent(new)} of {settings.current}'s {settings.rows} have values that {settings.reference} does not have"
    expecting = f", {figures.percent(expected)} were to be expected" if expected else ""
    return Test("unseen values", max(0.0, new - expected) * share, ordered.weakened(chance, times), moved + expecting)
