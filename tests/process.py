"""A model server in memory: it answers, fails and takes its time as its behaviour says, and counts like a TF Serving process."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tfcanary.core.domain import LATENCY_BOUNDS, Counters


@dataclass(frozen=True)
class Behaviour:
    """How a version behaves."""

    answer: float = 0.0
    """What it predicts: differs from version to version."""
    errors: float = 0.001
    """Share of requests that fail."""
    seconds: float = 0.010
    """Median latency."""
    loads: bool = True
    """Whether it ever becomes AVAILABLE."""
    silent: bool = False
    """Its requests are lost on the way."""


@dataclass
class Process:
    """A model server that counts."""

    behaviour: Behaviour
    ok: float = 0.0
    failed: float = 0.0
    latency: list[float] = field(default_factory=lambda: [0.0] * (len(LATENCY_BOUNDS) + 1))

    def counters(self) -> Counters:
        errors = {"INTERNAL": self.failed} if self.failed else {}
        return Counters(ok=self.ok, errors=errors, latency=tuple(self.latency))

    def serve(self, requests: int, chance: random.Random) -> None:
        for _ in range(requests):
            if chance.random() < self.behaviour.errors:
                self.failed += 1
                continue
            self.ok += 1
            microseconds = self.behaviour.seconds * 1e6 * chance.lognormvariate(0, 0.4)
            for i, bound in enumerate((*LATENCY_BOUNDS, float("inf"))):
                self.latency[i] += microseconds < bound
