"""The draws of a simulation: series that wander, numbers that come in batches, and the normal distribution."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

Array = npt.NDArray[np.float64]
Generator = np.random.Generator


def wander(rng: Generator, deviations: Array, length: int, correlation: float) -> Array:
    """Return one stationary AR(1) series for each standard deviation, shape (series, length)."""
    draws = rng.standard_normal((len(deviations), length))
    draws[:, 1:] *= math.sqrt(1.0 - correlation**2)
    series: Array = lfilter([1.0], [1.0, -correlation], draws, axis=1)
    return deviations[:, None] * series


def batched(rng: Generator, expected: Array, mean: float) -> tuple[Array, Array]:
    """Return numbers that come in Poisson many batches of geometric size with the given mean, and the numbers of batches."""
    batches = rng.poisson(np.minimum(expected / mean, 1e9))
    if mean == 1.0:
        return batches, batches
    more = rng.negative_binomial(np.maximum(batches, 1), 1.0 / mean)
    return np.where(batches > 0, batches + more, 0), batches


_POINTS: Array = np.linspace(-8.0, 8.0, 16_001)
_BELOW: Array = np.array([0.5 * math.erfc(-z / math.sqrt(2.0)) for z in _POINTS.tolist()])


def normal_cdf(z: Array) -> Array:
    """Return the normal distribution function at each z, from a table, to seven digits: simulation needs no more."""
    return np.interp(z, _POINTS, _BELOW)
