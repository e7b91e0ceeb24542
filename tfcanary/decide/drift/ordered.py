"""Compares two columns of numbers: how far their distributions lie apart, where, and how likely that is by chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tfcanary.decide.drift.cells import CountArray, Keys, is_single
from tfcanary.decide.stats.hypergeometric import difference_tail
from tfcanary.decide.stats.kolmogorov import kolmogorov_critical, kolmogorov_tail

FEW_CELLS = 64
"""Up to this number of cells the p-value is also bounded cell by cell, which is exact for two cells."""

ROUNDING = 1e-12
"""Smaller distances are rounding errors of sums."""


@dataclass(frozen=True, slots=True)
class DistributionGap:
    """The largest distance between two distribution functions (Kolmogorov and Smirnov)."""

    distance: float
    """Least share of rows that must have moved, 0 to 1."""
    at: int
    """Index of the cell up to which the shares differ most."""
    first: float
    """Share of the first sample's rows up to that cell."""
    second: float
    """Share of the second sample's rows up to that cell."""
    p_value: float
    """Probability of at least this distance when nothing differs: an approximate upper bound."""


def largest_gap(first: CountArray, second: CountArray, design_effect: float = 1.0) -> DistributionGap:
    """Return the largest distance between two samples that were counted in the same cells, in their order.

    Neither sample may be empty. `design_effect` is the factor by which the number of independent rows is smaller.
    """
    n, m = int(first.sum()), int(second.sum())
    below = np.cumsum(first) / n, np.cumsum(second) / m
    at = int(np.argmax(np.abs(below[0] - below[1])))
    shares = float(below[0][at]), float(below[1][at])
    distance = abs(shares[0] - shares[1])
    return DistributionGap(distance, at, *shares, _p_value(first + second, n, m, distance, design_effect))


def detectable_distance(n: int, m: int, alpha: float) -> float:
    """Return the distance from which on two samples of `n` and `m` rows differ significantly at level `alpha`."""
    return kolmogorov_critical(alpha) / math.sqrt(n * m / (n + m))


def hidden_distance(keys: Keys, whole: bool, first: CountArray, second: CountArray) -> float:
    """Return by how much the distance may be larger than the cells show: at most what both samples have in one cell of several values."""
    shares = np.minimum(first / first.sum(), second / second.sum())
    return float(shares[~is_single(keys, whole)].max(initial=0.0))


def out_of_range(first: CountArray, second: CountArray) -> tuple[float, float, float]:
    """Return what lies in the second sample below or above all values of the first; neither may be empty.

    Returns:
        The share of these rows; the share to be expected when nothing differs; and the p-value of so many rows on either side.
    """
    n, m = int(first.sum()), int(second.sum())
    inside = np.flatnonzero(first)
    low, high = int(second[: inside[0]].sum()), int(second[inside[-1] + 1 :].sum())
    p_value = min(1.0, 2 * probability_all_in_second(max(low, high), n, m)) if low or high else 1.0
    return (low + high) / m, 2 / (n + 1), p_value


def probability_all_in_second(rows: int, n: int, m: int) -> float:
    """Return the probability that all of `rows` rows fall into the second sample: C(m, t)/C(n + m, t) with t = rows."""
    if rows > m:
        return 0.0
    return math.exp(math.lgamma(m + 1) - math.lgamma(m - rows + 1) - math.lgamma(n + m + 1) + math.lgamma(n + m - rows + 1))


def _p_value(both: CountArray, n: int, m: int, distance: float, design_effect: float) -> float:
    """Return the smaller of two upper bounds of the p-value: one for any number of cells, and a sum over the edges between few cells.

    The sum detects differences in small samples of few different values, for which Kolmogorov's bound is far too large.
    """
    if distance < ROUNDING:
        return 1.0
    bound = kolmogorov_tail(distance * math.sqrt(n * m / (n + m) / design_effect))
    if len(both) > FEW_CELLS:
        return bound
    exact = sum(difference_tail(int(below), n, m, distance) for below in np.cumsum(both)[:-1])
    return min(bound, weaken(exact, design_effect))


def weaken(p_value: float, design_effect: float) -> float:
    """Return a p-value as it would be with `design_effect` times fewer rows.

    The log of a p-value is about proportional to the number of rows, so it is divided by the design effect.
    """
    return float(min(1.0, p_value) ** (1 / design_effect))


def largest_cell_share(keys: Keys, whole: bool, counts: CountArray) -> float:
    """Return the share of the rows in the largest cell of several values."""
    return float(counts[~is_single(keys, whole)].max(initial=0) / max(1, counts.sum()))
