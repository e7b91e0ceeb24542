"""Two columns of numbers: how far their distributions lie apart, where, and how likely that is by chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tfcanary.decide.drift.cells import Counts, Keys, is_single
from tfcanary.decide.stats.hypergeometric import difference_tail
from tfcanary.decide.stats.kolmogorov import kolmogorov_critical, kolmogorov_tail

FEW_CELLS = 64
"""With so many cells at most, chance is also bounded cell by cell, which is exact for two of them."""

ROUNDING = 1e-12
"""Distances below it are sums of floats that do not quite meet."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The largest distance between two distribution functions (Kolmogorov and Smirnov)."""

    distance: float
    """The share of rows that must have moved, at least."""
    at: int
    """Index of the cell up to which the shares differ most."""
    first: float
    """Share of the first sample's rows up to there."""
    second: float
    chance: float
    """Of a distance this large when nothing differs; about, and rather too large."""


def gap(first: Counts, second: Counts, effect: float = 1.0) -> Gap:
    """Of two samples counted in the same cells, in their order; neither may be empty. `effect` is the design effect of their rows."""
    n, m = int(first.sum()), int(second.sum())
    below = np.cumsum(first) / n, np.cumsum(second) / m
    at = int(np.argmax(np.abs(below[0] - below[1])))
    shares = float(below[0][at]), float(below[1][at])
    distance = abs(shares[0] - shares[1])
    return Gap(distance, at, *shares, _chance(first + second, n, m, distance, effect))


def seen_from(n: int, m: int, chance: float) -> float:
    """The distance from which on a difference counts, at this chance of a false alarm."""
    return kolmogorov_critical(chance) / math.sqrt(n * m / (n + m))


def hidden(keys: Keys, whole: bool, first: Counts, second: Counts) -> float:
    """By how much the distance may be larger than the cells show: at most what both samples have in one cell of several values."""
    shares = np.minimum(first / first.sum(), second / second.sum())
    return float(shares[~is_single(keys, whole)].max(initial=0.0))


def beyond(first: Counts, second: Counts) -> tuple[float, float, float]:
    """Rows of the second sample that lie below or above all of the first; neither may be empty.

    Returns:
        Their share; the share to be expected when nothing differs; and the chance of so many on either side.
    """
    n, m = int(first.sum()), int(second.sum())
    inside = np.flatnonzero(first)
    low, high = int(second[: inside[0]].sum()), int(second[inside[-1] + 1 :].sum())
    chance = min(1.0, 2 * all_in_second(max(low, high), n, m)) if low or high else 1.0
    return (low + high) / m, 2 / (n + 1), chance


def all_in_second(rows: int, n: int, m: int) -> float:
    """The chance that all of so many rows fall into the second sample: C(m, t)/C(n + m, t)."""
    if rows > m:
        return 0.0
    return math.exp(math.lgamma(m + 1) - math.lgamma(m - rows + 1) - math.lgamma(n + m + 1) + math.lgamma(n + m - rows + 1))


def _chance(both: Counts, n: int, m: int, distance: float, effect: float) -> float:
    """The smaller of two upper bounds: for any number of cells, and the sum over the few edges between them.

    The second is what keeps small samples of few different values from being called the same: Kolmogorov's bound is far from
    sharp there.
    """
    if distance < ROUNDING:
        return 1.0
    bound = kolmogorov_tail(distance * math.sqrt(n * m / (n + m) / effect))
    if len(both) > FEW_CELLS:
        return bound
    exact = sum(difference_tail(int(below), n, m, distance) for below in np.cumsum(both)[:-1])
    return min(bound, weakened(exact, effect))


def weakened(chance: float, effect: float) -> float:
    """A chance as it is with so many times fewer rows: its exponent, which is about as long as there are rows, is shortened."""
    return float(min(1.0, chance) ** (1 / effect))


def coarsest(keys: Keys, whole: bool, counts: Counts) -> float:
    """The share of rows in the largest cell of several values."""
    return float(counts[~is_single(keys, whole)].max(initial=0) / max(1, counts.sum()))
