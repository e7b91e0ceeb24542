"""The shapes of latency, and the one place that draws latencies: the counts of the histogram's buckets, and the sum beside them.

A shape is a mixture of lognormal distributions, so that the mass and the moments of every bucket are known exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from bench.judge.noise import Array, Generator, normal_cdf
from tfcanary.core.domain import LATENCY_BOUNDS

LOG_BOUNDS: Array = np.log(np.array(LATENCY_BOUNDS))
LOWEST: Array = np.array([0.0, *LATENCY_BOUNDS])
HIGHEST: Array = np.array([*LATENCY_BOUNDS, 2.0 * LATENCY_BOUNDS[-1]])
"""The ends of each bucket in microseconds, shape (buckets,); the last bucket, in which nothing ever lies, has one, too."""
SMALLEST = 1e-12
"""A bucket with less of the mass has no moments."""


@dataclass(frozen=True)
class Part:
    """One kind of answers: lognormal."""

    share: float
    median: float
    """In microseconds."""
    spread: float
    """Standard deviation of the log."""


@dataclass(frozen=True)
class Shape:
    """How long answers take: kinds of answers, of which the last are the slow ones."""

    name: str
    parts: tuple[Part, ...]

    @property
    def mean(self) -> float:
        """Mean latency in microseconds."""
        return sum(part.share * part.median * math.exp(part.spread**2 / 2) for part in self.parts)

    def with_slow(self, share: float) -> Shape:
        """Return the shape with another share of slow answers."""
        *others, slow = self.parts
        left = (1.0 - share) / (1.0 - slow.share)
        return replace(self, parts=(*(replace(part, share=left * part.share) for part in others), replace(slow, share=share)))

    def with_slower_tail(self, factor: float) -> Shape:
        """Return the shape with slow answers that take so many times as long."""
        *others, slow = self.parts
        return replace(self, parts=(*others, replace(slow, median=factor * slow.median)))

    def masses(self, shift: Array) -> Array:
        """Return the share of each bucket, shape (shifts, buckets), when everything is e^shift times slower."""
        masses = self.moments(shift, 0)
        shares: Array = masses / masses.sum(axis=1, keepdims=True)
        return shares

    def moments(self, shift: Array, order: int) -> Array:
        """Return the mean of latency^order over all answers, as far as it comes from each bucket; shape (shifts, buckets)."""
        below = np.zeros((len(shift), len(LOG_BOUNDS) + 2))
        for part in self.parts:
            middle = math.log(part.median) + shift[:, None]
            whole = part.share * np.exp(order * middle + (order * part.spread) ** 2 / 2)
            below[:, 1:-1] += whole * normal_cdf((LOG_BOUNDS - middle) / part.spread - order * part.spread)
            below[:, -1:] += whole
        return np.maximum(np.diff(below, axis=1), 0.0)


LOGNORMAL = Shape("lognormal", (Part(0.97, 40_000.0, 0.45), Part(0.03, 160_000.0, 0.50)))
PEAK = Shape("peak", (Part(0.70, 2_400.0, 0.05), Part(0.30, 9_000.0, 0.70)))
"""Most answers lie inside one bucket."""
QUOTA = Shape("quota", (Part(0.985, 1_000.0, 0.40), Part(0.015, 80_000.0, 0.04)))
"""A plateau, as under a processor quota: who has used it up waits for the next period."""
MODES = Shape("modes", (Part(0.50, 3_000.0, 0.15), Part(0.30, 12_000.0, 0.12), Part(0.15, 45_000.0, 0.10), Part(0.05, 150_000.0, 0.20)))


def draw(rng: Generator, answers: Array, shape: Shape, shift: Array) -> tuple[Array, Array]:
    """Return the counts of the buckets, shape (intervals, buckets), and the sums of the latencies in microseconds.

    In each bucket the sum is drawn as normal with the true moments, within what so many answers of the bucket can take.
    """
    masses, first, second = (shape.moments(shift, order) for order in range(3))
    counts = rng.multinomial(answers, masses / masses.sum(axis=1, keepdims=True))
    mean, square = (moment / np.maximum(masses, SMALLEST) for moment in (first, second))
    deviation = np.sqrt(counts * np.maximum(square - mean**2, 0.0))
    sums = np.clip(counts * mean + deviation * rng.standard_normal(counts.shape), counts * LOWEST, counts * HIGHEST)
    return counts, sums.sum(axis=1)
