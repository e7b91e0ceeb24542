"""The long-run variance of a series whose neighbouring terms are correlated: the variance of its sum.

Newey and West 1987, Econometrica 55: autocovariances with falling (Bartlett) weights, so that the result is never negative. SciPy
has no such function.
"""

from __future__ import annotations

import numpy as np

from tfcanary.decide.stats.logarithms import Array


def long_run_variance(series: Array, lag: int) -> Array:
    """Return the Bartlett-weighted variance of the sum of each row, shape (rows,).

    Args:
        series: Shape (rows, windows); the mean of a row is about 0.
        lag: Number of windows up to which neighbours are taken to be correlated.

    The result is sum u_t^2 + 2 sum_j (1 - j/(lag + 1)) sum_t u_t u_{t-j}. It is computed as the sum of the squares of all moving sums of
    lag + 1 terms (with zeros beyond both ends), divided by lag + 1, which is equal and three times faster.
    """
    rows, windows = series.shape
    if windows == 0:
        return np.zeros(rows)
    total = np.zeros((rows, windows + 1))
    np.cumsum(series, axis=1, out=total[:, 1:])
    ends = np.arange(windows + lag)
    moving = total[:, np.minimum(ends + 1, windows)] - total[:, np.maximum(ends - lag, 0)]
    result: Array = np.sum(moving * moving, axis=1) / (lag + 1)
    return result


def bartlett_sum(lag: int, correlation: float) -> float:
    """Return by how much terms with correlation^distance inflate the variance of a sum: 1 + 2 sum_j (1 - j/(lag + 1)) correlation^j."""
    distance = np.arange(1, lag + 1)
    return float(1.0 + 2.0 * np.sum((1.0 - distance / (lag + 1)) * correlation**distance))
