"""Student's t distribution for whole degrees of freedom: its quantiles, from the closed form of its distribution function.

Written here instead of `scipy.stats.t`, whose import every slim step would pay for (see `tfcanary.decide.stats`).
"""

from __future__ import annotations

import math
from functools import cache

HALVINGS = 60
"""Halvings of the search interval: more would not change a double."""


def upper_tail(t: float, freedom: int) -> float:
    """Return the probability of a value above `t` >= 0, for `freedom` degrees of freedom from 1 on."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    first = 1 if freedom % 2 else 0
    term, total = (cosine if first else 1.0), 0.0
    for k in range(first + 1, freedom, 2):
        total += term
        term *= cosine**2 * k / (k + 1)
    central = (angle + sine * total) * 2.0 / math.pi if first else sine * total
    return 0.5 * (1.0 - central)


@cache
def upper_quantile(tail: float, freedom: int) -> float:
    """Return the value that is exceeded with probability `tail`, which lies above 0 and is at most a half."""
    low, high = 0.0, math.pi / 2
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        if upper_tail(math.tan(middle) * math.sqrt(freedom), freedom) > tail:
            low = middle
        else:
            high = middle
    return math.tan(low) * math.sqrt(freedom)
