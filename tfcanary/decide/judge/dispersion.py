"""How much more the counts vary than chance alone would make them: the number that log likelihoods are divided by.

Errors come in bursts, a server's error and latency level wander for minutes; a test that takes such noise for
evidence rolls back four healthy canaries of ten. The variance of the score is estimated from the watch itself
(long-run, so that slow wander counts) and blended with a prior: an assumption, or what two hours of stable's own
history have shown (Wedderburn 1974, quasi-likelihood; Newey and West 1987).
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
"""Seconds over which neighbouring windows are taken to be alike; promotion, the riskier word, looks further."""
CORRELATION_TIME = 120.0
"""Seconds in which noise is assumed to forget itself, without history."""
ASSUMED_WORTH, MEASURED_WORTH = 600.0, 3600.0
"""Seconds of the watch's own data that outweigh the assumption, or the history."""
MOST_FREQUENT = 0.98
"""Binomial events vary less than Poisson ones; never less than a fiftieth."""
LEAST_GROWTH = 0.5
"""Wander weighs less with less traffic than in the history, but is never believed to weigh less than half."""
CAUTION = 1.4
"""Promotion takes the variance beyond chance as so much larger: 300 s of memory miss a quarter of the wander of minutes, and the estimate
itself varies. Measured on canaries that lie exactly on a margin."""

ROLLBACK, PROMOTE = 0, 1
"""First axis of everything below that depends on the memory."""


@dataclass(frozen=True, slots=True)
class Noise:
    """What the history has shown about one criterion; each pair is for rollback and promote."""

    excess: tuple[float, float]
    """Variance beyond chance, as a share of it."""
    fixed: tuple[float, float]
    """The part of the excess that does not grow with a window's size: bursts."""
    size: float
    """Effective exposure of the history in a second, on the mean: not in a window, for noise that wanders for minutes weighs by time."""
    wander: float
    """By how much a server's own log rate wanders from window to window; at most what is assumed without history."""


@dataclass(frozen=True, slots=True)
class Prior:
    """The assumed or measured noise of several criteria, as arrays over them."""

    burst: Array
    wander: Array
    excess: Array
    fixed: Array
    size: Array
    measured: Flags

    @classmethod
    def of(cls, names: tuple[str, ...], burst: Array, wander: Array, history: Mapping[str, Noise]) -> Prior:
        """From the criteria's assumptions and what the history has shown, where it has."""
        known = [history.get(name, Noise((0.0, 0.0), (0.0, 0.0), 0.0, 0.0)) for name in names]
        size = np.array([noise.size for noise in known])
        excess, fixed = (np.array([getattr(noise, part) for noise in known]).reshape(len(names), 2).T for part in ("excess", "fixed"))
        return cls(burst, wander, excess, fixed, np.where(size > 0, size, 1.0), size > 0)

    def variance(self, series: Series, lags: tuple[int, int], step: float) -> Array:
        """Shape (2, criteria): before the watch's own windows have a say."""
        correlation = float(np.exp(-step / CORRELATION_TIME))
        inflation = np.array([bartlett_sum(lag, correlation) for lag in lags])[:, None]
        total, squares = np.sum(series.information, axis=1), np.sum(series.information**2, axis=1)
        assumed = self.burst * series.chance + self.wander**2 * np.minimum(total**2, inflation * squares)
        growth = np.maximum(series.size / step / self.size, LEAST_GROWTH)
        measured: Array = np.where(self.measured, series.chance * (1.0 + self.fixed + (self.excess - self.fixed) * growth), assumed)
        return measured


@dataclass(frozen=True, slots=True)
class Series:
    """The scores of several criteria, window by window."""

    residuals: Array
    """Shape (criteria, windows): what each window's score deviates by from the pooled estimate."""
    information: Array
    """Shape (criteria, windows)."""
    chance: Array
    """Shape (criteria,): the variance of the sum by chance alone."""
    size: Array
    """Shape (criteria,): mean effective exposure of the windows that count."""
    windows: Array
    """Shape (criteria,): how many count."""

    @classmethod
    def of_rates(cls, counts: Array, counted: Flags) -> Series:
        """From down-weighted counts of shape (4, rows, windows): events and exposure of the canary, then of stable."""
        events_c, n_c, events_b, n_b = counts
        n = np.maximum(n_c + n_b, SMALLEST_EXPOSURE)
        ratio = pooled_ratio(events_c, n_c, events_b, n_b)[:, None]
        share = n_c * ratio / np.maximum(n_c * ratio + n_b, SMALLEST_EXPOSURE)
        events = events_c + events_b
        information = events * share * (1.0 - share)
        frequency = np.minimum(np.sum(events, axis=1) / np.maximum(np.sum(n, axis=1), SMALLEST_EXPOSURE), MOST_FREQUENT)
        # A window in which one of the tracks was asked nothing says nothing about how much windows vary.
        windows = np.sum(counted & (n_c > 0) & (n_b > 0), axis=1)
        return cls(
            residuals=events_c - events * share,
            information=information,
            chance=np.sum(information, axis=1) * (1.0 - frequency),
            size=np.sum(n_c * n_b / n, axis=1) / np.maximum(windows, 1),
            windows=windows,
        )


def lags(step: float) -> tuple[int, int]:
    """Windows over which neighbours are alike, for rollback and for promote, with windows of `step` seconds."""
    return round(ROLLBACK_MEMORY / step), round(PROMOTE_MEMORY / step)


def observed(series: Series, step: float) -> Array:
    """Shape (2, criteria): the long-run variance that the windows themselves show."""
    return np.stack([long_run_variance(series.residuals, lag) for lag in lags(step)])


def variance(series: Series, prior: Prior, step: float) -> Array:
    """Shape (2, criteria): of the sum of the scores, for rollback and for promote; never below chance."""
    worth = np.where(prior.measured, MEASURED_WORTH, ASSUMED_WORTH)
    believed = 1.0 / (1.0 + series.windows * step / worth)
    blended = believed * prior.variance(series, lags(step), step) + (1.0 - believed) * observed(series, step)
    result: Array = np.maximum(blended, series.chance)
    return result


def dispersion(series: Series, prior: Prior, step: float) -> Array:
    """Shape (2, criteria): the variance relative to the likelihood's own; 1 where there is no information yet."""
    information = np.sum(series.information, axis=1)
    informed = information > 0
    result: Array = np.where(informed, variance(series, prior, step) / np.where(informed, information, 1.0), 1.0)
    return result


def cautious(dispersion: Any, chance: Any) -> Array:
    """The dispersion that promotion is decided on; what does not exceed chance stays."""
    result: Array = np.maximum(dispersion, chance + CAUTION * (dispersion - chance))
    return result
