"""The decision rule: roll back where the evidence or an absence rule says so, promote where every criterion passes, else hold."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tfcanary.core.domain import Decision, Evidence, Finding, Verdict
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge import reasons
from tfcanary.decide.judge.absence import absence_evidence, absence_fails
from tfcanary.decide.judge.calibration import Calibration
from tfcanary.decide.judge.criteria import Criteria
from tfcanary.decide.judge.spread import chance_alpha
from tfcanary.decide.judge.stable_level import StableLevel
from tfcanary.decide.judge.standing import Standing, is_latency
from tfcanary.decide.judge.verdict_evidence import absences, criterion_evidence, missing_evidence
from tfcanary.decide.judge.watch_windows import Course
from tfcanary.decide.stats.logarithms import log_sum_exp

Answer = tuple[Decision, str] | None
"""A decision with its reason, or None where another rule decides."""


def decide(plan: JudgePlan, course: Course, stable_level: StableLevel | None, calibration: Calibration, criteria: Criteria) -> Verdict:
    """Return the verdict after a poll, with all evidence that it rests on."""
    every = criteria.standings()
    standings = _gating(every)
    missing = missing_evidence(plan, stable_level, course.answered)
    absence = absence_evidence(course, plan)
    decision, reason = (
        _absence_answer(absence)
        or _rollback_answer(standings, plan, criteria.load)
        or _hold_answer(course, [one for one in missing if one.gating], standings, criteria.requests, plan)
        or (Decision.PROMOTE, reasons.promotion_reason(standings, course, criteria.requests))
    )
    return Verdict(
        decision=decision,
        reason=reason,
        evidence=(*criterion_evidence(every, plan), *missing, *absence),
        absent=absences(plan, stable_level, every, calibration),
        weight=course.weight or 0,
    )


def decide_only(plan: JudgePlan, course: Course, stable_level: StableLevel | None, criteria: Criteria) -> Decision:
    """Return the decision of `decide` without reasons and intervals, for a third of the work."""
    standings = _gating(criteria.standings(with_intervals=False))
    if absence_fails(course, plan) or is_enough_for_rollback(standings, plan):
        return Decision.ROLLBACK
    comparable = course.fresh and not any(one.gating for one in missing_evidence(plan, stable_level, course.answered))
    proven = comparable and all(standing.passes(plan) for standing in standings)
    return Decision.PROMOTE if proven and not reasons.too_early_reason(course, criteria.requests, plan) else Decision.HOLD


def is_enough_for_rollback(standings: Sequence[Standing], plan: JudgePlan) -> bool:
    """Return whether the weighted sum of the e-values for rollback reaches 1/alpha, of the part of alpha that is for chance.

    A weighted average of e-values is an e-value, however they depend on each other (Vovk and Wang 2021): so alpha is spent once.
    """
    return bool(log_sum_exp(np.array([standing.log_evidence for standing in standings])) >= -math.log(chance_alpha(plan.alpha)))


def _gating(standings: Sequence[Standing]) -> tuple[Standing, ...]:
    return tuple(standing for standing in standings if standing.gating)


def _absence_answer(absence: Sequence[Evidence]) -> Answer:
    failing = [evidence.reason for evidence in absence if evidence.finding is Finding.FAIL]
    return (Decision.ROLLBACK, "; ".join(failing)) if failing else None


def _rollback_answer(standings: Sequence[Standing], plan: JudgePlan, load: float) -> Answer:
    if not is_enough_for_rollback(standings, plan):
        return None
    failing = [standing for standing in standings if standing.fails(plan)]
    reason = "; ".join(map(reasons.fail_reason, failing)) or reasons.combined_reason(standings)
    uneven = reasons.uneven_load_reason(load) if any(map(is_latency, failing or standings)) else ""
    return Decision.ROLLBACK, "; ".join(filter(None, (reason, uneven)))


def _hold_answer(course: Course, missing: Sequence[Evidence], standings: Sequence[Standing], requests: float, plan: JudgePlan) -> Answer:
    """Return what is in the way of promotion, the most important first."""
    if not course.fresh:
        return Decision.HOLD, reasons.no_window_reason(course)
    if missing:
        return Decision.HOLD, missing[0].reason
    undecided = [standing for standing in standings if not standing.passes(plan)]
    if undecided:
        return Decision.HOLD, reasons.hold_reason(undecided, plan)
    too_early = reasons.too_early_reason(course, requests, plan)
    return (Decision.HOLD, too_early) if too_early else None
