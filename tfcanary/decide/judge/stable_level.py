"""Taken once from stable, before anything is judged, and never changed afterwards: what "10 % worse" is relative to.

With a history it is the increase over that history (real counters carry days, of other versions even); without, the
first sample of stable that holds enough requests. Until then errors, latency, quality and classes count nothing and
promotion is impossible, so that an empty first scrape opens no hole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tfcanary.core.domain import LATENCY_BOUNDS
from tfcanary.core.plan import JudgePlan, ObjectiveKind
from tfcanary.decide.judge.counted_windows import Counts
from tfcanary.decide.stats.logarithms import Array
from tfcanary.decide.stats.survival import Survival

FEWEST_LATENCIES = 100
"""A histogram of fewer requests has no 1 % tail to speak of."""
MOST_CLASSES = 50
"""Classes watched one by one, the most frequent; the others are watched together."""

WEIGHTS = {"errors": 0.38, "outage": 0.05, "traffic": 0.06, "latency": 0.11, "latency-tail": 0.17, "classes": 0.05, "quality": 0.18}
"""The part of alpha that each criterion may spend. Errors first: they are what users notice."""
OBJECTIVES = 0.3
"""The part of alpha that the user's gating objectives share evenly, where there are any; the criteria above share the rest."""


def weights(plan: JudgePlan) -> dict[str, float]:
    """The part of alpha of each criterion that the plan asks for; what it leaves out gives its part back in proportion."""
    left_out = {
        *(("latency", "latency-tail") if plan.latency is None else ()),
        *(("quality",) if plan.quality is None else ()),
        *(("classes",) if plan.classes is None else ()),
    }
    asked = {name: weight for name, weight in WEIGHTS.items() if name not in left_out}
    rest = 1.0 - OBJECTIVES if any(objective.gating for objective in (plan.objectives or {}).values()) else 1.0
    return {name: weight / sum(asked.values()) * rest for name, weight in asked.items()}


def objective_weight(plan: JudgePlan, gating: bool) -> float:
    """The part of alpha of each such objective; those of a dry run share an alpha of their own, which is never spent."""
    alike = sum(objective.gating is gating for objective in (plan.objectives or {}).values())
    return (OBJECTIVES if gating else 1.0) / max(alike, 1)


@dataclass(frozen=True, slots=True)
class Frozen:
    """Stable's level."""

    requests: float
    error_rate: float
    """With half an error of shrinkage: never 0."""
    latency: tuple[float, ...]
    """Requests by bucket, all of them, or none."""
    quality: float | None
    """Mean of the per-request value."""
    means: Mapping[str, float]
    """Of the user's objectives of that kind, by name."""
    variances: Mapping[str, float]
    """Of one value of `quality` and of each mean, by its name; without those whose squares are not known."""
    watched: tuple[int, ...]
    """The classes that are watched one by one, by index."""
    classes: tuple[float, ...]
    """Share of each watched class, then of all others together if there are others."""
    known_classes: int
    """How many classes stable counts: a server that counts another number says nothing."""
    missing: tuple[str, ...]
    """What the plan asks for and stable does not export: blocks promotion for the whole release."""

    def survival(self) -> Survival:
        """The latency histogram as a curve; only where there is one."""
        return Survival.of(LATENCY_BOUNDS, self.latency)

    def class_counts(self, counts: Counts) -> Array | None:
        """Predictions by watched class, then of all others; None where the classes are not stable's."""
        if not self.classes or len(counts.classes) != self.known_classes:
            return None
        every = np.array(counts.classes)
        chosen = every[list(self.watched)]
        return chosen if len(self.watched) == self.known_classes else np.append(chosen, max(every.sum() - chosen.sum(), 0.0))


def freeze(level: Counts, plan: JudgePlan) -> Frozen | None:
    """Stable's level from its counts; None where they are too few to say."""
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
    asked = (
        ("latency", plan.latency, bool(latency)),
        ("quality", plan.quality, quality is not None),
        ("classes", plan.classes, bool(shares)),
        *((f"objective/{name}", name, name in means) for name in averaged),
    )
    return Frozen(
        requests=level.requests,
        error_rate=(level.failed + 0.5) / (level.requests + 1.0),
        latency=latency,
        quality=quality,
        means=means,
        variances={name: max(told[2] / told[1] - (told[0] / told[1]) ** 2, 0.0) for name, told in values.items() if len(told) > 2},
        watched=watched,
        classes=shares,
        known_classes=len(level.classes) if shares else 0,
        missing=tuple(name for name, wanted, there in asked if wanted is not None and not there),
    )


def _latency(level: Counts) -> tuple[float, ...]:
    counts = level.latency.dense() if level.latency else np.zeros(1)
    return tuple(counts.tolist()) if counts.sum() >= FEWEST_LATENCIES else ()


def _quality(level: Counts) -> float | None:
    return _mean(level.quality[0], level.quality[2]) if level.quality else None


def _mean(total: float, number: float) -> float | None:
    """A mean of 0 has no "1 % worse"."""
    return total / number if number > 0 and total != 0 else None


def _classes(level: Counts) -> tuple[tuple[int, ...], tuple[float, ...]]:
    counts = np.array(level.classes)
    if not counts.sum() > 0:
        return (), ()
    shares = (counts + 1.0) / (counts.sum() + len(counts))
    watched = tuple(sorted(np.argsort(-shares, kind="stable")[:MOST_CLASSES].tolist()))
    others = () if len(watched) == len(counts) else (1.0 - float(shares[list(watched)].sum()),)
    return watched, (*shares[list(watched)].tolist(), *others)
