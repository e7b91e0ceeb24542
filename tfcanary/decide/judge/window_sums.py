"""What one window of each part of a schedule adds to a criterion, and what many of them make of it: sums are linear in windows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tfcanary.decide.judge import means
from tfcanary.decide.judge.dispersion import ASSUMED_WORTH, CORRELATION_TIME, LEAST_GROWTH, Noise, cautious, lags
from tfcanary.decide.stats.binomial import NO_CHANGE, grid, promote_mixture, rollback_mixture
from tfcanary.decide.stats.logarithms import Array, log_add
from tfcanary.decide.stats.longrun import bartlett_sum
from tfcanary.decide.stats.normal import log_half_normal_mixture


@dataclass(frozen=True, slots=True)
class Sums:
    """What one window of each part adds to a criterion."""

    likelihoods: Array
    """Shape (parts, grid)."""
    information: Array
    size: Array
    chance: float
    """Variance by chance alone, for each unit of information."""
    noise: Noise | None
    burst: float
    wander: float
    poll: float

    def scores(self, bets: Array, bursts: bool, windows: Array) -> tuple[float, float]:
        """Logarithms of the e-values for rollback and for promote; `bursts`: the longer memory rules for both."""
        rollback, promote = self.phi(windows)
        return self.mixtures(windows, bets, max(rollback, promote) if bursts else rollback, promote)

    def mixtures(self, windows: Array, bets: Array, rollback: float, promote: float) -> tuple[float, float]:
        """The same, for dispersions that are known."""
        at_tolerance, at_margin, beyond, inside = grid((windows @ self.likelihoods)[None, :])
        up = rollback_mixture(at_tolerance, beyond, rollback, bets)
        return float(up[0]), float(promote_mixture(at_margin, inside, float(cautious(promote, 1.0)))[0])

    def phi(self, windows: Array) -> tuple[float, float]:
        """Dispersion for rollback and for promote."""
        total = float(windows @ self.information)
        if not total > 0:
            return 1.0, 1.0
        rollback, promote = (self._variance(windows, total, which) / total for which in (0, 1))
        return rollback, promote

    def _variance(self, windows: Array, total: float, which: int) -> float:
        chance = total * self.chance
        if self.noise:
            growth = max(float(windows @ self.size) / max(windows.sum(), 1.0) / self.poll / self.noise.size, LEAST_GROWTH)
            excess, fixed = self.noise.excess[which], self.noise.fixed[which]
            return float(chance * (1 + fixed + (excess - fixed) * growth))
        # Without history the watch's own windows soon outweigh the assumption; here they are as calm as chance.
        inflation = bartlett_sum(lags(self.poll)[which], math.exp(-self.poll / CORRELATION_TIME))
        assumed = self.burst * chance + self.wander**2 * min(total**2, inflation * float(windows @ self.information**2))
        believed = 1.0 / (1.0 + float(windows.sum()) * self.poll / ASSUMED_WORTH)
        return max(believed * assumed + (1 - believed) * chance, chance)


def mean_scores(sums: Sums, lost: float, tolerance: float, margin: float, windows: Array) -> tuple[float, float]:
    """Of a mean that is worse by `lost`: logarithms of the e-values for rollback and for promote."""
    size = float(windows @ sums.size)
    if not size > 0:
        return 0.0, 0.0
    rollback, promote = sums.phi(windows)
    gap = margin - tolerance
    information = size / rollback
    s = information * (lost - tolerance)
    near, far = (log_half_normal_mixture(s, information, scale) for scale in (gap, means.FAR * gap))
    information = size / float(cautious(promote, sums.chance))
    t = information * (margin - lost)
    same = math.log(NO_CHANGE) + margin * t - 0.5 * margin**2 * information
    down = log_add(same, math.log(1 - NO_CHANGE) + log_half_normal_mixture(t, information, gap))
    return float(log_add(near, far)) - math.log(2.0), float(down)
