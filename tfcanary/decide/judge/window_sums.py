"""What one window of each part of a schedule adds to a criterion, and what many windows make of it: sums are linear in windows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tfcanary.decide.judge import means
from tfcanary.decide.judge.dispersion import ASSUMED_WORTH, CORRELATION_TIME, LEAST_GROWTH, Noise, cautious_dispersion, lags
from tfcanary.decide.stats.binomial import NO_CHANGE_BET, promote_mixture, rollback_mixture, split_grid
from tfcanary.decide.stats.logarithms import Array
from tfcanary.decide.stats.longrun import bartlett_sum
from tfcanary.decide.stats.normal import log_half_normal_mixture


@dataclass(frozen=True, slots=True)
class ExpectedSums:
    """What one window of each part of a schedule adds to a criterion."""

    likelihoods: Array
    """Log likelihoods, shape (parts, grid)."""
    information: Array
    """Information, shape (parts,)."""
    size: Array
    """Effective exposure, shape (parts,)."""
    chance: float
    """Variance by chance alone, for each unit of information."""
    noise: Noise | None
    """Noise that the history shows; None where the assumptions `burst` and `wander` apply."""
    burst: float
    wander: float
    poll: float
    """Seconds of one window."""

    def scores(self, bets: Array, bursts: bool, windows: Array) -> tuple[float, float]:
        """Return the logs of the e-values for rollback and for promotion after `windows` of each part, shape (parts,).

        `bets` are the natural logs of the weights of the gaps; with `bursts` the larger dispersion of both applies to the rollback.
        """
        rollback, promote = self.phi(windows)
        return self.mixtures(windows, bets, max(rollback, promote) if bursts else rollback, promote)

    def mixtures(self, windows: Array, bets: Array, rollback: float, promote: float) -> tuple[float, float]:
        """Return the logs of the e-values for rollback and for promotion, given the dispersion of each."""
        at_tolerance, at_margin, beyond, inside = split_grid((windows @ self.likelihoods)[None, :])
        log_rollback = rollback_mixture(at_tolerance, beyond, rollback, bets)
        return float(log_rollback[0]), float(promote_mixture(at_margin, inside, float(cautious_dispersion(promote, 1.0)))[0])

    def phi(self, windows: Array) -> tuple[float, float]:
        """Return the dispersion for rollback and for promotion."""
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
        # Without a history the watch's own windows soon outweigh the assumption; here they are assumed to vary by chance alone.
        inflation = bartlett_sum(lags(self.poll)[which], math.exp(-self.poll / CORRELATION_TIME))
        assumed = self.burst * chance + self.wander**2 * min(total**2, inflation * float(windows @ self.information**2))
        prior_part = 1.0 / (1.0 + float(windows.sum()) * self.poll / ASSUMED_WORTH)
        return max(prior_part * assumed + (1 - prior_part) * chance, chance)


def mean_scores(
    sums: ExpectedSums, lost: float, bounds: tuple[float, float], draw: tuple[float, float], windows: Array
) -> tuple[float, float]:
    """Return the logs of the e-values for rollback and for promotion of a mean that is worse by `lost`.

    `bounds` are tolerance and margin, `draw` is what the draw of servers can do to the canary's harm and in its favour.
    """
    size = float(windows @ sums.size)
    if not size > 0:
        return 0.0, 0.0
    rollback, promote = sums.phi(windows)
    (tolerance, margin), (harm, favour) = bounds, draw
    gap = margin - tolerance
    information = size / rollback
    s = information * (lost - tolerance - harm)
    near, far = (log_half_normal_mixture(s, information, scale) for scale in (gap, means.FAR_GAP * gap))
    information, left = size / float(cautious_dispersion(promote, sums.chance)), margin - favour
    t = information * (left - lost)
    same = math.log(NO_CHANGE_BET) + left * t - 0.5 * left**2 * information
    log_promote = np.logaddexp(same, math.log(1 - NO_CHANGE_BET) + log_half_normal_mixture(t, information, gap))
    return float(np.logaddexp(near, far)) - math.log(2.0), float(log_promote) if left > 0 else 0.0
