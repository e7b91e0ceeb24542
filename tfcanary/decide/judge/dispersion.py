"""Estimates the dispersion phi: how much more the counts vary than chance alone would make them. Log likelihoods are divided by it.

Errors come in bursts, and a server's error and latency level wander for minutes; a test that takes such noise for evidence rolls back
four healthy canaries of ten. The variance of the score is estimated from the watch itself, long-run so that slow wander counts
(Newey and West 1987), and blended with a prior: an assumption, or what stable's history shows (Wedderburn 1974, quasi-likelihood).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcanary.decide.stats.binomial import SMALLEST_EXPOSURE, pooled_ratio
from tfcanary.decide.stats.logarithms import Array, Flags
from tfcanary.decide.stats.longrun import bartlett_sum, long_run_variance

ROLLBACK_MEMORY, PROMOTE_MEMORY = 120.0, 300.0
"""Seconds over which neighbouring windows are taken to be correlated. Promotion has the larger one, because its errors cost more."""
CORRELATION_TIME = 120.0
"""Seconds after which the correlation of noise is assumed to have fallen to 1/e, where there is no history."""
ASSUMED_WORTH, MEASURED_WORTH = 600.0, 3600.0
"""Seconds of the watch's own data that have the same weight as the assumption, and as the history."""
MOST_FREQUENT = 0.98
"""Largest event frequency in the binomial variance, which is thus never below a fiftieth of the Poisson variance."""
LEAST_GROWTH = 0.5
"""Least factor of the excess where there is less traffic than in the history: wander weighs less then, but at least half."""
CAUTION = 1.4
"""Factor of the variance beyond chance in promotion.

300 s of memory miss a quarter of the variance of noise that wanders for minutes, and the estimate itself varies. Measured on canaries
that lie exactly on a margin.
"""

ROLLBACK, PROMOTE = 0, 1
"""Index of the first axis of all arrays below that depend on the memory."""


@dataclass(frozen=True, slots=True)
class Noise:
    """What the history shows about one criterion; each pair is for rollback and for promotion."""

    excess: tuple[float, float]
    """Variance beyond chance, as a ratio to chance."""
    fixed: tuple[float, float]
    """The part of the excess that does not grow with a window's size: bursts."""
    size: float
    """Mean effective exposure of the history in a second.

    It is not that of a window, because noise that wanders for minutes weighs by time.
    """
    wander: float
    """Standard deviation of a server's own log rate from window to window; at most what is assumed without history."""


@dataclass(frozen=True, slots=True)
class Prior:
    """The assumed or measured noise of several criteria; arrays over the criteria."""

    burst: Array
    wander: Array
    excess: Array
    fixed: Array
    size: Array
    measured: Flags
    """Whether the history shows the criterion's noise."""

    @classmethod
    def of(cls, names: tuple[str, ...], burst: Array, wander: Array, history: Mapping[str, Noise]) -> Prior:
        """Build the prior of the named criteria from their assumptions and from the history, where it shows their noise."""
        by_name = [history.get(name, Noise((0.0, 0.0), (0.0, 0.0), 0.0, 0.0)) for name in names]
        size = np.array([noise.size for noise in by_name])
        excess, fixed = (np.array([getattr(noise, part) for noise in by_name]).reshape(len(names), 2).T for part in ("excess", "fixed"))
        return cls(burst, wander, excess, fixed, np.where(size > 0, size, 1.0), size > 0)

    def variance(self, series: ScoreSeries, lags: tuple[int, int], step: float) -> Array:
        """Return the variance of the summed scores by the prior alone, shape (2, criteria).

        `lags` are numbers of windows for rollback and for promotion, `step` is the mean length of a window in seconds.
        """
        correlation = float(np.exp(-step / CORRELATION_TIME))
        inflation = np.array([bartlett_sum(lag, correlation) for lag in lags])[:, None]
        total, squares = np.sum(series.information, axis=1), np.sum(series.information**2, axis=1)
        assumed = self.burst * series.chance + self.wander**2 * np.minimum(total**2, inflation * squares)
        growth = np.maximum(series.size / step / self.size, LEAST_GROWTH)
        measured: Array = np.where(self.measured, series.chance * (1.0 + self.fixed + (self.excess - self.fixed) * growth), assumed)
        return measured


@dataclass(frozen=True, slots=True)
class ScoreSeries:
    """The scores of several criteria, window by window."""

    residuals: Array
    """Shape (criteria, windows): deviation of each window's score from the pooled estimate."""
    information: Array
    """Shape (criteria, windows): information of each window."""
    chance: Array
    """Shape (criteria,): the variance of the summed scores by chance alone."""
    size: Array
    """Shape (criteria,): mean effective exposure of the windows that count."""
    windows: Array
    """Shape (criteria,): number of windows that count."""

    @classmethod
    def of_rates(cls, counts: Array, counted: Flags) -> ScoreSeries:
        """Build the series of rate rows.

        Args:
            counts: Down-weighted counts, shape (4, rows, windows): events and exposure of the canary, then of stable.
            counted: Whether the window counts for the row, shape (rows, windows).
        """
        events_c, n_c, events_b, n_b = counts
        n = np.maximum(n_c + n_b, SMALLEST_EXPOSURE)
        ratio = pooled_ratio(events_c, n_c, events_b, n_b)[:, None]
        share = n_c * ratio / np.maximum(n_c * ratio + n_b, SMALLEST_EXPOSURE)
        events = events_c + events_b
        information = events * share * (1.0 - share)
        frequency = np.minimum(np.sum(events, axis=1) / np.maximum(np.sum(n, axis=1), SMALLEST_EXPOSURE), MOST_FREQUENT)
        # A window in which one of the tracks got no request says nothing about how much windows vary.
        windows = np.sum(counted & (n_c > 0) & (n_b > 0), axis=1)
        return cls(
            residuals=events_c - events * share,
            information=information,
            chance=np.sum(information, axis=1) * (1.0 - frequency),
            size=np.sum(n_c * n_b / n, axis=1) / np.maximum(windows, 1),
            windows=windows,
        )


def lags(step: float) -> tuple[int, int]:
    """Return how many windows of `step` seconds neighbours are correlated over, for rollback and for promotion."""
    return round(ROLLBACK_MEMORY / step), round(PROMOTE_MEMORY / step)


def observed_variance(series: ScoreSeries, step: float) -> Array:
    """Return the long-run variance of the summed scores that the windows themselves show, shape (2, criteria)."""
    return np.stack([long_run_variance(series.residuals, lag) for lag in lags(step)])


def variance(series: ScoreSeries, prior: Prior, step: float) -> Array:
    """Return the variance of the summed scores, for rollback and for promotion, shape (2, criteria); it is never below chance."""
    worth = np.where(prior.measured, MEASURED_WORTH, ASSUMED_WORTH)
    prior_part = 1.0 / (1.0 + series.windows * step / worth)
    blended = prior_part * prior.variance(series, lags(step), step) + (1.0 - prior_part) * observed_variance(series, step)
    result: Array = np.maximum(blended, series.chance)
    return result


def dispersion(series: ScoreSeries, prior: Prior, step: float) -> Array:
    """Return the variance relative to the information, shape (2, criteria); it is 1 where there is no information yet."""
    information = np.sum(series.information, axis=1)
    informed = information > 0
    result: Array = np.where(informed, variance(series, prior, step) / np.where(informed, information, 1.0), 1.0)
    return result


def cautious_dispersion(dispersion: Any, chance: Any) -> Array:
    """Return the dispersion on which promotion is decided: what exceeds `chance` is multiplied by CAUTION."""
    result: Array = np.maximum(dispersion, chance + CAUTION * (dispersion - chance))
    return result
