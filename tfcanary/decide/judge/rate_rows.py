"""The rate rows: each a count out of an exposure on both tracks, a tolerance and a margin.

| row            | events of exposure, canary against stable                      | counts from        |
|----------------|----------------------------------------------------------------|--------------------|
| errors         | failed of all requests                                         | settled            |
| outage         | the same, catastrophes only                                    | the first window   |
| traffic        | stable's requests by its share against the canary's by its own | settled, one split |
| latency-tail-k | answers slower than a bound of all answers                     | warm               |
| class-j        | predictions of a class of all predictions                      | settled            |
| objective/name | the user's events of their exposures; where more is better     | settled            |
|                | stable's against the canary's                                  |                    |

Only "worse" is evidence: every row is one-sided.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tfcanary.core.domain import LATENCY_BOUNDS
from tfcanary.core.plan import Direction, JudgePlan, LatencyPlan, ObjectiveKind, ObjectivePlan
from tfcanary.decide.judge.counted_windows import Buckets
from tfcanary.decide.judge.stable_level import Frozen, objective_weight, weights
from tfcanary.decide.judge.standing import Need, Quadruple
from tfcanary.decide.judge.watch_windows import Window
from tfcanary.decide.stats.logarithms import Array

TAIL_LEVELS = (0.03, 0.01)
"""The slowest 3 % and 1 %: the bucket bounds nearest to them are watched. The bulk is the whole histogram's row."""
MOST_OFF = 10.0
"""A bound with ten times as many requests beyond it, or a tenth, does not stand for the level: there is then no such row."""
BULK_ABOVE = 0.1
"""A bound with more requests beyond it is no tail: a coarse histogram may have no other."""
OUTAGE_RATIO, OUTAGE_MARGIN = 2.0, 4.0
"""Twice as many errors may not trip the outage row; the margin is nobody's condition, it only fills the grid."""
TRAFFIC_SCALE = 1e6
"""Exposure of a window's traffic: so large that requests are rare events in it, as the likelihood assumes."""

ERROR_WANDER, TRAFFIC_WANDER, CLASS_WANDER, LATENCY_WANDER, OBJECTIVE_WANDER = 0.20, 0.20, 0.05, 0.03, 0.20
"""By how much a track's own log rate is assumed to wander (latency: log latency), until data speak."""
ERROR_BURST = 2.0
"""Errors are assumed to come in pairs until data speak: a failing request is retried, a bad batch fails together.
Nobody knows what the user counts: it is assumed to be as unsteady as errors."""
ERROR_BETS: Array = np.array([*[0.15 / 8] * 6, 0.10, 0.13, 0.19, 0.19, 0.14, 0.10, *[0.15 / 8] * 2])
"""How rollback spreads its bet over GAPS in the rows of errors and outage: errors that get worse get worse by 1.4 to 15 times."""


class Kind(StrEnum):
    """What a row counts."""

    ERRORS = "errors"
    OUTAGE = "outage"
    TRAFFIC = "traffic"
    TAIL = "tail"
    CLASS = "class"
    OBJECTIVE = "objective"


@dataclass(frozen=True, slots=True)
class Row:
    """One rate row; tolerance and margin are log ratios of the canary's rate to stable's."""

    name: str
    kind: Kind
    tolerance: float
    margin: float
    weight: float
    wander: float
    burst: float = 1.0
    need: Need = Need.NOTHING
    index: int = 0
    """Of the bucket bound, or of the class among those watched."""
    swapped: bool = False
    """The canary's events are counted on stable's side and stable's on the canary's: fewer of them are worse."""
    gating: bool = True
    title: str = ""
    """As a sentence calls it."""
    what: str = "failed"


def rows(plan: JudgePlan, frozen: Frozen | None) -> tuple[Row, ...]:
    """The rows in force: before stable's level is known only outage and traffic."""
    parts = weights(plan)
    before = (_outage(parts["outage"]), _traffic(plan, parts["traffic"]))
    if frozen is None:
        return before
    return (
        _errors(plan, frozen, parts["errors"]),
        *before,
        *_tails(plan, frozen, parts),
        *_classes(plan, frozen, parts),
        *_objectives(plan),
    )


def _errors(plan: JudgePlan, frozen: Frozen, weight: float) -> Row:
    margin = max(plan.errors.margin, plan.errors.margin_absolute / frozen.error_rate)
    return Row(
        "errors",
        Kind.ERRORS,
        math.log1p(plan.errors.tolerance),
        math.log1p(margin),
        weight,
        ERROR_WANDER,
        ERROR_BURST,
        Need.PROOF,
        title="errors",
    )


def _outage(weight: float) -> Row:
    return Row("outage", Kind.OUTAGE, math.log(OUTAGE_RATIO), math.log(OUTAGE_MARGIN), weight, ERROR_WANDER, ERROR_BURST, title="outage")


def _traffic(plan: JudgePlan, weight: float) -> Row:
    bound = -math.log(plan.guards.least_share)
    return Row("traffic", Kind.TRAFFIC, bound, bound, weight, TRAFFIC_WANDER, swapped=True, title="traffic")


def _tails(plan: JudgePlan, frozen: Frozen, parts: dict[str, float]) -> tuple[Row, ...]:
    if plan.latency is None or not frozen.latency:
        return ()
    counts = np.array(frozen.latency)
    slower = np.maximum(1.0 - np.cumsum(counts)[:-1] / counts.sum(), 1e-9)
    chosen: dict[int, float] = {}
    for level in TAIL_LEVELS:
        off = np.abs(np.log(slower / level))
        if off.min() <= math.log(MOST_OFF):
            chosen.setdefault(int(np.argmin(off)), level)
    weight = parts["latency-tail"] / max(len(chosen), 1)
    return tuple(_tail(plan.latency, frozen, bound, level, weight) for bound, level in chosen.items())


def _tail(latency: LatencyPlan, frozen: Frozen, bound: int, level: float, weight: float) -> Row:
    """A tail that is slower by a factor moves the count at a bound by the ratio of the survival there."""
    survival = frozen.survival()
    factors = np.array([1.0, 1.0 + latency.tail_tolerance, 1.0 + latency.tail_margin, 1.05])
    at, tail_tolerance, tail_margin, little = survival(LATENCY_BOUNDS[bound] / factors).tolist()
    tolerance, margin = math.log(tail_tolerance / at), math.log(tail_margin / at)
    if at > BULK_ABOVE:
        bulk = survival(LATENCY_BOUNDS[bound] / np.array([1.0 + latency.tolerance, 1.0 + latency.margin]))
        tolerance, margin = np.log(bulk / at).tolist()
    wander = LATENCY_WANDER * math.log(little / at) / math.log(1.05)
    return Row(
        f"latency-tail-{100 * level:g}",
        Kind.TAIL,
        tolerance,
        margin,
        weight,
        wander,
        need=Need.PROOF,
        index=bound,
        title=f"slowest {100 * level:g} %",
        what=f"took longer than {LATENCY_BOUNDS[bound] / 1000:.3g} ms",
    )


def _classes(plan: JudgePlan, frozen: Frozen, parts: dict[str, float]) -> tuple[Row, ...]:
    if plan.classes is None or not frozen.classes:
        return ()
    names = [*(f"class-{j}" for j in frozen.watched), "class-others"]
    weight = parts["classes"] / len(frozen.classes)
    bounds = [math.log1p(plan.classes.tolerance / share) for share in frozen.classes]
    return tuple(
        Row(
            name,
            Kind.CLASS,
            bound,
            bound,
            weight,
            CLASS_WANDER,
            need=Need.DATA,
            index=j,
            title=name.replace("-", " "),
            what="were predicted so",
        )
        for j, (name, bound) in enumerate(zip(names, bounds, strict=False))
    )


def _objectives(plan: JudgePlan) -> Iterator[Row]:
    counted = {name: one for name, one in (plan.objectives or {}).items() if one.kind is not ObjectiveKind.MEAN}
    for name, objective in sorted(counted.items()):
        higher = objective.direction is Direction.HIGHER
        tolerance, margin = (-math.log1p(-part) if higher else math.log1p(part) for part in (objective.tolerance, objective.margin))
        yield Row(
            f"{Kind.OBJECTIVE}/{name}",
            Kind.OBJECTIVE,
            tolerance,
            margin,
            objective_weight(plan, objective.gating),
            OBJECTIVE_WANDER,
            ERROR_BURST,
            Need.PROOF,
            swapped=higher,
            gating=objective.gating,
            title=name,
            what=_exposures(objective),
        )


def _exposures(objective: ObjectivePlan) -> str:
    return "answers" if objective.kind is ObjectiveKind.COUNTER else "exposures"


def could_count(row: Row, window: Window) -> bool:
    """Whether the window is one from which errors, classes or tails count, if the servers export them."""
    return window.frozen and (window.warm if row.kind is Kind.TAIL else window.settled)


def count(rows: Sequence[Row], window: Window, frozen: Frozen | None) -> tuple[Quadruple | None, ...]:
    """What each row counts in a window; None where the window does not count for it."""
    classes = _classes_of(window, frozen) if frozen else None
    return tuple(_count(row, window, classes) for row in rows)


def _count(row: Row, window: Window, classes: tuple[list[float], list[float]] | None) -> Quadruple | None:
    canary, stable = window.canary, window.stable
    match row.kind:
        case Kind.OUTAGE:
            return canary.failed, canary.requests, stable.failed, stable.requests
        case Kind.ERRORS if could_count(row, window):
            return canary.failed, canary.requests, stable.failed, stable.requests
        case Kind.TRAFFIC if window.settled and window.share is not None and 0 < window.share < 1:
            return stable.requests, TRAFFIC_SCALE * (1 - window.share), canary.requests, TRAFFIC_SCALE * window.share
        case Kind.TAIL if could_count(row, window) and canary.latency and stable.latency:
            return *_slower(canary.latency, row.index), *_slower(stable.latency, row.index)
        case Kind.CLASS if classes and could_count(row, window):
            ours, theirs = classes
            return ours[row.index], sum(ours), theirs[row.index], sum(theirs)
        case Kind.OBJECTIVE if could_count(row, window) and row.title in canary.objectives and row.title in stable.objectives:
            (events_c, n_c), (events_b, n_b) = canary.objectives[row.title][:2], stable.objectives[row.title][:2]
            return (events_b, n_b, events_c, n_c) if row.swapped else (events_c, n_c, events_b, n_b)
    return None


def _slower(latency: Buckets, bound: int) -> tuple[float, float]:
    return sum(latency.counts[max(bound + 1 - latency.first, 0) :]), sum(latency.counts)


def _classes_of(window: Window, frozen: Frozen) -> tuple[list[float], list[float]] | None:
    """Predictions by watched class on the canary and on stable."""
    canary, stable = frozen.class_counts(window.canary), frozen.class_counts(window.stable)
    return None if canary is None or stable is None else (canary.tolist(), stable.tolist())
