"""Fixed limits for the numbers of one minute: those of Flagger's and Argo's examples, and limits tuned to the service."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.judge.rivals.counting import TrackTotals


@dataclass(frozen=True)
class Limits:
    """A check passes within all limits."""

    error_rate: float
    p99: float = math.inf
    """In milliseconds."""
    quality: float = -math.inf

    def hold(self, totals: TrackTotals) -> bool:
        """Return whether the totals, of at least one request, lie within the limits."""
        slow = totals.quantile(0.99) > self.p99 if totals.latency.sum() > 0 else False
        return totals.error_rate <= self.error_rate and not slow and totals.quality >= self.quality


FLAGGER = Limits(error_rate=0.01, p99=500.0)
"""Success rate at least 99 %, p99 at most 500 ms: the example of Flagger's documentation."""
ARGO = Limits(error_rate=0.05)
"""Success rate at least 95 %: the example of Argo Rollouts' documentation."""


def tuned_limits(stable: TrackTotals) -> Limits:
    """Return the limits that a careful operator would set, knowing stable's last two hours."""
    rate = stable.error_rate
    return Limits(error_rate=max(2 * rate, rate + 0.005), p99=1.25 * stable.quantile(0.99), quality=0.98 * stable.quality)
