"""Kayenta's judge: ranks of minutes. A metric is shifted where a 98 % Mann-Whitney interval of the shift excludes nearly 0.

After Kayenta's documentation of its judge: one value a minute and metric, control against experiment; the shift of the experiment with its
interval; shifted where the interval lies beyond a quarter of the estimated shift, in the metric's bad direction. The score is the share of
metrics that are not shifted. It judges every ten minutes on all data so far: below 75 fails at once, and at the end of the hour 95 are
needed to pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from bench.judge.noise import Array
from bench.judge.rivals.counting import MINUTE, Minutes, TrackTotals
from bench.judge.traffic import ReplaySample

QUANTILE = 2.3263
"""Quantile of the normal distribution at 99 %, for two sides of 98 %."""
TOLERANCE = 0.25
"""Part of the estimated shift that is tolerated."""
FAIL, PASS = 75.0, 95.0
EVERY, LIFETIME = 10 * MINUTE, 60 * MINUTE
METRICS: tuple[tuple[Callable[[TrackTotals], float], int], ...] = (
    (lambda totals: totals.error_rate, 1),
    (lambda totals: totals.quantile(0.5), 1),
    (lambda totals: totals.quantile(0.99), 1),
    (lambda totals: totals.quality, -1),
    (lambda totals: totals.first_class, 1),
)
"""Each metric with its bad direction."""


class Kayenta:
    """One canary analysis."""

    def __init__(self) -> None:
        self._minutes = Minutes()
        self._control: list[list[float]] = []
        self._experiment: list[list[float]] = []
        self._due = EVERY

    def calibrate(self, history: Iterable[tuple[float, ReplaySample, ReplaySample]]) -> None:
        """Ignore the history."""

    def update(self, t: float, stable: ReplaySample, canary: ReplaySample) -> str:
        """Return the answer after a poll."""
        minute = self._minutes.of(t, stable, canary)
        if minute is not None:
            for numbers, totals in zip((self._control, self._experiment), minute, strict=True):
                if totals.requests > 0:
                    numbers.append([metric(totals) for metric, _ in METRICS])
        if t < self._due:
            return "continue"
        self._due += EVERY
        score = self._score()
        if score < FAIL:
            return "rollback"
        if t < LIFETIME:
            return "continue"
        return "promote" if score >= PASS else "rollback"

    def _score(self) -> float:
        """Return the percentage of the metrics that are not shifted; 0 where a side has no data."""
        if not self._control or not self._experiment:
            return 0.0
        control, experiment = np.array(self._control).T, np.array(self._experiment).T
        shifted = [is_shifted(x, y, bad) for x, y, (_, bad) in zip(experiment, control, METRICS, strict=True)]
        return 100.0 * (1.0 - sum(shifted) / len(shifted))


def is_shifted(experiment: Array, control: Array, bad: int) -> bool:
    """Return whether the experiment's values are shifted in the bad direction."""
    if np.array_equal(np.sort(experiment), np.sort(control)) or len(set(experiment.tolist() + control.tolist())) == 1:
        return False
    shifts = np.sort((experiment[:, None] - control).ravel())
    m, n = len(experiment), len(control)
    _, ties = np.unique(np.concatenate([experiment, control]), return_counts=True)
    correction = float(np.sum(ties.astype(float) ** 3 - ties)) / max((m + n) * (m + n - 1), 1)
    spread = math.sqrt(max(m * n / 12 * (m + n + 1 - correction), 0.0))
    k = max(math.floor(m * n / 2 - QUANTILE * spread - 0.5), 0)
    low, estimate, high = shifts[k], float(np.median(shifts)), shifts[m * n - 1 - k]
    bound = TOLERANCE * abs(estimate)
    return bool(low > bound if bad > 0 else high < -bound)


def make() -> Kayenta:
    """Return a fresh analysis."""
    return Kayenta()
