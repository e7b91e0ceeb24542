"""Arithmetic on logarithms, for e-values: products of thousands of factors, too large or too small for a double.

Written here instead of `scipy.special.logsumexp`, whose import every slim step would pay for (see `tfcanary.decide.stats`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FLOOR = 1e-300
"""Added where the logarithm of 0 would be taken."""


def log_sum_exp(values: Array) -> Array:
    """Return the log of sum exp(values) over the last axis; the maximum is taken out so that nothing overflows."""
    top = np.max(values, axis=-1, keepdims=True)
    total = np.log(np.sum(np.exp(values - top), axis=-1))
    result: Array = total + np.squeeze(top, axis=-1)
    return result
