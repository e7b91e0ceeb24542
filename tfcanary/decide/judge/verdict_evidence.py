"""Turns standings into the evidence that a verdict rests on, and lists what was not asked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence, Set

from tfcanary.core.domain import LATENCY_BOUNDS, Absence, Evidence, Finding
from tfcanary.core.plan import JudgePlan, LatencyPlan
from tfcanary.decide.judge import latency_mean, reasons
from tfcanary.decide.judge.calibration import Calibration
from tfcanary.decide.judge.rate_rows import ERROR_WANDER, LATENCY_WANDER, MOST_OFF, tail_bounds
from tfcanary.decide.judge.spread import ASSUMED_SPREAD, chance_alpha
from tfcanary.decide.judge.stable_level import StableLevel
from tfcanary.decide.judge.standing import SHARE_UNIT, Need, Standing

ABSENT = "absent by plan"
LARGEST_LOG = 700.0
"""Largest log of an e-value that is shown: a double holds no more than e^709."""
NO_SUM = (
    "stable exports no sum of latencies: means cannot be compared, and a usual shape is assumed within each bucket of the histogram; what is slower "
    "within a bucket is not seen"
)
EVENTS = {"errors": "errors", "outage": "errors"}


def criterion_evidence(standings: Sequence[Standing], plan: JudgePlan) -> tuple[Evidence, ...]:
    """Return the evidence of each criterion after a poll."""
    return tuple(_evidence(standing, plan) for standing in standings)


def _evidence(standing: Standing, plan: JudgePlan) -> Evidence:
    finding = _finding(standing, plan)
    reason = {
        Finding.FAIL: reasons.fail_reason,
        Finding.PASS: reasons.pass_reason,
    }.get(finding, lambda undecided: reasons.wait_reason(undecided, plan))(standing)
    return Evidence(
        about=standing.name if reasons.is_objective(standing) else f"metrics/{standing.name}",
        finding=finding,
        reason=reason,
        gating=standing.gating,
        unit=standing.unit,
        interval=standing.interval,
        tolerance=standing.tolerance if standing.alpha_part > 0 else None,
        margin=standing.margin if standing.need is Need.PROOF else None,
        figures={**_counts(standing), **_alpha(standing, plan), **_servers(standing)},
        suspended=standing.would_fail(plan),
    )


def _finding(standing: Standing, plan: JudgePlan) -> Finding:
    """Outage, traffic and classes pass as long as they do not fail; the other criteria must exclude their margin."""
    if standing.fails(plan):
        return Finding.FAIL
    return Finding.PASS if standing.passes(plan) else Finding.INCONCLUSIVE


def _counts(standing: Standing) -> Mapping[str, float]:
    events_c, n_c, events_b, n_b = standing.counts
    if standing.unit == SHARE_UNIT:
        return {"stable requests": events_c, "canary requests": events_b}
    exposures = {"stable requests": n_b, "canary requests": n_c}
    if standing.name == "latency":
        return exposures
    if standing.name == latency_mean.NAME:
        means = {"stable mean, ms": events_b / max(n_b, 1.0) / 1000, "canary mean, ms": events_c / max(n_c, 1.0) / 1000}
        return {**exposures, **means, "rounding of the ratio": standing.rounding}
    if reasons.is_objective(standing):
        exposures = {f"stable {standing.what}": n_b, f"canary {standing.what}": n_c}
    if standing.averaged:
        return {**exposures, "stable mean": events_b / max(n_b, 1.0), "canary mean": events_c / max(n_c, 1.0)}
    if reasons.is_objective(standing):
        return {**exposures, "stable events": events_b, "canary events": events_c}
    events = EVENTS.get(standing.name, f"requests that {standing.what}")
    incident = {"stable's error rate in the incident": standing.incident} if standing.incident else {}
    return {**exposures, f"stable {events}": events_b, f"canary {events}": events_c, **incident}


def _alpha(standing: Standing, plan: JudgePlan) -> Mapping[str, float]:
    figures: dict[str, float] = {}
    if standing.alpha_part > 0:
        spent, of_chance = standing.alpha_part * plan.alpha, standing.alpha_part * chance_alpha(plan.alpha)
        figures = {"alpha spent": spent, "e-value for rollback": _e_value(standing.log_rollback), "needed for rollback": 1.0 / of_chance}
    if standing.need is Need.PROOF:
        needed = 1.0 / chance_alpha(plan.alpha_promote)
        figures |= {"e-value for promotion": _e_value(standing.log_promote), "needed for promotion": needed}
    return figures


def _servers(standing: Standing) -> Mapping[str, float | str]:
    """Return what the draw of servers means for a criterion that promotion needs."""
    draw = standing.draw
    if standing.need is not Need.PROOF:
        return {}
    needed: float | str = "no number is enough" if draw.needed is None else float(draw.needed)
    return {"spread between servers": draw.spread.deviation, "canary servers": float(draw.servers), "canary servers needed": needed}


def _e_value(logarithm: float) -> float:
    return math.exp(min(logarithm, LARGEST_LOG))


def missing_evidence(plan: JudgePlan, stable_level: StableLevel | None, answered: float) -> tuple[Evidence, ...]:
    """Return what the plan asks for and cannot be compared: stable's level is not known yet, or stable does not export the metric.

    `answered` is the number of requests that stable has answered so far.
    """
    if stable_level is None:
        why = reasons.unknown_level_reason(answered, plan)
        own = (_unknown(f"objective/{name}", f"{name}: {why}", one.gating) for name, one in sorted((plan.objectives or {}).items()))
        return (*(_unknown(f"metrics/{name}", f"{name}: {why}") for name in ("errors", *_plan_metrics(plan))), *own)
    return tuple(_missing(name, plan) for name in stable_level.missing)


def _missing(name: str, plan: JudgePlan) -> Evidence:
    kind, _, own = name.rpartition("/")
    why = f"{own}: stable exported none when its level was taken"
    if not kind:
        return _unknown(f"metrics/{name}", f"{why}: the release cannot be promoted")
    gating = (plan.objectives or {})[own].gating
    return _unknown(name, f"{why}{': the release cannot be promoted' if gating else ''}", gating)


def _unknown(about: str, reason: str, gating: bool = True) -> Evidence:
    return Evidence(about=about, finding=Finding.INCONCLUSIVE, reason=reason, gating=gating)


def _plan_metrics(plan: JudgePlan) -> Iterator[str]:
    for name, in_plan in (("latency", plan.latency), ("quality", plan.quality), ("classes", plan.classes)):
        if in_plan is not None:
            yield name


def _latency_absences(latency: LatencyPlan, stable_level: StableLevel, names: Set[str]) -> Iterator[Absence]:
    """Yield what stable's histogram, and the sum beside it, cannot show."""
    if stable_level.latency_mean is None:
        yield Absence(f"metrics/{latency_mean.NAME}", NO_SUM)
    for level, bound in sorted(tail_bounds(latency, stable_level.latency).items(), reverse=True):
        name = f"latency-tail-{100 * level:g}"
        if bound is None:
            low, high = 100 * level / MOST_OFF, 100 * min(level * MOST_OFF, 1 / (1 + latency.tail_share_margin))
            why = f"stable's histogram cannot show it: between {low:.2g} and {high:.2g} % of the requests lie beyond none of its bounds"
            yield Absence(f"metrics/{name}", why)
        elif name not in names:
            yield Absence(
                f"metrics/{name}", f"its nearest bound, {LATENCY_BOUNDS[bound] / 1000:.3g} ms, is that of another part of the tail"
            )


def absences(
    plan: JudgePlan, stable_level: StableLevel | None, standings: Sequence[Standing], calibration: Calibration
) -> tuple[Absence, ...]:
    """Return what was not asked, and why."""
    in_plan = tuple(_plan_metrics(plan))
    missing = [
        Absence(f"metrics/{name}", ABSENT)
        for name in ("latency", "latency-mean", "latency-tail", "quality", "classes")
        if name.split("-")[0] not in in_plan
    ]
    if plan.latency and stable_level and stable_level.latency:
        missing += _latency_absences(plan.latency, stable_level, {standing.name for standing in standings})
    if calibration.lacking:
        missing.append(
            Absence("metrics/calibration", f"{calibration.lacking}; noise is assumed, not measured, and false rollbacks are likelier")
        )
    if not calibration.spread:
        why = (
            f"the history shows no two servers of stable: their spread is assumed to be {100 * ASSUMED_SPREAD * LATENCY_WANDER:.2g} % of latency and "
            f"{100 * ASSUMED_SPREAD * ERROR_WANDER:.2g} % of the error rate; where it is larger, a slow machine looks like a slow version"
        )
        missing.append(Absence("metrics/spread", why))
    return (*missing, *(() if plan.objectives else (Absence("metrics/objectives", ABSENT),)))
