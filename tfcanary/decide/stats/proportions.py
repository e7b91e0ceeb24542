"""Intervals for proportions: how often something happened, and how two classifiers differ on the same rows.

Called by the comparison of predictions, which must say how sure it is after some hundred requests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

from tfcanary.core.domain import Interval

STEPS = 60
"""Bisections of [-1, 1]: the bound is then exact to the last bit of a double."""


def wilson(successes: float, n: float, alpha: float) -> Interval:
    """The score interval of a proportion (Wilson 1927), which covers the truth with probability about 1 - alpha.

    It stays within [0, 1] and is honest at 0 and at n successes. With n = 0 nothing is known: 0 to 1 around 1/2.
    Raises ValueError where 0 <= successes <= n or 0 < alpha < 1 does not hold.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}: must lie between 0 and n")
    z = _quantile(alpha)
    if n == 0:
        return Interval(low=0.0, estimate=0.5, high=1.0)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At 0 and at n the bound is exactly 0 and 1; rounding would leave it a hair beside.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(low=low, estimate=share, high=high)


def paired_difference(b: float, c: float, n: float, alpha: float) -> Interval:
    """The score interval of the difference (b - c)/n between two proportions on the same n rows.

    Args:
        b: Rows that only the first classifier has right.
        c: Rows that only the second has right.
        n: All rows.
        alpha: The chance that the interval does not cover the truth.

    Tango 1998, Statistics in Medicine 17, 891-908: all differences that a score test with the nuisance parameter at its
    restricted maximum likelihood does not reject; it needs no continuity correction and stays honest at b = c = 0.
    With n = 0 nothing is known: -1 to 1. Raises ValueError where b, c >= 0, b + c <= n or 0 < alpha < 1 does not hold.
    """
    if b < 0 or c < 0 or b + c > n:
        raise ValueError(f"{b} and {c} of {n} rows: must be counts, together at most n")
    z = _quantile(alpha)
    if n == 0:
        return Interval(low=-1.0, estimate=0.0, high=1.0)
    estimate = (b - c) / n
    low = _bisect(lambda difference: _score(b, c, n, difference) > z, -1.0, estimate)
    high = _bisect(lambda difference: _score(b, c, n, difference) >= -z, estimate, 1.0)
    return Interval(low=low, estimate=estimate, high=high)


def _quantile(alpha: float) -> float:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha {alpha}: must lie between 0 and 1")
    return NormalDist().inv_cdf(1 - alpha / 2)


def _score(b: float, c: float, n: float, difference: float) -> float:
    """Tango's statistic: falls as the assumed difference rises, 0 at the estimate."""
    linear = (2 * n - b + c) * difference - b - c
    root = math.sqrt(max(linear * linear + 8 * n * c * difference * (1 - difference), 0.0))
    only_second = (root - linear) / (4 * n)
    variance = n * (2 * only_second + difference * (1 - difference))
    distance = b - c - n * difference
    return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance) if distance else 0.0


def _bisect(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where `holds` turns from true at `low` to false at `high`; `high` where it never does."""
    if holds(high):
        return high
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return (low + high) / 2
