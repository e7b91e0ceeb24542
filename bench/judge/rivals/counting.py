"""What the rivals count: increments of both tracks, poll by poll or minute by minute."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bench.judge.noise import Array
from bench.judge.traffic import Sample
from tfcanary.core.domain import LATENCY_BOUNDS

DEAF = 120.0
"""Seconds: a cold canary is slow, and none of the rules knows it."""
MINUTE = 60.0
MILLISECONDS: Array = np.array(LATENCY_BOUNDS) / 1000.0


@dataclass(frozen=True)
class Tally:
    """What a track counted in some time."""

    held: Array

    @classmethod
    def of(cls, sample: Sample) -> Tally:
        """All that the sample's counters hold."""
        quality = [sample.q_sum, sample.q_sumsq, sample.q_count]
        return cls(np.concatenate([[sample.ok, sample.err], np.diff(sample.lat, prepend=0.0), quality, sample.pred]))

    @classmethod
    def nothing(cls) -> Tally:
        return cls(np.zeros(49))

    def plus(self, other: Tally) -> Tally:
        return Tally(self.held + other.held)

    def minus(self, other: Tally) -> Tally:
        return Tally(self.held - other.held)

    @property
    def requests(self) -> float:
        return float(self.held[0] + self.held[1])

    @property
    def error_rate(self) -> float:
        return float(self.held[1]) / max(self.requests, 1.0)

    @property
    def latency(self) -> Array:
        """Answers by bucket."""
        return self.held[2:36]

    @property
    def quality(self) -> float:
        """Mean."""
        return float(self.held[36]) / max(float(self.held[38]), 1.0)

    @property
    def values(self) -> tuple[float, float, float]:
        """Sum, sum of squares and number of the quality values."""
        summed, squares, number = self.held[36:39].tolist()
        return summed, squares, number

    @property
    def first_class(self) -> float:
        """Share of the most frequent class."""
        return float(self.held[39]) / max(float(self.held[39:].sum()), 1.0)

    def quantile(self, level: float) -> float:
        """In milliseconds, between the bounds of a bucket as Prometheus' histogram_quantile does it."""
        below = np.cumsum(self.latency)
        rank = level * below[-1]
        k = int(np.searchsorted(below, rank))
        if k >= len(MILLISECONDS):
            return float(MILLISECONDS[-1])
        low, before = (float(MILLISECONDS[k - 1]), float(below[k - 1])) if k else (0.0, 0.0)
        inside = max(float(below[k]) - before, 1e-9)
        return low + (float(MILLISECONDS[k]) - low) * (rank - before) / inside


class Increments:
    """Differences of both tracks between polls at which both are up; where a counter has fallen, nothing."""

    def __init__(self) -> None:
        self._last: tuple[float, Tally, Tally] | None = None

    def of(self, t: float, stable: Sample, canary: Sample) -> tuple[float, Tally, Tally] | None:
        """When the window began, and what stable and the canary counted in it."""
        if not (stable.up and canary.up):
            return None
        now = (t, Tally.of(stable), Tally.of(canary))
        before, self._last = self._last, now
        if before is None:
            return None
        ours, theirs = now[1].minus(before[1]), now[2].minus(before[2])
        if min(float(ours.held.min()), float(theirs.held.min())) < -1e-6:
            return before[0], Tally.nothing(), Tally.nothing()
        return before[0], ours, theirs


class Minutes:
    """The same, a minute each; a minute in which nothing could be read is empty."""

    def __init__(self) -> None:
        self._increments = Increments()
        self._due = DEAF + MINUTE
        self._held = (Tally.nothing(), Tally.nothing())

    def of(self, t: float, stable: Sample, canary: Sample) -> tuple[Tally, Tally] | None:
        """Stable and canary at the end of a minute; None in between."""
        window = self._increments.of(t, stable, canary)
        if window is not None and window[0] >= DEAF:
            self._held = (self._held[0].plus(window[1]), self._held[1].plus(window[2]))
        if t < self._due:
            return None
        self._due += MINUTE
        minute, self._held = self._held, (Tally.nothing(), Tally.nothing())
        return minute


def whole(history: Iterable[tuple[float, Sample, Sample]]) -> Tally:
    """All that stable counted in its history."""
    good = [(rest, pod) for _, rest, pod in history if rest.up and pod.up]
    (first_rest, first_pod), (rest, pod) = good[0], good[-1]
    return Tally.of(rest).plus(Tally.of(pod)).minus(Tally.of(first_rest).plus(Tally.of(first_pod)))
