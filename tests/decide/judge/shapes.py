"""Servers whose latencies are drawn one by one from a shape, so that histogram and sum belong to the same requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from tfcanary.core.domain import LATENCY_BOUNDS, Counters, Decision, Sample, Track
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge import Judge, Poll

Shape = tuple[tuple[float, float, float], ...]
"""Lognormal parts: share of the requests, median in microseconds, standard deviation of the logarithm."""
SHAPES: dict[str, Shape] = {
    "lognormal": ((1.0, 40_000.0, 0.45),),
    "peak inside a bucket": ((0.65, 2_500.0, 0.06), (0.35, 8_000.0, 1.0)),
    "all inside a bucket": ((1.0, 2_500.0, 0.06),),
    "multimodal": ((0.5, 1_500.0, 0.15), (0.3, 12_000.0, 0.2), (0.2, 90_000.0, 0.3)),
    "quota plateau": ((0.985, 1_000.0, 0.4), (0.015, 80_000.0, 0.04)),
}
EVERY = 30.0


@dataclass
class Server:
    """A server that counts like TF Serving, whose sum is printed with six digits."""

    rng: np.random.Generator
    counts: np.ndarray = field(default_factory=lambda: np.zeros(len(LATENCY_BOUNDS) + 1))
    summed: float = 0.0
    failed: float = 0.0

    def serve(self, shape: Shape, expected: float, factor: float, error_rate: float) -> None:
        failed, answered = self.rng.poisson(expected * np.array([error_rate, 1 - error_rate]))
        parts = self.rng.multinomial(answered, [share for share, _, _ in shape])
        took = np.concatenate(
            [median * factor * np.exp(spread * self.rng.standard_normal(n)) for n, (_, median, spread) in zip(parts, shape, strict=True)]
        )
        self.counts += np.bincount(np.searchsorted(LATENCY_BOUNDS, took, side="right"), minlength=len(self.counts))
        self.summed += took.sum()
        self.failed += failed

    def counters(self) -> Counters:
        return Counters(
            ok=self.counts.sum(),
            errors={"INTERNAL": self.failed},
            latency=tuple(np.cumsum(self.counts).tolist()),
            latency_sum=float(f"{self.summed:.6g}"),
        )


@dataclass
class Release:
    """An hour at 200 requests a second, 5 % on one canary server, after two hours of ten servers of stable."""

    seed: int
    shape: Shape
    factor: float = 1.0
    """By how much the canary is slower."""
    errors: tuple[float, float] = (0.001, 0.001)
    """Error rates of stable and of the canary during the watch; before it stable's is a thousandth."""

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.stable, self.canary = [Server(rng) for _ in range(10)], Server(rng)

    def history(self) -> Iterator[tuple[float, Sample]]:
        for i in range(241):
            yield EVERY * i, self._stable(20, 0.001)

    def polls(self) -> Iterator[Poll]:
        for i in range(121):
            stable = self._stable(19, self.errors[0])
            self.canary.serve(self.shape, EVERY * 10, self.factor, self.errors[1])
            yield Poll(EVERY * i, stable, Sample(Track.CANARY, True, {"canary": self.canary.counters()}), 5)

    def _stable(self, rate: float, error_rate: float) -> Sample:
        for one in self.stable:
            one.serve(self.shape, EVERY * rate, 1.0, error_rate)
        return Sample(Track.STABLE, True, {f"stable-{i}": one.counters() for i, one in enumerate(self.stable)})

    def judge(self) -> tuple[Decision, Judge]:
        """The first other decision than hold, or hold after an hour."""
        judge = Judge.begin(JudgePlan(), "shapes", self.history())
        decisions = (judge.decide(poll) for poll in self.polls())
        return next((one for one in decisions if one is not Decision.HOLD), Decision.HOLD), judge
