"""Compares two columns of categories: the share of rows that moved to other values, and how likely that is by chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcanary.decide.drift.cells import CountArray
from tfcanary.decide.drift.ordered import probability_all_in_second, weaken
from tfcanary.decide.stats.chisquare import chi_square_critical, chi_square_tail
from tfcanary.decide.stats.hypergeometric import difference_tail

EXPECTED = 2
"""Rows that must be expected of each group of rare values in the smaller sample.

Groups with fewer are hardly ever told apart, and their p-values are coarse.
"""
FEW_ROWS = 24
"""A value with more rows is halved as if its counts were normal; both ways agree there to 1 %."""
IMPOSSIBLE = 1e-9
"""The p-value of values so frequent that they cannot be missing from a sample by chance."""

Shares = NDArray[np.float64]


def moved_share(first: CountArray, second: CountArray) -> float:
    """Return the share of rows that moved to other values: total variation distance, without the bias that chance gives it.

    Halve both samples, find the values that rose in the first half, and measure by how much they rise in the second. The result is the mean
    of that over all ways of halving, so that nothing is drawn at random. It is 0 on average when nothing differs, however many values there
    are; where many rare values share the change it is too small rather than too large.
    """
    n, m = int(first.sum()), int(second.sum())
    if min(n, m) < 2:
        return float(np.abs(first / n - second / m).sum() / 2)
    few = first + second <= FEW_ROWS
    pairs, times = np.unique(first[few] * (FEW_ROWS + 1) + second[few], return_counts=True)
    counts = [(t, *divmod(pair, FEW_ROWS + 1)) for pair, t in zip(pairs.tolist(), times.tolist(), strict=True)]
    rare = sum(t * _half_difference(_halves(a, n), _halves(b, m)) for t, a, b in counts)
    return max(0.0, float(rare + _normal_half_difference(first[~few] / n, second[~few] / m, n, m)) / 2)


@dataclass(frozen=True, slots=True)
class MixComparison:
    """How the shares of the values differ between two samples, summed over all values."""

    p_value: float = 1.0
    """Probability of at least this difference when nothing differs."""
    freedom: float = 0.0
    """Degrees of freedom of the chi-square distribution that the sum has when nothing differs; 0 where there is one value only."""
    spread: float = 0.0
    """Standard deviation of the sum when nothing differs."""
    pull: float = 1.0
    """By how much the sum would grow if all rows moved, and all values alike."""

    def detectable_share(self, alpha: float) -> float:
        """Return the share of moved rows from which on the samples differ significantly at level `alpha`, when all values move alike."""
        beyond = max(0.0, chi_square_critical(alpha, self.freedom) - self.freedom) / math.sqrt(2 * self.freedom)
        return math.sqrt(beyond * self.spread / self.pull)


def compare_mix(first: CountArray, second: CountArray, design_effect: float = 1.0) -> MixComparison:
    """Compare two samples value by value; `design_effect` is the factor by which the number of independent rows is smaller.

    Each value's rows in the second sample, less those to be expected, are squared and weighted by one over the square root of the
    value's rows. The chi-square test divides by the rows themselves: then a hundred rare values, in which nothing can be detected, drown
    the few that show a drift. Where all values have equally many rows, it is the chi-square test.
    """
    n, m = int(first.sum()), int(second.sum())
    first, second = pool_rare(first, second)
    if len(first) == 1:
        return MixComparison()
    rows, part = (first + second).astype(float), m / (n + m)
    weights = 1 / np.sqrt(rows)
    mean, variance, freedom = _null_moments(rows, weights, part)
    summed = float(np.sum(weights * (second - part * rows) ** 2))
    pull = 4 * (part * (1 - part)) ** 2 * float(np.sum(weights * rows * rows))
    if len(first) == 2:
        p_value = weaken(difference_tail(int(rows[0]), n, m, abs(first[0] / n - second[0] / m)), design_effect)
    else:
        p_value = chi_square_tail(freedom + (summed / design_effect - mean) * math.sqrt(2 * freedom / variance), freedom)
    return MixComparison(p_value, freedom, design_effect * math.sqrt(variance), pull)


def _null_moments(rows: Shares, weights: Shares, part: float) -> tuple[float, float, float]:
    """Return mean and variance of the sum when nothing differs, and the degrees of freedom of the chi-square distribution as skewed as it.

    The values' rows in the second sample are then binomial, given their sum. The cumulants of a binomial tell how far the sum for few
    rows is from that of normal numbers, which the given sum makes dependent (Buckley and Eagleson 1988 for such sums). The more skewed
    of both is used: it has the longer tail.
    """
    total, dealt = float(rows.sum()), part * (1 - part)
    each = dealt * rows * total / (total - 1)
    parts, tied = weights * each, weights * each**2 * (total - 1) / (dealt * total**2)
    tie, tied_parts = float(tied.sum()), float(np.sum(tied * parts))
    squares = float(np.sum(parts**2)) - 2 * tied_parts + tie**2
    cubes = float(np.sum(parts**3)) - 3 * float(np.sum(tied * parts**2)) + 3 * tied_parts * tie - tie**3
    third, fourth, sixth = (1 - 2 * part) * each, (1 - 6 * dealt) * each, (1 - 30 * dealt + 120 * dealt**2) * each
    variance = 2 * squares + float(np.sum(weights**2 * fourth))
    skewed = 8 * cubes + float(np.sum(weights**3 * (sixth + 12 * fourth * each + 10 * third**2)))
    freedom = squares**3 / cubes**2
    return float(parts.sum()) - tie, variance, min(freedom, 8 * variance**3 / skewed**2) if skewed > 0 else freedom


def new_values(first: CountArray, second: CountArray) -> tuple[float, float, float]:
    """Return what the second sample has of values that the first does not have.

    Returns:
        The share of these rows; the share to be expected when nothing differs, which is that of the values that occur once in the first
        sample (Good 1953); and the p-value of so many rows.
    """
    n, m = int(first.sum()), int(second.sum())
    new = second[first == 0]
    return float(new.sum() / m), float((first == 1).sum() / n), _new_values_p_value(new, first + second, n, m)


def pool_rare(first: CountArray, second: CountArray) -> tuple[CountArray, CountArray]:
    """Pool rare values in groups of which EXPECTED rows or more are expected in each sample.

    Which values go together depends on the sums of both samples alone.
    """
    both = first + second
    least = EXPECTED * int(both.sum()) / max(1, min(int(first.sum()), int(second.sum())))
    order = np.argsort(both, kind="stable")
    begins: list[int] = []
    filled = least
    rare = both[order][both[order] < least].tolist()
    for index, rows in enumerate(rare):
        if filled >= least:
            begins.append(index)
            filled = 0
        filled += rows
    begins += range(len(rare) + (filled < least), len(both))
    if filled < least and len(begins) > 1 and len(rare) == len(both):
        begins.pop()
    return np.add.reduceat(first[order], begins), np.add.reduceat(second[order], begins)


@lru_cache(4 * FEW_ROWS)
def _halves(count: int, rows: int) -> tuple[Shares, Shares, Shares]:
    """Return each way in which a value's rows may fall into two halves of all rows.

    Each way has its share in one half, its share in the other half, and its probability; three arrays of shape (ways,).
    """
    half = rows // 2
    inside = np.arange(max(0, count - (rows - half)), min(count, half) + 1)
    ways = [math.comb(half, k) * math.comb(rows - half, count - k) for k in inside.tolist()]
    total = math.comb(rows, count)
    return inside / half, (count - inside) / (rows - half), np.array([way / total for way in ways])


def _half_difference(first: tuple[Any, Any, Any], second: tuple[Any, Any, Any]) -> float:
    """Return the mean rise in one half, counted as a fall where the other half falls."""
    signs = np.sign(second[0][:, None] - first[0])
    rises = second[1][:, None] - first[1]
    return float(np.sum(signs * rises * second[2][:, None] * first[2]))


def _normal_half_difference(p: Shares, q: Shares, n: int, m: int) -> float:
    """Return the mean rise in one half, summed over values with many rows, counted as a fall where the other half falls.

    With differences d + e and d - e in the halves, where e is normal, that is E[sign(d + e) (d - e)].
    """
    difference = np.abs(q - p)
    spread = np.sqrt(np.maximum(p * (1 - p) / (n - 1) + q * (1 - q) / (m - 1), 1e-300))
    z = difference / spread
    beyond = np.array([math.erf(value / math.sqrt(2)) for value in z.tolist()])
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return float(np.sum(difference * beyond - 2 * spread * density))


def _new_values_p_value(new: CountArray, both: CountArray, n: int, m: int) -> float:
    """Return Bernstein's bound on the number of rows of values that lie in the second sample alone by chance.

    Given how many rows a value has in both samples, whether they all lie in the second is a coin with known probability. Such coins are
    negatively associated (Joag-Dev and Proschan 1983), and for those the bound holds.
    """
    rows, values = np.unique(both, return_counts=True)
    alone = np.array([probability_all_in_second(t, n, m) for t in rows.tolist()])
    possible = np.cumsum((values * alone)[::-1])[::-1] > IMPOSSIBLE
    largest = int(rows[possible].max(initial=0))
    if not len(new) or int(new.max()) > largest:
        return IMPOSSIBLE if len(new) else 1.0
    weight = values * alone * rows
    above = float(new.sum() - weight.sum())
    variance = float(np.sum(weight * rows * (1 - alone)))
    return 1.0 if above <= 0 else min(1.0, math.exp(-above * above / (2 * (variance + largest * above / 3))) + IMPOSSIBLE)
