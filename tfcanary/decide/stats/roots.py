"""Where rising curves cross zero: the ends of a confidence sequence, several criteria at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfcanary.decide.stats.logarithms import Array

STEPS: Array = np.linspace(0.0, 1.0, 25)
"""Of the range that is looked at; between two of them the curve is taken to be straight."""


def rises_above_zero(curve: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """The first x where each row's rising curve reaches 0.

    Args:
        curve: Maps x of shape (rows, points) to values of the same shape.
        low: Where to begin, shape (rows,): the answer where the curve is above 0 already.
        high: Where to end, shape (rows,): the answer where the curve stays below 0.
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
