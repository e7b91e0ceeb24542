"""Kolmogorov's distribution: how far two samples of the same thing drift apart by chance."""

from __future__ import annotations

import math

DUAL_BELOW = 1.0
"""Below it the alternating series converges slowly, and its theta-function dual in three terms."""


def kolmogorov_tail(x: float) -> float:
    """The chance that sqrt(nm/(n+m)) times the distance of two empirical distribution functions exceeds x, for large n and m.

    Kolmogorov 1933. An upper bound, about, at every n and m, and for values that repeat.
    """
    if x <= 0:
        return 1.0
    if x < DUAL_BELOW:
        terms = (math.exp(-((2 * k - 1) ** 2) * math.pi**2 / (8 * x * x)) for k in (1, 2, 3))
        return max(0.0, 1.0 - math.sqrt(2 * math.pi) / x * sum(terms))
    return 2 * sum((1 if k % 2 else -1) * math.exp(-2 * k * k * x * x) for k in range(1, 6))


def kolmogorov_critical(p: float) -> float:
    """The value that is exceeded with chance p, by the series' first term: exact to 1 % for p <= 1/2."""
    return math.sqrt(math.log(2 / p) / 2)
