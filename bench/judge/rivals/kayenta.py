"""Kayenta's judge: ranks of minutes. A metric is off where a 98 % Mann-Whitney interval of the shift excludes nearly 0.

After Kayenta's documentation of its judge: one value a minute and metric, control against experiment; the shift of
the experiment with its interval; off where the interval lies beyond a quarter of the estimated shift, in the
metric's bad direction. The score is the share of metrics that are not off. Judged every ten minutes on all data so
far: below 75 fails at once, and at the end of the hour 95 are needed to pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from bench.judge.noise import Array
from bench.judge.rivals.counting import MINUTE, Minutes, Tally
from bench.judge.traffic import Sample

QUANTILE = 2.3263
"""Of the normal distribution at 99 %: two sides of 98 %."""
TOLERANCE = 0.25
"""Of the estimated shift."""
FAIL, PASS = 75.0, 95.0
EVERY, LIFETIME = 10 * MINUTE, 60 * MINUTE
METRICS: tuple[tuple[Callable[[Tally], float], int], ...] = (
    (lambda seen: seen.error_rate, 1),
    (lambda seen: seen.quantile(0.5), 1),
    (lambda seen: seen.quantile(0.99), 1),
    (lambda seen: seen.quality, -1),
    (lambda seen: seen.first_class, 1),
)
"""Each with its bad direction."""


class Kayenta:
    """One canary analysis."""

    def __init__(self) -> None:
        self._minutes = Minutes()
        self._control: list[list[float]] = []
        self._experiment: list[list[float]] = []
        self._due = EVERY

    def calibrate(self, history: Iterable[tuple[float, Sample, Sample]]) -> None:
        """It has no use for a history."""

    def update(self, t: float, stable: Sample, canary: Sample) -> str:
        """The word after a poll."""
        minute = self._minutes.of(t, stable, canary)
        if minute is not None:
            for held, seen in zip((self._control, self._experiment), minute, strict=True):
                if seen.requests > 0:
                    held.append([metric(seen) for metric, _ in METRICS])
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
        """Percent of the metrics that are not off; without data on a side there is none, and that is 0."""
        if not self._control or not self._experiment:
            return 0.0
        control, experiment = np.array(self._control).T, np.array(self._experiment).T
        off = [is_off(x, y, bad) for x, y, (_, bad) in zip(experiment, control, METRICS, strict=True)]
        return 100.0 * (1.0 - sum(off) / len(off))


def is_off(experiment: Array, control: Array, bad: int) -> bool:
    """Whether the experiment's values are shifted in the bad direction."""
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
    """A fresh analysis."""
    return Kayenta()
