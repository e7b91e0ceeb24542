"""Two columns of categories: which share of rows moved to other values, and how likely that is by chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcanary.decide.drift.cells import Counts
from tfcanary.decide.drift.ordered import all_in_second, weakened
from tfcanary.decide.stats.chisquare import chi_square_critical, chi_square_tail
from tfcanary.decide.stats.hypergeometric import difference_tail

EXPECTED = 2
"""Rows that each group of rare values must let expect in the smaller sample: fewer are hardly ever told apart, and their chances are coarse."""
FEW_ROWS = 24
"""A value with more rows than this is halved as if its counts were normal; both ways agree there to 1 %."""
IMPOSSIBLE = 1e-9
"""The chance that is granted to values so frequent that they cannot be missing from a sample by chance."""

Shares = NDArray[np.float64]


def moved_share(first: Counts, second: Counts) -> float:
    """The share of rows that moved to other values: total variation distance, without the bias that chance gives it.

    Halve both samples; find the values that rose in the first half; measure by how much they rise in the second. What is returned is
    the mean of that over all ways of halving, so nothing is drawn. It is 0 on average when nothing differs, however many values there
    are; where many rare values share the change it is too small rather than too large.
    """
    n, m = int(first.sum()), int(second.sum())
    if min(n, m) < 2:
        return float(np.abs(first / n - second / m).sum() / 2)
    few = first + second <= FEW_ROWS
    pairs, times = np.unique(first[few] * (FEW_ROWS + 1) + second[few], return_counts=True)
    counts = [(t, *divmod(pair, FEW_ROWS + 1)) for pair, t in zip(pairs.tolist(), times.tolist(), strict=True)]
    rare = sum(t * _halved(_halves(a, n), _halves(b, m)) for t, a, b in counts)
    return max(0.0, float(rare + _halved_normal(first[~few] / n, second[~few] / m, n, m)) / 2)


@dataclass(frozen=True, slots=True)
class Mix:
    """How the shares of two samples differ, summed up over all values."""

    chance: float = 1.0
    """Of as much when nothing differs."""
    freedom: float = 0.0
    """Degrees of freedom of the chi-square distribution that the sum has when nothing differs; 0: there is one value only."""
    spread: float = 0.0
    """The standard deviation of the sum when nothing differs."""
    pull: float = 1.0
    """By how much the sum would grow if all rows moved, and all values alike."""

    def seen_from(self, chance: float) -> float:
        """The share of moved rows from which on a difference counts, at this chance of a false alarm, when all values move alike."""
        beyond = max(0.0, chi_square_critical(chance, self.freedom) - self.freedom) / math.sqrt(2 * self.freedom)
        return math.sqrt(beyond * self.spread / self.pull)


def mix(first: Counts, second: Counts, effect: float = 1.0) -> Mix:
    """Compare two samples value by value; `effect` is the design effect of their rows.

    Each value's rows in the second sample, less those to be expected, are squared and weighed by one over the square root of its rows.
    The chi-square test divides by the rows themselves: then a hundred rare values, in which nothing can be seen, drown the few that
    show a drift. Where all have as many rows, it is the chi-square test.
    """
    n, m = int(first.sum()), int(second.sum())
    first, second = pooled(first, second)
    if len(first) == 1:
        return Mix()
    rows, part = (first + second).astype(float), m / (n + m)
    weights = 1 / np.sqrt(rows)
    mean, variance, freedom = _when_nothing_differs(rows, weights, part)
    summed = float(np.sum(weights * (second - part * rows) ** 2))
    pull = 4 * (part * (1 - part)) ** 2 * float(np.sum(weights * rows * rows))
    if len(first) == 2:
        chance = weakened(difference_tail(int(rows[0]), n, m, abs(first[0] / n - second[0] / m)), effect)
    else:
        chance = chi_square_tail(freedom + (summed / effect - mean) * math.sqrt(2 * freedom / variance), freedom)
    return Mix(chance, freedom, effect * math.sqrt(variance), pull)


def _when_nothing_differs(rows: Shares, weights: Shares, part: float) -> tuple[float, float, float]:
    """Mean and variance of the sum when the rows are dealt out by chance, and the freedom of the chi-square distribution as skew as it.

    The values' rows in the second sample are then binomial, given that they add up; a binomial's cumulants tell how far the sum of few
    rows is from that of normal numbers, which adding up makes dependent (Buckley and Eagleson 1988 for such sums). The more skewed of
    both is taken: it has the longer tail.
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


def unseen(first: Counts, second: Counts) -> tuple[float, float, float]:
    """Rows of the second sample with values that the first does not have.

    Returns:
        Their share; the share to be expected when nothing differs, which is that of the values seen once in the first (Good 1953); and
        the chance of so many.
    """
    n, m = int(first.sum()), int(second.sum())
    new = second[first == 0]
    return float(new.sum() / m), float((first == 1).sum() / n), _unseen_chance(new, first + second, n, m)


def pooled(first: Counts, second: Counts) -> tuple[Counts, Counts]:
    """Rare values in groups that let expect EXPECTED rows or more in each sample. Which ones go together depends on their sums alone."""
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
    """Each way a value's rows may fall into two halves of all rows: its share in one, in the other, and the chance of it."""
    half = rows // 2
    inside = np.arange(max(0, count - (rows - half)), min(count, half) + 1)
    ways = [math.comb(half, k) * math.comb(rows - half, count - k) for k in inside.tolist()]
    total = math.comb(rows, count)
    return inside / half, (count - inside) / (rows - half), np.array([way / total for way in ways])


def _halved(first: tuple[Any, Any, Any], second: tuple[Any, Any, Any]) -> float:
    """The mean rise in one half, taken as a fall where the other half falls."""
    signs = np.sign(second[0][:, None] - first[0])
    rises = second[1][:, None] - first[1]
    return float(np.sum(signs * rises * second[2][:, None] * first[2]))


def _halved_normal(p: Shares, q: Shares, n: int, m: int) -> float:
    """The same for values with many rows: with d + e and d - e in the halves, e normal, E[sign(d + e) (d - e)], summed up."""
    difference = np.abs(q - p)
    spread = np.sqrt(np.maximum(p * (1 - p) / (n - 1) + q * (1 - q) / (m - 1), 1e-300))
    z = difference / spread
    beyond = np.array([math.erf(value / math.sqrt(2)) for value in z.tolist()])
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return float(np.sum(difference * beyond - 2 * spread * density))


def _unseen_chance(new: Counts, both: Counts, n: int, m: int) -> float:
    """Bernstein's bound on the rows of values that happen to lie in the second sample alone.

    Whether each value does is a coin with known chance, given how many rows it has in both, and such coins are negatively associated
    (Joag-Dev and Proschan 1983), for which the bound holds.
    """
    rows, values = np.unique(both, return_counts=True)
    alone = np.array([all_in_second(t, n, m) for t in rows.tolist()])
    possible = np.cumsum((values * alone)[::-1])[::-1] > IMPOSSIBLE
    largest = int(rows[possible].max(initial=0))
    if not len(new) or int(new.max()) > largest:
        return IMPOSSIBLE if len(new) else 1.0
    weight = values * alone * rows
    above = float(new.sum() - weight.sum())
    variance = float(np.sum(weight * rows * (1 - alone)))
    return 1.0 if above <= 0 else min(1.0, math.exp(-above * above / (2 * (variance + largest * above / 3))) + IMPOSSIBLE)
