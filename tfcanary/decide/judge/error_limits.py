"""Compares the canary's errors with fixed limits: mixtures of one-sample Poisson likelihood ratios.

Twice one error in 100,000 is no outage: a rollback must exceed a relative and an absolute tolerance, each with its own evidence. And
a canary without errors shows by itself that it is below the absolute margin.
"""

from __future__ import annotations

import math

import numpy as np

from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge.rate_rows import ERROR_BETS
from tfcanary.decide.judge.watch_windows import Window
from tfcanary.decide.stats.binomial import GAPS
from tfcanary.decide.stats.logarithms import Array, log_sum_exp

RATES_OF_MARGIN: Array = np.array([0.5, 0.25, 0.1, 0.03, 0.01])
"""Parts of the margin's error rate on which promotion bets, all with the same weight."""
EVEN: Array = np.full(len(RATES_OF_MARGIN), -math.log(len(RATES_OF_MARGIN)))
"""Natural logs of the weights of RATES_OF_MARGIN."""
LOG_BETS: Array = np.log(ERROR_BETS)
"""Natural logs of the weights of GAPS beyond the absolute limit: the same as beyond the relative one, because the weaker decides."""
ENOUGH_IN_ONE_WINDOW = 20
"""Number of errors in one window that is enough for a rollback: a small burst in one window is not a rate, a large one is."""
ENOUGH_WINDOWS = 2
"""Number of windows with errors that is enough for a rollback."""


INCIDENT_RATIO, INCIDENT_POINTS, INCIDENT_DOUBT = 5.0, 0.02, 4.0
"""Stable is in an incident where it fails five times as often as its level, or twice as often and two points more, and by four standard
deviations more than that. Bursts and wander make twice the errors in calm weather, too."""


def is_incident(level: float, failed: float, requests: float) -> bool:
    """Return whether stable's errors in a window are more than its level, bursts and chance explain."""
    usual = min(INCIDENT_RATIO * level, 2.0 * level + INCIDENT_POINTS)
    return failed > usual * requests + INCIDENT_DOUBT * math.sqrt(level * requests)


def error_margin(margin: float, level: float, failed: float, requests: float) -> float:
    """Return the log ratio of error rates that promotion must exclude in a window in which stable failed so many requests.

    `margin` is the log ratio on stable's level. In an incident that both tracks share, a ratio would allow many times the errors that it
    allows on the calm level: there the margin is the same number of errors more.
    """
    if not is_incident(level, failed, requests):
        return margin
    return min(margin, math.log1p(level * math.expm1(margin) * requests / failed))


class AbsoluteErrors:
    """Accumulates the canary's errors against absolute limits."""

    def __init__(self, plan: JudgePlan, error_rate: float) -> None:
        self._plan = plan
        self._level = error_rate
        """Stable's error rate as it was taken; 0 before that."""
        self._stable = np.zeros(2)
        self._errors, self._outage = np.zeros(len(GAPS)), np.zeros(len(GAPS))
        self._below = np.zeros(len(RATES_OF_MARGIN))
        self._windows_with_errors = 0
        self._most_in_a_window = 0.0

    def add(self, window: Window, harm: float = 0.0, favour: float = 0.0) -> None:
        """Add a window: outages count from the first one, errors once stable's level is taken and the canary has settled.

        `harm` and `favour` are log factors of the error rate that the draw of servers alone can make.
        """
        self._stable += (window.stable.failed, window.stable.requests)
        level = max(self._level, self._stable[0] / max(self._stable[1], 1.0)) * math.exp(harm)
        failed, requests = window.canary.failed, window.canary.requests
        self._outage += _log_ratio(failed, requests * (level + self._plan.guards.outage), GAPS)
        if not (window.frozen and window.settled):
            return
        self._errors += _log_ratio(failed, requests * (level + self._plan.errors.tolerance_absolute), GAPS)
        self._below += _log_ratio(failed, requests * self._plan.errors.margin_absolute * math.exp(-favour), np.log(RATES_OF_MARGIN))
        self._windows_with_errors += failed > 0
        self._most_in_a_window = max(self._most_in_a_window, failed)

    @property
    def is_sustained(self) -> bool:
        """Whether errors came in more than one window, or many in one."""
        return self._windows_with_errors >= ENOUGH_WINDOWS or self._most_in_a_window >= ENOUGH_IN_ONE_WINDOW

    def log_errors(self, phi: float) -> float:
        """Return the log of the e-value against "within the absolute tolerance of stable"; `phi` is the dispersion."""
        return _log_mixture(self._errors, phi, LOG_BETS)

    def log_outage(self, phi: float) -> float:
        """Return the log of the e-value against "within the outage limit of stable"; `phi` is the dispersion."""
        return _log_mixture(self._outage, phi, LOG_BETS)

    def log_below(self, phi: float) -> float:
        """Return the log of the e-value against "the canary's error rate is at least the absolute margin"; `phi` is the dispersion."""
        return _log_mixture(self._below, max(phi, 1.0), EVEN)

    def progress(self, phi: float, requests: float) -> float:
        """Return the log of the e-value of `log_below` that a canary with stable's error rate would have after so many requests."""
        expected = _log_ratio(self._level * requests, requests * self._plan.errors.margin_absolute, np.log(RATES_OF_MARGIN))
        return _log_mixture(expected, max(phi, 1.0), EVEN)


def _log_ratio(events: float, expected: float, gaps: Array) -> Array:
    """Return the log of the Poisson likelihood ratio of e^gap times the expected number of events to the expected number itself."""
    ratio: Array = events * gaps - expected * np.expm1(gaps)
    return ratio


def _log_mixture(likelihoods: Array, phi: float, log_bets: Array) -> float:
    return float(log_sum_exp(log_bets + likelihoods / phi))
