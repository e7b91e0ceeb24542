"""Arithmetic on logarithms: e-values are products of thousands of factors and fit into no double."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FLOOR = 1e-300
"""Stands for 0 where a logarithm is taken."""


def log_sum_exp(values: Array, axis: int = -1) -> Array:
    """Logarithm of sum exp(values) along an axis, with the maximum taken out so that nothing overflows."""
    top = np.max(values, axis=axis, keepdims=True)
    total = np.log(np.sum(np.exp(values - top), axis=axis))
    result: Array = total + np.squeeze(top, axis=axis)
    return result


def log_add(first: Any, second: Any) -> Array:
    """ln(exp(first) + exp(second)), element by element."""
    result: Array = np.logaddexp(first, second)
    return result


def log_weight(weight: float) -> float:
    """Logarithm of a weight that may be 0."""
    return math.log(max(weight, FLOOR))
