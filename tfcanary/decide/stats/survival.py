"""A latency histogram as a curve: which share of the requests is slower than x, also between the bounds.

Quantiles are interpolated on a normal scale over the logarithm of x: exact for a lognormal, good for mixtures. It
turns "10 % slower" into a ratio of counts at a bound, which buckets 1.8 times wide can test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tfcanary.decide.stats.logarithms import Array

SMALLEST_SHARE = 1e-7
"""A histogram says nothing about rarer requests than this."""


@dataclass(frozen=True, slots=True)
class Survival:
    """S(x): the share of requests slower than x."""

    log_bounds: Array
    quantiles: Array
    """Normal quantile of the share below each bound."""

    @classmethod
    def of(cls, bounds: Sequence[float], buckets: Sequence[float]) -> Survival:
        """From the counts of each bucket: one more than bounds, the last without a bound. Their sum must not be 0."""
        below = np.cumsum(np.asarray(buckets, dtype=float))
        shares = np.clip(below[:-1] / below[-1], SMALLEST_SHARE, 1.0 - SMALLEST_SHARE)
        return cls(np.log(np.asarray(bounds)), np.array([NormalDist().inv_cdf(share) for share in shares.tolist()]))

    def __call__(self, x: Array) -> Array:
        """S at each x; constant beyond the first and the last bound."""
        z = np.interp(np.log(x), self.log_bounds, self.quantiles)
        return np.array([0.5 * math.erfc(value / math.sqrt(2.0)) for value in z.ravel().tolist()]).reshape(z.shape)
