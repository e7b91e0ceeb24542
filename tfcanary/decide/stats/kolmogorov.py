"""Kolmogorov's distribution: how far apart two samples of one distribution lie by chance.

Written here instead of `scipy.special.kolmogorov`, whose import every slim step would pay for (see `tfcanary.decide.stats`).
"""

from __future__ import annotations

import math

DUAL_BELOW = 1.0
"""Below this value the alternating series converges slowly, and its theta-function dual in three terms."""


def kolmogorov_tail(x: float) -> float:
    """Return the probability that sqrt(nm/(n + m)) times the distance of two empirical distribution functions exceeds `x`.

    Kolmogorov 1933. Exact for large n and m; at small n and m, and for values that repeat, it is about an upper bound.
    """
    if x <= 0:
        return 1.0
    if x < DUAL_BELOW:
        terms = (math.exp(-((2 * k - 1) ** 2) * math.pi**2 / (8 * x * x)) for k in (1, 2, 3))
        return max(0.0, 1.0 - math.sqrt(2 * math.pi) / x * sum(terms))
    return 2 * sum((1 if k % 2 else -1) * math.exp(-2 * k * k * x * x) for k in range(1, 6))


def kolmogorov_critical(p: float) -> float:
    """Return the value that is exceeded with probability `p`, by the first term of the series: exact to 1 % for p up to 1/2."""
    return math.sqrt(math.log(2 / p) / 2)
