"""What the rivals count: increments of both tracks, poll by poll or minute by minute."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bench.judge.noise import Array
from bench.judge.traffic import ReplaySample
from tfcanary.core.domain import LATENCY_BOUNDS

IGNORED_SECONDS = 120.0
"""Seconds that are ignored: a cold canary is slow, and none of the rules allows for it."""
MINUTE = 60.0
MILLISECONDS: Array = np.array(LATENCY_BOUNDS) / 1000.0


@dataclass(frozen=True)
class TrackTotals:
    """What a track counted in some time."""

    numbers: Array

    @classmethod
    def of(cls, sample: ReplaySample) -> TrackTotals:
        """Return all counters of a sample."""
        quality = [sample.q_sum, sample.q_sumsq, sample.q_count]
        return cls(np.concatenate([[sample.ok, sample.err], np.diff(sample.lat, prepend=0.0), quality, sample.pred]))

    @classmethod
    def zero(cls) -> TrackTotals:
        return cls(np.zeros(49))

    def plus(self, other: TrackTotals) -> TrackTotals:
        return TrackTotals(self.numbers + other.numbers)

    def minus(self, other: TrackTotals) -> TrackTotals:
        return TrackTotals(self.numbers - other.numbers)

    @property
    def requests(self) -> float:
        return float(self.numbers[0] + self.numbers[1])

    @property
    def error_rate(self) -> float:
        return float(self.numbers[1]) / max(self.requests, 1.0)

    @property
    def latency(self) -> Array:
        """Answers by bucket."""
        return self.numbers[2:36]

    @property
    def quality(self) -> float:
        """Mean of the quality values."""
        return float(self.numbers[36]) / max(float(self.numbers[38]), 1.0)

    @property
    def values(self) -> tuple[float, float, float]:
        """Sum, sum of squares and number of the quality values."""
        summed, squares, number = self.numbers[36:39].tolist()
        return summed, squares, number

    @property
    def first_class(self) -> float:
        """Share of the most frequent class."""
        return float(self.numbers[39]) / max(float(self.numbers[39:].sum()), 1.0)

    def quantile(self, level: float) -> float:
        """Return a quantile in milliseconds, interpolated inside a bucket like Prometheus' histogram_quantile."""
        below = np.cumsum(self.latency)
        rank = level * below[-1]
        k = int(np.searchsorted(below, rank))
        if k >= len(MILLISECONDS):
            return float(MILLISECONDS[-1])
        low, before = (float(MILLISECONDS[k - 1]), float(below[k - 1])) if k else (0.0, 0.0)
        inside = max(float(below[k]) - before, 1e-9)
        return low + (float(MILLISECONDS[k]) - low) * (rank - before) / inside


class Increments:
    """Differences of both tracks between polls at which both are up; nothing where a counter has fallen."""

    def __init__(self) -> None:
        self._last: tuple[float, TrackTotals, TrackTotals] | None = None

    def of(self, t: float, stable: ReplaySample, canary: ReplaySample) -> tuple[float, TrackTotals, TrackTotals] | None:
        """Return the start of the window, and what stable and the canary counted in it."""
        if not (stable.up and canary.up):
            return None
        now = (t, TrackTotals.of(stable), TrackTotals.of(canary))
        before, self._last = self._last, now
        if before is None:
            return None
        ours, theirs = now[1].minus(before[1]), now[2].minus(before[2])
        if min(float(ours.numbers.min()), float(theirs.numbers.min())) < -1e-6:
            return before[0], TrackTotals.zero(), TrackTotals.zero()
        return before[0], ours, theirs


class Minutes:
    """Increments by minute; a minute in which nothing could be read is empty."""

    def __init__(self) -> None:
        self._increments = Increments()
        self._due = IGNORED_SECONDS + MINUTE
        self._numbers = (TrackTotals.zero(), TrackTotals.zero())

    def of(self, t: float, stable: ReplaySample, canary: ReplaySample) -> tuple[TrackTotals, TrackTotals] | None:
        """Return what stable and the canary counted, at the end of a minute; None in between."""
        window = self._increments.of(t, stable, canary)
        if window is not None and window[0] >= IGNORED_SECONDS:
            self._numbers = (self._numbers[0].plus(window[1]), self._numbers[1].plus(window[2]))
        if t < self._due:
            return None
        self._due += MINUTE
        minute, self._numbers = self._numbers, (TrackTotals.zero(), TrackTotals.zero())
        return minute


def history_total(history: Iterable[tuple[float, ReplaySample, ReplaySample]]) -> TrackTotals:
    """Return all that stable counted in its history."""
    good = [(rest, pod) for _, rest, pod in history if rest.up and pod.up]
    (first_rest, first_pod), (rest, pod) = good[0], good[-1]
    return TrackTotals.of(rest).plus(TrackTotals.of(pod)).minus(TrackTotals.of(first_rest).plus(TrackTotals.of(first_pod)))
