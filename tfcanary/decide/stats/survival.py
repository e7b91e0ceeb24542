"""A latency histogram as a curve: the share of the requests that is slower than x, also between the bounds of the buckets.

Normal quantiles are interpolated linearly over the logarithm of x: exact for a lognormal, good for mixtures of them. The curve turns
"10 % slower" into a ratio of counts at a bound, which buckets 1.8 times wide can test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tfcanary.decide.stats.logarithms import Array

SMALLEST_SHARE = 1e-7
"""Shares of requests are kept this far from 0 and from 1: a histogram says nothing about rarer requests."""


@dataclass(frozen=True, slots=True)
class Survival:
    """The survival function S(x): the share of requests slower than x."""

    log_bounds: Array
    """Shape (bounds,): natural log of each bucket's upper bound."""
    quantiles: Array
    """Shape (bounds,): the normal quantile of the share of requests below each bound."""

    @classmethod
    def of(cls, bounds: Sequence[float], buckets: Sequence[float]) -> Survival:
        """Build the curve from the counts of each bucket: one more than bounds, the last without a bound. Their sum must not be 0."""
        below = np.cumsum(np.asarray(buckets, dtype=float))
        shares = np.clip(below[:-1] / below[-1], SMALLEST_SHARE, 1.0 - SMALLEST_SHARE)
        return cls(np.log(np.asarray(bounds)), np.array([NormalDist().inv_cdf(share) for share in shares.tolist()]))

    def __call__(self, x: Array) -> Array:
        """Return S at each `x`, in the shape of `x`; it is constant beyond the first and the last bound."""
        z = np.interp(np.log(x), self.log_bounds, self.quantiles)
        return np.array([0.5 * math.erfc(value / math.sqrt(2.0)) for value in z.ravel().tolist()]).reshape(z.shape)
