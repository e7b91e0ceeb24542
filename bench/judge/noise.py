"""The noise of real services, in three strengths: what the judge must not take for a bad canary."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Generator = np.random.Generator


@dataclass(frozen=True)
class Law:
    """How a service varies. Wander is a stationary AR(1) series with correlation exp(-time/memory)."""

    name: str
    traffic: float
    errors: float
    latency: float
    quality: float
    """Standard deviations of what both tracks share: log traffic, log error rate, log latency, quality."""
    daily: float
    """Amplitude of a 24-hour sine in the traffic; log latency follows with a twentieth of it."""
    routing: float = 0.0
    """Standard deviation of the log of the canary's share, independent from interval to interval."""
    incident: float = 0.0
    """Probability that the errors of both tracks rise twentyfold for 4 to 13 polls."""
    server_errors: float = 0.0
    server_latency: float = 0.0
    server_quality: float = 0.0
    """Standard deviations of one server's own wander; a group of k servers has 1/sqrt(k) of them."""
    fixed_errors: float = 0.0
    fixed_latency: float = 0.0
    """Standard deviations of the constant difference between servers."""
    batch: float = 1.0
    """Mean size of a batch of errors; the sizes are geometric."""
    cold: tuple[float, float] = (2.0, 15.0)
    """Factor by which a server is slower when it starts, and the seconds in which the excess decays to 1/e."""
    missed: float = 0.01
    """Probability that a scrape of a track fails."""
    restarts: float = 0.0
    """Probability that the canary restarts during the watch; it is twice that for one of stable's servers."""
    memory: float = 120.0
    """Seconds in which the correlation of wander falls to 1/e."""


CALM = Law("calm", traffic=0.05, errors=0.10, latency=0.02, quality=0.003, daily=0.3)
NOISY = Law(
    "noisy",
    traffic=0.20,
    errors=0.50,
    latency=0.08,
    quality=0.010,
    daily=0.5,
    routing=0.10,
    incident=0.20,
    server_errors=0.30,
    server_latency=0.04,
    server_quality=0.003,
    fixed_errors=0.05,
    fixed_latency=0.015,
    batch=3.0,
    cold=(3.0, 25.0),
    missed=0.04,
    restarts=0.15,
)
HARSH = Law(
    "harsh",
    traffic=0.20,
    errors=0.50,
    latency=0.08,
    quality=0.010,
    daily=0.5,
    routing=0.10,
    incident=0.20,
    server_errors=0.50,
    server_latency=0.06,
    server_quality=0.003,
    fixed_errors=0.05,
    fixed_latency=0.02,
    batch=5.0,
    cold=(3.0, 25.0),
    missed=0.10,
    restarts=0.30,
    memory=240.0,
)
"""Noise beyond what the judge is designed for."""


def wander(rng: Generator, deviations: Array, length: int, correlation: float) -> Array:
    """Return one stationary AR(1) series for each standard deviation, shape (series, length)."""
    draws = rng.standard_normal((len(deviations), length))
    series = np.empty_like(draws)
    series[:, 0] = draws[:, 0]
    fresh = math.sqrt(1.0 - correlation**2)
    for i in range(1, length):
        series[:, i] = correlation * series[:, i - 1] + fresh * draws[:, i]
    return deviations[:, None] * series


_POINTS: Array = np.linspace(-8.0, 8.0, 16_001)
_BELOW: Array = np.array([0.5 * math.erfc(-z / math.sqrt(2.0)) for z in _POINTS.tolist()])


def normal_cdf(z: Array) -> Array:
    """Return the normal distribution function at each z, from a table, to seven digits: simulation needs no more."""
    return np.interp(z, _POINTS, _BELOW)
