"""Finds where rising curves cross zero: the ends of confidence sequences, for several criteria at once.

Written here because SciPy's root finders take one curve at a time, and every slim step would pay for their import (see
`tfcanary.decide.stats`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfcanary.decide.stats.logarithms import Array

STEPS: Array = np.linspace(0.0, 1.0, 25)
"""Shape (25,): parts of the searched range at which the curve is evaluated; in between it is taken to be straight."""


def first_root(curve: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Return the first x at which each row's rising curve reaches 0, shape (rows,).

    Args:
        curve: Maps x of shape (rows, points) to values of the same shape.
        low: Where the search begins, shape (rows,); the result where the curve is at or above 0 there.
        high: Where the search ends, shape (rows,); the result where the curve stays below 0.
    """
    x = low[:, None] + (high - low)[:, None] * STEPS
    value = curve(x)
    above = value >= 0.0
    rows = np.arange(len(low))
    first = np.where(above[:, -1], np.argmax(above, axis=1), len(STEPS) - 1)
    before = np.maximum(first - 1, 0)
    below, reached = value[rows, before], value[rows, first]
    rise = reached - below
    part = np.clip(-below / np.where(rise > 0.0, rise, 1.0), 0.0, 1.0)
    result: Array = x[rows, before] + np.where(rise > 0.0, part, 1.0) * (x[rows, first] - x[rows, before])
    return result
