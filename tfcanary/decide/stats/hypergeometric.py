"""Two shares compared exactly: every way to deal the same rows to two samples is equally likely when nothing differs.

Called by the drift comparison for null shares and for columns of few values, where no approximation is near enough.
"""

from __future__ import annotations

import math

import numpy as np

SPREADS = 14
"""Terms are summed over so many standard deviations: what lies beyond is below 1e-40 of the sum."""
ROUNDING = 1e-9
"""Shares closer than this, relative, count as the same."""


def difference_tail(successes: int, n: int, m: int, distance: float) -> float:
    """The chance that the shares of two samples lie at least `distance` apart, given their common successes.

    Args:
        successes: Of both samples together, 0 to n + m.
        n: Size of the first sample, at least 1.
        m: Size of the second, at least 1.
        distance: Between the two shares, 0 to 1.

    Fisher 1935: the successes of the first sample are hypergeometric. The sum of both tails, at most 1.
    """
    scale = 1 / n + 1 / m
    centre, reach = successes / m / scale, distance / scale * (1 - ROUNDING)
    if reach == 0:
        return 1.0
    upper = _upper_tail(math.ceil(centre + reach), successes, n, m)
    lower = _upper_tail(successes - math.floor(centre - reach), successes, m, n)
    return min(1.0, upper + lower)


def _upper_tail(least: int, successes: int, n: int, m: int) -> float:
    """The chance that at least so many of the successes fall into the first sample; `least` lies above their mean."""
    most = min(successes, n)
    if least > most:
        return 0.0
    if least <= successes - m:
        return 1.0
    total = n + m
    variance = successes * n / total * (total - successes) / total * m / max(1, total - 1)
    terms = min(most - least, int(SPREADS * math.sqrt(variance)) + 50)
    k = np.arange(least, least + terms, dtype=float)
    ratios = (successes - k) * (n - k) / ((k + 1) * (m - successes + k + 1))
    chance = _log_choose(n, least) + _log_choose(m, successes - least) - _log_choose(total, successes)
    return math.exp(min(chance, 0.0)) * (1.0 + float(np.sum(np.cumprod(ratios))))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
