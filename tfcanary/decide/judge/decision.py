"""The rule: rollback where the evidence or a guard says so, promote where every criterion passes, else hold."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tfcanary.core.domain import Decision, Evidence, Finding, Verdict
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge import reasons
from tfcanary.decide.judge.absence import guards, trips
from tfcanary.decide.judge.calibration import Calibration
from tfcanary.decide.judge.criteria import Criteria
from tfcanary.decide.judge.stable_level import Frozen
from tfcanary.decide.judge.standing import Standing
from tfcanary.decide.judge.verdict_evidence import absent, unweighed, weighed
from tfcanary.decide.judge.watch_windows import Course
from tfcanary.decide.stats.logarithms import log_sum_exp


def decide(plan: JudgePlan, course: Course, frozen: Frozen | None, calibration: Calibration, criteria: Criteria) -> Verdict:
    """The verdict after a poll."""
    every = criteria.standings()
    standings = _deciding(every)
    unknown = unweighed(plan, frozen, course.answered)
    watched = guards(course, plan)
    evidence = (*weighed(every, plan), *unknown, *watched)
    decision, reason = (
        _guarded(watched)
        or _convicted(standings, plan)
        or _held(course, [one for one in unknown if one.gating], standings, plan)
        or _too_early(course, criteria.requests, plan)
        or (Decision.PROMOTE, reasons.promoted(standings, course, criteria.requests))
    )
    return Verdict(
        decision=decision,
        reason=reason,
        evidence=evidence,
        absent=absent(plan, frozen, every, calibration),
        weight=course.weight or 0,
    )


def word(plan: JudgePlan, course: Course, frozen: Frozen | None, criteria: Criteria) -> Decision:
    """The decision of the verdict, without its reasons and pictures: a third of the work."""
    standings = _deciding(criteria.standings(drawn=False))
    if trips(course, plan) or convict(standings, plan):
        return Decision.ROLLBACK
    known = course.fresh and not any(one.gating for one in unweighed(plan, frozen, course.answered))
    proven = known and all(standing.passes(plan) for standing in standings)
    return Decision.PROMOTE if proven and not reasons.too_early(course, criteria.requests, plan) else Decision.HOLD


def _deciding(standings: Sequence[Standing]) -> tuple[Standing, ...]:
    return tuple(standing for standing in standings if standing.gating)


def convict(standings: Sequence[Standing], plan: JudgePlan) -> bool:
    """A weighted average of e-values is an e-value, however they depend on each other: alpha is spent once."""
    return bool(log_sum_exp(np.array([standing.log_evidence for standing in standings])) >= -math.log(plan.alpha))


Answer = tuple[Decision, str] | None


def _guarded(watched: Sequence[Evidence]) -> Answer:
    tripped = [guard.reason for guard in watched if guard.finding is Finding.FAIL]
    return (Decision.ROLLBACK, "; ".join(tripped)) if tripped else None


def _convicted(standings: Sequence[Standing], plan: JudgePlan) -> Answer:
    if not convict(standings, plan):
        return None
    failing = [reasons.failed(standing) for standing in standings if standing.fails(plan)]
    return Decision.ROLLBACK, "; ".join(failing) or reasons.together(standings)


def _held(course: Course, unknown: Sequence[Evidence], standings: Sequence[Standing], plan: JudgePlan) -> Answer:
    """What is in the way of promotion, the most telling first."""
    if not course.fresh:
        return Decision.HOLD, reasons.unseen(course)
    if unknown:
        return Decision.HOLD, unknown[0].reason
    waiting = [standing for standing in standings if not standing.passes(plan)]
    return (Decision.HOLD, reasons.waiting_for(waiting, plan)) if waiting else None


def _too_early(course: Course, requests: float, plan: JudgePlan) -> Answer:
    reason = reasons.too_early(course, requests, plan)
    return (Decision.HOLD, reason) if reason else None
