"""Two textbook tests: a z test at every poll, and one at six looks with the bounds of O'Brien and Fleming.

Each tests three things at 5 %/3, one-sided: errors, answers beyond the bucket bound nearest to the slowest 1 %, and the mean of the quality
value. What has not been rejected after an hour is promoted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from bench.judge.rivals.counting import IGNORED_SECONDS, Increments, TrackTotals, history_total
from bench.judge.traffic import ReplaySample

Z = 2.128
"""Normal quantile of 1 - 0.05/3."""
LOOKS, OF_SIX = 6, 2.21
"""Reject at look k of six where z is at least 2.21 sqrt(6/k): 5 %/3 over all looks, one-sided (O'Brien and Fleming 1979)."""
HOUR = 3600.0


class ZTest:
    """A z test of one watch; with `looks` 0 it tests at every poll."""

    def __init__(self, looks: int) -> None:
        self._looks = looks
        self._increments = Increments()
        self._stable, self._canary = TrackTotals.zero(), TrackTotals.zero()
        self._bound: int | None = None
        self._done = 0

    def calibrate(self, history: Iterable[tuple[float, ReplaySample, ReplaySample]]) -> None:
        """Choose the bucket bound of the tail."""
        self._bound = _tail_bound(history_total(history))

    def update(self, t: float, stable: ReplaySample, canary: ReplaySample) -> str:
        """Return the answer after a poll."""
        window = self._increments.of(t, stable, canary)
        if window is not None and window[0] >= IGNORED_SECONDS:
            self._stable, self._canary = self._stable.plus(window[1]), self._canary.plus(window[2])
            if self._rejects(t):
                return "rollback"
        return "promote" if t >= HOUR else "continue"

    def _rejects(self, t: float) -> bool:
        if not self._looks:
            return self._largest_z() >= Z
        look = int(t * self._looks / HOUR)
        if look <= self._done:
            return False
        self._done = look
        return self._largest_z() >= OF_SIX * math.sqrt(self._looks / look)

    def _largest_z(self) -> float:
        ours, theirs = self._stable, self._canary
        if min(ours.requests, theirs.requests) == 0:
            return 0.0
        if self._bound is None:
            self._bound = _tail_bound(ours)
        slow = [float(totals.latency[self._bound + 1 :].sum()) for totals in (ours, theirs)]
        answered = [float(totals.latency.sum()) for totals in (ours, theirs)]
        errors = _z_of_shares(float(theirs.numbers[1]), theirs.requests, float(ours.numbers[1]), ours.requests)
        return max(errors, _z_of_shares(slow[1], answered[1], slow[0], answered[0]), _z_of_means(ours, theirs))


def _tail_bound(totals: TrackTotals) -> int:
    beyond = 1.0 - np.cumsum(totals.latency)[:-1] / max(float(totals.latency.sum()), 1.0)
    return int(np.argmin(np.abs(np.log(np.maximum(beyond, 1e-9) / 0.01))))


def _z_of_shares(x: float, n: float, y: float, m: float) -> float:
    """Return z of `x` of `n` against `y` of `m`."""
    if min(n, m) <= 0:
        return 0.0
    pooled = (x + y) / (n + m)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return (x / n - y / m) / spread if spread > 0 else 0.0


def _z_of_means(stable: TrackTotals, canary: TrackTotals) -> float:
    """Return z of the canary's mean below stable's."""
    (_, _, n), (_, _, m) = canary.values, stable.values
    if min(n, m) < 2:
        return 0.0
    variance = sum((squares / number - (total / number) ** 2) / number for total, squares, number in (canary.values, stable.values))
    return (stable.quality - canary.quality) / math.sqrt(variance) if variance > 0 else 0.0


def at_every_poll() -> ZTest:
    """Return a test at every poll."""
    return ZTest(0)


def at_six_looks() -> ZTest:
    """Return a test at six looks."""
    return ZTest(LOOKS)
