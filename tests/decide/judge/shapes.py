"""Servers whose latencies are drawn one by one from a shape, so that histogram and sum belong to the same requests."""

from __future__ import annotations

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


def watch(
    seed: int,
    shape: Shape,
    factor: float = 1.0,
    canary_shape: Shape | None = None,
    error_rate: float = 0.001,
    more_errors: float = 0.0,
    calm_history: bool = True,
) -> tuple[Decision, Judge]:
    """An hour at 200 requests a second, 5 % on one canary server, after two hours of ten servers of stable; the first other word than hold.

    `factor` is by how much the canary is slower, `more_errors` is added to its error rate; with `calm_history` stable's error rate was a
    thousandth before, whatever it is now.
    """
    rng = np.random.default_rng(seed)
    stable, canary = [Server(rng) for _ in range(10)], Server(rng)

    def sample(track: Track, servers: list[Server]) -> Sample:
        return Sample(track, True, {f"{track}-{i}": one.counters() for i, one in enumerate(servers)})

    history = []
    for i in range(241):
        for one in stable:
            one.serve(shape, EVERY * 20, 1.0, 0.001 if calm_history else error_rate)
        history.append((EVERY * i, sample(Track.STABLE, stable)))
    judge = Judge.begin(JudgePlan(), "shapes", history)
    for i in range(121):
        for one in stable:
            one.serve(shape, EVERY * 19, 1.0, error_rate)
        canary.serve(canary_shape or shape, EVERY * 10, factor, error_rate + more_errors)
        decision = judge.decide(Poll(EVERY * i, sample(Track.STABLE, stable), sample(Track.CANARY, [canary]), 5))
        if decision is not Decision.HOLD:
            break
    return decision, judge
