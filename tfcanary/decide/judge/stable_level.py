"""Stable's level: the values to which "10 % worse" is relative. It is taken once from stable and never changes afterwards.

With a history the level is the increase over that history, because counters may hold days, even of other versions. Without a history
it is the first sample of stable that holds enough requests. Until then errors, latency, quality and classes count nothing and
promotion is impossible, so that an empty first scrape lets nothing pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tfcanary.core.domain import LATENCY_BOUNDS
from tfcanary.core.plan import JudgePlan, ObjectiveKind
from tfcanary.decide.judge.counted_windows import TrackCounts
from tfcanary.decide.stats.logarithms import Array
from tfcanary.decide.stats.survival import Survival

FEWEST_LATENCIES = 100
"""Fewer requests in a histogram say nothing about its slowest 1 %."""
MOST_CLASSES = 50
"""Number of classes, the most frequent ones, that are compared one by one; all others are compared together."""

ALPHA_PARTS = {"errors": 0.38, "outage": 0.05, "traffic": 0.06, "latency": 0.11, "latency-tail": 0.17, "classes": 0.05, "quality": 0.18}
"""The part of alpha that each criterion may spend. Errors have the largest, because users notice them first."""
OBJECTIVES = 0.3
"""The part of alpha that the user's gating objectives share evenly, where there are any; the criteria above share the rest."""


def alpha_parts(plan: JudgePlan) -> dict[str, float]:
    """Return the part of alpha of each criterion that the plan asks for; what the plan leaves out is shared in proportion by the others."""
    left_out = {
        *(("latency", "latency-tail") if plan.latency is None else ()),
        *(("quality",) if plan.quality is None else ()),
        *(("classes",) if plan.classes is None else ()),
    }
    parts = {name: part for name, part in ALPHA_PARTS.items() if name not in left_out}
    rest = 1.0 - OBJECTIVES if any(objective.gating for objective in (plan.objectives or {}).values()) else 1.0
    return {name: part / sum(parts.values()) * rest for name, part in parts.items()}


def objective_alpha_part(plan: JudgePlan, gating: bool) -> float:
    """Return the part of alpha of one of the user's objectives, among those that gate or among those that do not.

    Objectives of a dry run share an alpha of their own, which is never spent.
    """
    alike = sum(objective.gating is gating for objective in (plan.objectives or {}).values())
    return (OBJECTIVES if gating else 1.0) / max(alike, 1)


@dataclass(frozen=True, slots=True)
class StableLevel:
    """The level of stable, as it was when it was taken."""

    requests: float
    """Number of requests from which the level was taken."""
    error_rate: float
    """Failed of all requests, with half an error added, so that it is never 0."""
    latency: tuple[float, ...]
    """Requests by bucket, for all buckets; empty where there is no histogram."""
    latency_mean: float | None
    """Mean latency in microseconds; None where there is no histogram, or no sum of latencies beside it."""
    quality: float | None
    """Mean of the per-request value."""
    means: Mapping[str, float]
    """Means of the user's objectives of kind `mean`, by name."""
    variances: Mapping[str, float]
    """Variance of one value of `quality` and of each mean, by name, where the squares are known."""
    watched: tuple[int, ...]
    """Indexes of the classes that are compared one by one."""
    classes: tuple[float, ...]
    """Share of each class in `watched`, then of all others together if there are others."""
    known_classes: int
    """Number of classes that stable counts; a track that counts another number is not compared."""
    missing: tuple[str, ...]
    """What the plan asks for and stable does not export: it blocks promotion for the whole release."""

    def survival(self) -> Survival:
        """Return the latency histogram as a curve; call it only where there is a histogram."""
        return Survival.of(LATENCY_BOUNDS, self.latency)

    def class_counts(self, counts: TrackCounts) -> Array | None:
        """Return predictions by class in `watched`, then of all others; None where the number of classes is not stable's."""
        if not self.classes or len(counts.classes) != self.known_classes:
            return None
        every = np.array(counts.classes)
        chosen = every[list(self.watched)]
        return chosen if len(self.watched) == self.known_classes else np.append(chosen, max(every.sum() - chosen.sum(), 0.0))


def freeze(level: TrackCounts, plan: JudgePlan) -> StableLevel | None:
    """Return stable's level from its counts, or None where fewer than the plan's `freeze_requests` requests were answered."""
    if level.ok < plan.freeze_requests:
        return None
    latency = _latency(level) if plan.latency else ()
    quality = _quality(level) if plan.quality else None
    watched, shares = _classes(level) if plan.classes else ((), ())
    averaged = sorted(name for name, one in (plan.objectives or {}).items() if one.kind is ObjectiveKind.MEAN)
    means = {name: mean for name in averaged if (mean := _mean(*level.objectives.get(name, (0.0, 0.0))[:2])) is not None}
    values = {f"objective/{name}": level.objectives[name] for name in means}
    if quality is not None and level.quality is not None and level.quality[1] is not None:
        values["quality"] = (level.quality[0], level.quality[2], level.quality[1])
    wanted_metrics = (
        ("latency", plan.latency, bool(latency)),
        ("quality", plan.quality, quality is not None),
        ("classes", plan.classes, bool(shares)),
        *((f"objective/{name}", name, name in means) for name in averaged),
    )
    return StableLevel(
        requests=level.requests,
        error_rate=(level.failed + 0.5) / (level.requests + 1.0),
        latency=latency,
        latency_mean=level.latency_mean if latency else None,
        quality=quality,
        means=means,
        variances={name: max(sums[2] / sums[1] - (sums[0] / sums[1]) ** 2, 0.0) for name, sums in values.items() if len(sums) > 2},
        watched=watched,
        classes=shares,
        known_classes=len(level.classes) if shares else 0,
        missing=tuple(name for name, wanted, there in wanted_metrics if wanted is not None and not there),
    )


def _latency(level: TrackCounts) -> tuple[float, ...]:
    counts = level.latency.dense() if level.latency else np.zeros(1)
    return tuple(counts.tolist()) if counts.sum() >= FEWEST_LATENCIES else ()


def _quality(level: TrackCounts) -> float | None:
    return _mean(level.quality[0], level.quality[2]) if level.quality else None


def _mean(total: float, number: float) -> float | None:
    """Return the mean; None also where it is 0, because 0 has no "1 % worse"."""
    return total / number if number > 0 and total != 0 else None


def _classes(level: TrackCounts) -> tuple[tuple[int, ...], tuple[float, ...]]:
    counts = np.array(level.classes)
    if not counts.sum() > 0:
        return (), ()
    shares = (counts + 1.0) / (counts.sum() + len(counts))
    watched = tuple(sorted(np.argsort(-shares, kind="stable")[:MOST_CLASSES].tolist()))
    others = () if len(watched) == len(counts) else (1.0 - float(shares[list(watched)].sum()),)
    return watched, (*shares[list(watched)].tolist(), *others)
