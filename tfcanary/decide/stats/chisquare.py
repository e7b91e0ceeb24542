"""The chi-square distribution: its upper tail, far out as well, and an approximate quantile.

The drift comparison tests thousands of categories at once and needs tails of 1e-6 and less. Written here instead of
`scipy.special.chdtrc`, whose import every slim step would pay for (see `tfcanary.decide.stats`).
"""

from __future__ import annotations

import math
from statistics import NormalDist

PRECISION = 1e-15
"""Relative size below which a further term of a sum is ignored."""
SMALLEST = 1e-300
"""Replaces a denominator of 0 in Lentz's method."""


def chi_square_tail(x: float, freedom: float) -> float:
    """Return the probability of a value above `x`, with a relative error below 1e-9 down to 1e-300.

    `freedom` is the number of degrees of freedom, not necessarily whole. Raises ValueError where it is not positive.
    """
    if not freedom > 0:
        raise ValueError(f"{freedom} degrees of freedom: must be positive")
    if x <= 0:
        return 1.0
    a, half = freedom / 2, x / 2
    if half < a + 1:
        return 1.0 - _front(a, half) * _series(a, half)
    return _front(a, half) * _fraction(a, half)


def chi_square_critical(p: float, freedom: float) -> float:
    """Return the value that is exceeded with probability `p` (Wilson and Hilferty 1931): within 3 % down to p = 0.001.

    An approximation: it serves to say how many rows would be enough, not to decide.
    """
    spread = 2 / (9 * freedom)
    return float(freedom * max(0.0, 1 - spread + NormalDist().inv_cdf(1 - p) * math.sqrt(spread)) ** 3)


def _front(a: float, x: float) -> float:
    """Return x^a e^-x / Gamma(a), the factor that both expansions of the incomplete gamma function share."""
    return math.exp(min(a * math.log(x) - x - math.lgamma(a), 700.0))


def _series(a: float, x: float) -> float:
    """Return the lower incomplete gamma function divided by `_front`: the sum of x^k/(a (a+1) ... (a+k)) (Abramowitz and Stegun 6.5.29)."""
    term = total = 1 / a
    while term > PRECISION * total:
        a += 1
        term *= x / a
        total += term
    return total


def _fraction(a: float, x: float) -> float:
    """Return the upper incomplete gamma function divided by `_front`: a continued fraction (Abramowitz and Stegun 6.5.31), Lentz's method."""
    b = x + 1 - a
    c, d = 1 / SMALLEST, 1 / b
    value, step, k = d, 0.0, 0
    while abs(step - 1) > PRECISION * 10:
        k += 1
        factor = -k * (k - a)
        b += 2
        d = 1 / (factor * d + b or SMALLEST)
        c = b + factor / c or SMALLEST
        step = d * c
        value *= step
    return value
