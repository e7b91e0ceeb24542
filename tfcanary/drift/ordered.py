"""Two columns of numbers: how far their distributions lie apart, where, and how likely that is by chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tfcanary.drift.cells import Counts, Keys, is_single
from tfcanary.stats.hypergeometric import difference_tail
from tfcanary.stats.kolmogorov import kolmogorov_critical, kolmogorov_tail

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


def gap(first: Counts, second: Counts) -> Gap:
    """Of two samples counted in the same cells, in their order; neither may be empty."""
    n, m = int(first.sum()), int(second.sum())
    below = np.cumsum(first) / n, np.cumsum(second) / m
    at = int(np.argmax(np.abs(below[0] - below[1])))
    shares = float(below[0][at]), float(below[1][at])
    distance = abs(shares[0] - shares[1])
    return Gap(distance, at, *shares, _chance(first + second, n, m, distance))


def seen_from(n: int, m: int, chance: float) -> float:
    """The distance from which on a difference counts, at this chance of a false alarm."""
    return kolmogorov_critical(chance) / math.sqrt(n * m / (n + m))


def hidden(keys: Keys, whole: bool, first: Counts, second: Counts) -> float:
    """By how much the distance may be larger than the cells show: at most what both samples have in one cell of several values."""
    shares = np.minimum(first / first.sum(), second / second.sum())
    return float(shares[~is_single(keys, whole)].max(initial=0.0))


def _chance(both: Counts, n: int, m: int, distance: float) -> float:
    """The smaller of two upper bounds: for any number of cells, and the sum over the few edges between them.

    The second is what keeps small samples of few different values from being called the same: Kolmogorov's bound is far from
    sharp there.
    """
    if distance < ROUNDING:
        return 1.0
    bound = kolmogorov_tail(distance * math.sqrt(n * m / (n + m)))
    if len(both) > FEW_CELLS:
        return bound
    return min(bound, sum(difference_tail(int(below), n, m, distance) for below in np.cumsum(both)[:-1]))
