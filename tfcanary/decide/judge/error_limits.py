"""The canary's errors alone against limits that do not move: one-sample Poisson mixtures.

Doubling one error in 100,000 is nobody's outage: rollback must beat a relative and an absolute tolerance, each with
its own evidence. And a canary without errors shows by itself that it is below the absolute margin.
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
"""Rates below the margin on which promote bets, all of them alike."""
EVEN: Array = np.full(len(RATES_OF_MARGIN), -math.log(len(RATES_OF_MARGIN)))
LOG_BETS: Array = np.log(ERROR_BETS)
"""Rollback bets beyond the absolute limit as it does beyond the relative one: the weaker of the two decides."""
ENOUGH_IN_ONE_WINDOW = 20
"""A small burst in one window is not a rate; a large one is."""
ENOUGH_WINDOWS = 2


class AbsoluteErrors:
    """Accumulates the canary's errors against absolute limits."""

    def __init__(self, plan: JudgePlan, error_rate: float) -> None:
        self._plan = plan
        self._level = error_rate
        """Stable's, where frozen; else 0."""
        self._stable = np.zeros(2)
        self._errors, self._outage = np.zeros(len(GAPS)), np.zeros(len(GAPS))
        self._below = np.zeros(len(RATES_OF_MARGIN))
        self._windows_with_errors = 0
        self._most_in_a_window = 0.0

    def add(self, window: Window) -> None:
        """Add a window: outages count from the first one, errors once stable is frozen and the canary settled."""
        self._stable += (window.stable.failed, window.stable.requests)
        level = max(self._level, self._stable[0] / max(self._stable[1], 1.0))
        failed, requests = window.canary.failed, window.canary.requests
        self._outage += _against(failed, requests * (level + self._plan.guards.outage), GAPS)
        if not (window.frozen and window.settled):
            return
        self._errors += _against(failed, requests * (level + self._plan.errors.tolerance_absolute), GAPS)
        self._below += _against(failed, requests * self._plan.errors.margin_absolute, np.log(RATES_OF_MARGIN))
        self._windows_with_errors += failed > 0
        self._most_in_a_window = max(self._most_in_a_window, failed)

    @property
    def is_a_rate(self) -> bool:
        """Whether errors came in more than one window, or many in one."""
        return self._windows_with_errors >= ENOUGH_WINDOWS or self._most_in_a_window >= ENOUGH_IN_ONE_WINDOW

    def log_errors(self, phi: float) -> float:
        """Logarithm of the e-value against "within the absolute tolerance of stable"."""
        return _mixed(self._errors, phi, LOG_BETS)

    def log_outage(self, phi: float) -> float:
        """The same against the outage limit."""
        return _mixed(self._outage, phi, LOG_BETS)

    def log_below(self, phi: float) -> float:
        """Logarithm of the e-value against "the canary's error rate is at least the absolute margin"."""
        return _mixed(self._below, max(phi, 1.0), EVEN)

    def progress(self, phi: float, requests: float) -> float:
        """Logarithm of `log_below`'s e-value that a canary with stable's error rate would have after so many requests."""
        expected = _against(self._level * requests, requests * self._plan.errors.margin_absolute, np.log(RATES_OF_MARGIN))
        return _mixed(expected, max(phi, 1.0), EVEN)


def _against(events: float, expected: float, gaps: Array) -> Array:
    """Logarithm of the Poisson likelihood ratio of e^gap times the expected rate against the rate itself."""
    ratio: Array = events * gaps - expected * np.expm1(gaps)
    return ratio


def _mixed(likelihoods: Array, phi: float, log_bets: Array) -> float:
    return float(log_sum_exp(log_bets + likelihoods / phi))
