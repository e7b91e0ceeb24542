"""Traffic without chance: every count is what is to be expected, so that a test can say what must follow from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tests.decide.judge.simulation import CLASSES, buckets
from tfcanary.core.domain import Counters, Decision, Sample, Track
from tfcanary.core.plan import ClassesPlan, JudgePlan, QualityPlan
from tfcanary.decide.judge import Poll
from tfcanary.decide.judge.counted_windows import Buckets, TrackCounts
from tfcanary.decide.judge.watch_windows import Window

PLAN = JudgePlan()
FULL = JudgePlan(quality=QualityPlan(), classes=ClassesPlan())
HOLD, PROMOTE, ROLLBACK = Decision.HOLD, Decision.PROMOTE, Decision.ROLLBACK


@dataclass(frozen=True)
class Traffic:
    """What one track counts in a second."""

    rate: float
    error_rate: float = 0.001
    slower: float = 1.0
    tail: float = 1.0
    quality: float | None = None
    classes: tuple[float, ...] = ()

    def in_seconds(self, seconds: float) -> Counters:
        """The counters of a server that has run for so long."""
        n = self.rate * seconds
        ok = n * (1 - self.error_rate)
        return Counters(
            ok=ok,
            errors={"INTERNAL": n * self.error_rate},
            latency=tuple(np.cumsum(ok * buckets(np.log(self.slower), self.tail)).tolist()),
            quality=None if self.quality is None else (ok * self.quality, ok * (0.04 + self.quality**2), ok),
            classes=tuple(ok * share for share in self.classes),
        )


STABLE = Traffic(rate=190.0)
CANARY = Traffic(rate=10.0)
SKEWED = tuple(CLASSES.tolist())


def sample(track: Track, *servers: Counters) -> Sample:
    return Sample(track, True, {f"{track}-{i}": counters for i, counters in enumerate(servers)})


def down(track: Track) -> Sample:
    return Sample(track, False)


def polls(
    canary: Traffic = CANARY,
    stable: Traffic = STABLE,
    weight: int | None = 5,
    seconds: float = 1200.0,
    step: float = 30.0,
    age: float = 7200.0,
) -> Iterator[Poll]:
    """Both tracks looked at every `step` seconds; stable has been running for `age` before, the canary begins."""
    for t in np.arange(0.0, seconds + step / 2, step).tolist():
        yield Poll(
            t=t,
            stable=sample(Track.STABLE, stable.in_seconds(age + t)),
            canary=sample(Track.CANARY, canary.in_seconds(t)),
            weight=weight,
        )


def counts(ok: float = 0.0, failed: float = 0.0, latency: np.ndarray | None = None, **others: object) -> TrackCounts:
    return TrackCounts(ok=ok, failed=failed, latency=None if latency is None else Buckets.of(latency), **others)


WINDOW = Window(since=300.0, until=330.0, share=0.05, settled=True, warm=True, frozen=True, stable=TrackCounts(), canary=TrackCounts())


def window(stable: TrackCounts, canary: TrackCounts, **facts: object) -> Window:
    """A window that counts for everything, unless told otherwise."""
    return replace(WINDOW, stable=stable, canary=canary, **facts)
