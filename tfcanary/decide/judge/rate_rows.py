"""The rate rows: each compares a count out of an exposure on both tracks, with a tolerance and a margin.

| row            | events of exposure, canary against stable                      | counts from             |
|----------------|----------------------------------------------------------------|-------------------------|
| errors         | failed of all requests                                         | `settled`               |
| outage         | failed of all requests, catastrophes only                      | the first window        |
| traffic        | stable's requests by its share against the canary's by its own | `settled`, in one split |
| latency-tail-k | answers slower than a bound of all answers                     | `warm`                  |
| class-j        | predictions of a class of all predictions                      | `settled`               |
| objective/name | the user's events of their exposures; where more is better     | `settled`               |
|                | stable's against the canary's                                  |                         |

Every row is one-sided: only "worse" is evidence for a rollback.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tfcanary.core.domain import LATENCY_BOUNDS
from tfcanary.core.plan import Direction, JudgePlan, LatencyPlan, ObjectiveKind
from tfcanary.decide.judge.counted_windows import Buckets
from tfcanary.decide.judge.stable_level import StableLevel, alpha_parts, objective_alpha_part
from tfcanary.decide.judge.standing import EventCounts, Need
from tfcanary.decide.judge.watch_windows import Window
from tfcanary.decide.stats.logarithms import Array

TAIL_LEVELS = {0.03: 0.45, 0.01: 0.45, 0.10: 0.10}
"""Shares of the slowest requests, at whose nearest bucket bounds the answers beyond are compared, and the part of each in the tail's alpha.

The slowest tenth is there for promotion: what it can roll back, the row `latency` rolls back as soon.
"""
MOST_OFF = 10.0
"""A bound with ten times as many requests beyond it as the level, or a tenth, does not stand for the level: the row is left out."""
LEAST_TOLERATED = math.log(1.1)
"""Least log ratio of the answers beyond a bound that is tolerated. On a plateau, where no request lies near the bound, a slower tail makes none."""
LEAST_WANDER = 0.05
"""Least standard deviation by which the log share of answers beyond a bound is assumed to wander, also on a plateau."""
OUTAGE_RATIO, OUTAGE_MARGIN = 2.0, 4.0
"""Error ratios of the outage row: twice as many errors are tolerated. Promotion does not need the margin, which only fills the grid."""
TRAFFIC_SCALE = 1e6
"""Exposure of a window's traffic: so large that requests are rare events in it, as the Poisson likelihood assumes."""

ERROR_WANDER, TRAFFIC_WANDER, CLASS_WANDER, LATENCY_WANDER, OBJECTIVE_WANDER = 0.20, 0.20, 0.05, 0.03, 0.20
"""Standard deviation by which a track's own log rate is assumed to wander (latency: log latency) where there is no history."""
ERROR_BURST = 2.0
"""Variance of errors relative to Poisson events that is assumed where there is no history.

Errors are assumed to come in pairs: a failing request is retried, a bad batch fails as a whole. The events of the user's objectives are
assumed to vary as much.
"""
ERROR_BETS: Array = np.array([*[0.15 / 8] * 6, 0.10, 0.13, 0.19, 0.19, 0.14, 0.10, *[0.15 / 8] * 2])
"""Shape (14,): weights of GAPS in the rollback bet of the rows errors and outage: most errors that get worse do so by 1.4 to 15 times."""


class RowKind(StrEnum):
    """What a row counts."""

    ERRORS = "errors"
    OUTAGE = "outage"
    TRAFFIC = "traffic"
    TAIL = "tail"
    CLASS = "class"
    OBJECTIVE = "objective"


@dataclass(frozen=True, slots=True)
class RateRow:
    """One rate row; tolerance and margin are log ratios of the canary's rate to stable's."""

    name: str
    kind: RowKind
    tolerance: float
    margin: float
    alpha_part: float
    """The part of alpha that the row may spend."""
    wander: float
    """Standard deviation by which a track's own log rate is assumed to wander from window to window."""
    burst: float = 1.0
    """Assumed variance of the events relative to Poisson events: 2 where they come in pairs."""
    need: Need = Need.NOTHING
    index: int = 0
    """Index of the bucket bound, or of the class in `StableLevel.classes`."""
    swapped: bool = False
    """The canary's events stand on stable's side and stable's on the canary's, because fewer of them are worse."""
    gating: bool = True
    spread: float = 0.0
    """Wander of which a part is assumed to be a constant difference between servers; 0 where the same answers come from every server."""
    title: str = ""
    """The row's name in sentences."""
    what: str = "failed"
    """What happened to the counted requests, as a sentence says it."""


def rows(plan: JudgePlan, stable_level: StableLevel | None) -> tuple[RateRow, ...]:
    """Return the rows of a plan; before stable's level is known, only outage and traffic."""
    parts = alpha_parts(plan)
    before = (_outage(parts["outage"]), _traffic(plan, parts["traffic"]))
    if stable_level is None:
        return before
    return (
        _errors(plan, stable_level, parts["errors"]),
        *before,
        *_tails(plan, stable_level, parts),
        *_classes(plan, stable_level, parts),
        *_objectives(plan),
    )


def _errors(plan: JudgePlan, stable_level: StableLevel, alpha_part: float) -> RateRow:
    margin = max(plan.errors.margin, plan.errors.margin_absolute / stable_level.error_rate)
    return RateRow(
        "errors",
        RowKind.ERRORS,
        math.log1p(plan.errors.tolerance),
        math.log1p(margin),
        alpha_part,
        ERROR_WANDER,
        ERROR_BURST,
        Need.PROOF,
        spread=ERROR_WANDER,
        title="errors",
    )


def _outage(alpha_part: float) -> RateRow:
    return RateRow(
        "outage",
        RowKind.OUTAGE,
        math.log(OUTAGE_RATIO),
        math.log(OUTAGE_MARGIN),
        alpha_part,
        ERROR_WANDER,
        ERROR_BURST,
        spread=ERROR_WANDER,
        title="outage",
    )


def _traffic(plan: JudgePlan, alpha_part: float) -> RateRow:
    bound = -math.log(plan.guards.least_share)
    return RateRow(
        "traffic", RowKind.TRAFFIC, bound, bound, alpha_part, TRAFFIC_WANDER, swapped=True, spread=TRAFFIC_WANDER, title="traffic"
    )


def tail_bounds(latency: LatencyPlan, counts: Sequence[float]) -> dict[float, int | None]:
    """Return, for each of TAIL_LEVELS, the index of the bucket bound nearest to it; None where no bound stands for it.

    `counts` are stable's requests by bucket. A bound stands for a level only if the margin leaves room for more answers beyond it.
    """
    slower = np.maximum(1.0 - np.cumsum(counts)[:-1] / np.sum(counts), 1e-9)
    possible = slower * (1.0 + latency.tail_share_margin) < 1.0
    found: dict[float, int | None] = {}
    for level in TAIL_LEVELS:
        off = np.where(possible, np.abs(np.log(slower / level)), np.inf)
        found[level] = int(np.argmin(off)) if off.min() <= math.log(MOST_OFF) else None
    return found


def _tails(plan: JudgePlan, stable_level: StableLevel, parts: dict[str, float]) -> tuple[RateRow, ...]:
    if plan.latency is None or not stable_level.latency:
        return ()
    levels: dict[int, float] = {}
    for level, bound in tail_bounds(plan.latency, stable_level.latency).items():
        if bound is not None:
            levels.setdefault(bound, level)
    whole = sum(TAIL_LEVELS[level] for level in levels.values())
    return tuple(
        _tail(plan.latency, stable_level, bound, level, parts["latency-tail"] * TAIL_LEVELS[level] / whole)
        for bound, level in sorted(levels.items())
    )


def _tail(latency: LatencyPlan, stable_level: StableLevel, bound: int, level: float, alpha_part: float) -> RateRow:
    """Return the row of one bound.

    What is tolerated, and by how much the share wanders, is what slower answers make of the count by the interpolated histogram; the
    margin is a ratio of the counts themselves, for which no shape is needed.
    """
    factors = np.array([1.0, 1.0 + latency.tail_tolerance, 1.05])
    at, tolerated, little = stable_level.survival()(LATENCY_BOUNDS[bound] / factors).tolist()
    wander = max(LATENCY_WANDER * math.log(little / at) / math.log(1.05), LEAST_WANDER)
    return RateRow(
        f"latency-tail-{100 * level:g}",
        RowKind.TAIL,
        max(math.log(tolerated / at), LEAST_TOLERATED),
        math.log1p(latency.tail_share_margin),
        alpha_part,
        wander,
        need=Need.PROOF,
        index=bound,
        spread=wander,
        title=f"slowest {100 * level:g} %",
        what=f"took longer than {LATENCY_BOUNDS[bound] / 1000:.3g} ms",
    )


def _classes(plan: JudgePlan, stable_level: StableLevel, parts: dict[str, float]) -> tuple[RateRow, ...]:
    if plan.classes is None or not stable_level.classes:
        return ()
    names = [*(f"class-{j}" for j in stable_level.watched), "class-others"]
    alpha_part = parts["classes"] / len(stable_level.classes)
    bounds = [math.log1p(plan.classes.tolerance / share) for share in stable_level.classes]
    return tuple(
        RateRow(
            name,
            RowKind.CLASS,
            bound,
            bound,
            alpha_part,
            CLASS_WANDER,
            need=Need.DATA,
            index=j,
            title=name.replace("-", " "),
            what="were predicted so",
        )
        for j, (name, bound) in enumerate(zip(names, bounds, strict=False))
    )


def _objectives(plan: JudgePlan) -> Iterator[RateRow]:
    counted = {name: one for name, one in (plan.objectives or {}).items() if one.kind is not ObjectiveKind.MEAN}
    for name, objective in sorted(counted.items()):
        higher = objective.direction is Direction.HIGHER
        tolerance, margin = (-math.log1p(-part) if higher else math.log1p(part) for part in (objective.tolerance, objective.margin))
        yield RateRow(
            f"{RowKind.OBJECTIVE}/{name}",
            RowKind.OBJECTIVE,
            tolerance,
            margin,
            objective_alpha_part(plan, objective.gating),
            OBJECTIVE_WANDER,
            ERROR_BURST,
            Need.PROOF,
            swapped=higher,
            gating=objective.gating,
            spread=OBJECTIVE_WANDER,
            title=name,
            what="answers" if objective.kind is ObjectiveKind.COUNTER else "exposures",
        )


def could_count(row: RateRow, window: Window) -> bool:
    """Return whether the window is one in which the row counts, if the servers export what it needs."""
    return window.frozen and (window.warm if row.kind is RowKind.TAIL else window.settled)


def count(rows: Sequence[RateRow], window: Window, stable_level: StableLevel | None) -> tuple[EventCounts | None, ...]:
    """Return what each row counts in a window; None for a row that does not count in it."""
    canary, stable = (stable_level.class_counts(side) if stable_level else None for side in (window.canary, window.stable))
    classes = None if canary is None or stable is None else (canary.tolist(), stable.tolist())
    return tuple(_count(row, window, classes) for row in rows)


def _count(row: RateRow, window: Window, classes: tuple[list[float], list[float]] | None) -> EventCounts | None:
    canary, stable = window.canary, window.stable
    match row.kind:
        case RowKind.OUTAGE:
            return canary.failed, canary.requests, stable.failed, stable.requests
        case RowKind.ERRORS if could_count(row, window):
            return canary.failed, canary.requests, stable.failed, stable.requests
        case RowKind.TRAFFIC if window.settled and window.share is not None and 0 < window.share < 1:
            return stable.requests, TRAFFIC_SCALE * (1 - window.share), canary.requests, TRAFFIC_SCALE * window.share
        case RowKind.TAIL if could_count(row, window) and canary.latency and window.latency_control.latency:
            return *_slower(canary.latency, row.index), *_slower(window.latency_control.latency, row.index)
        case RowKind.CLASS if classes and could_count(row, window):
            canary_counts, stable_counts = classes
            return canary_counts[row.index], sum(canary_counts), stable_counts[row.index], sum(stable_counts)
        case RowKind.OBJECTIVE if could_count(row, window) and row.title in canary.objectives and row.title in stable.objectives:
            (events_c, n_c), (events_b, n_b) = canary.objectives[row.title][:2], stable.objectives[row.title][:2]
            return (events_b, n_b, events_c, n_c) if row.swapped else (events_c, n_c, events_b, n_b)
    return None


def _slower(latency: Buckets, bound: int) -> tuple[float, float]:
    return sum(latency.counts[max(bound + 1 - latency.first, 0) :]), sum(latency.counts)
