"""Fisher's exact test of two shares: when nothing differs, every way to deal the same rows to two samples is equally likely.

The drift comparison uses it for shares of nulls and for columns of few values, where no approximation is close enough. Written
here instead of `scipy.stats.hypergeom`, whose import every slim step would pay for (see `tfcanary.decide.stats`).
"""

from __future__ import annotations

import math

import numpy as np

SPREADS = 14
"""Terms are summed over this many standard deviations; what lies beyond is below 1e-40 of the sum."""
ROUNDING = 1e-9
"""Shares closer than this relative distance count as equal."""


def difference_tail(successes: int, n: int, m: int, distance: float) -> float:
    """Return the probability that the shares of two samples lie at least `distance` apart, given their common number of successes.

    Args:
        successes: Successes of both samples together, 0 to n + m.
        n: Size of the first sample, at least 1.
        m: Size of the second sample, at least 1.
        distance: Absolute difference of the two shares, 0 to 1.

    Given their common number, the successes of the first sample are hypergeometric (Fisher 1935). The result is the sum of both tails,
    at most 1.
    """
    scale = 1 / n + 1 / m
    centre, reach = successes / m / scale, distance / scale * (1 - ROUNDING)
    if reach == 0:
        return 1.0
    upper = _upper_tail(math.ceil(centre + reach), successes, n, m)
    lower = _upper_tail(successes - math.floor(centre - reach), successes, m, n)
    return min(1.0, upper + lower)


def _upper_tail(least: int, successes: int, n: int, m: int) -> float:
    """Return the probability that at least `least` of the successes fall into the first sample; `least` lies above their mean."""
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
