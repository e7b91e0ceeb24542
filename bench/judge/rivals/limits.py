"""Fixed limits for a minute's own numbers: what Flagger's and Argo's examples check, and the same tuned to the service."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.judge.rivals.counting import Tally


@dataclass(frozen=True)
class Limits:
    """A check passes within all of them."""

    error_rate: float
    p99: float = math.inf
    """Milliseconds."""
    quality: float = -math.inf

    def hold(self, seen: Tally) -> bool:
        """Whether what was seen lies within the limits; there must be something."""
        slow = seen.quantile(0.99) > self.p99 if seen.latency.sum() > 0 else False
        return seen.error_rate <= self.error_rate and not slow and seen.quality >= self.quality


FLAGGER = Limits(error_rate=0.01, p99=500.0)
"""Success rate at least 99 %, p99 at most 500 ms: the example of Flagger's documentation."""
ARGO = Limits(error_rate=0.05)
"""Success rate at least 95 %: the example of Argo Rollouts' documentation."""


def tuned(stable: Tally) -> Limits:
    """What a careful operator would write, knowing stable's last two hours."""
    rate = stable.error_rate
    return Limits(error_rate=max(2 * rate, rate + 0.005), p99=1.25 * stable.quantile(0.99), quality=0.98 * stable.quality)
