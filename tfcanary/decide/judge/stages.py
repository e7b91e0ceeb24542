"""What the judge's decision means for a stage: the one rule that combines all findings of a release. Pure.

Any gating fail rolls back. Before the last stage, no fail and the minimum time give `advance`, which claims nothing, so that no
alpha is spent on it; it waits while evidence for a rollback is suspended. At the last stage only the judge's own `promote` promotes. Otherwise the watch goes on until the stage's
maximum time and then ends as the plan says.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tfcanary.core import timeline
from tfcanary.core.domain import UNDECIDED, Decision, Evidence, Finding, Look, Verdict
from tfcanary.core.plan import OnUndecided, Plan
from tfcanary.core.record import Release
from tfcanary.core.timeline import Timeline


def conclude_stage(
    verdict: Verdict, plan: Plan, stage: int, watched: timedelta, requests: float, blind: timedelta = timedelta(0)
) -> Verdict | None:
    """Return the verdict that ends the stage, or None where polling goes on.

    Args:
        verdict: The judge's present verdict: hold, promote or rollback.
        plan: The release's plan.
        stage: Number of the stage that is watched, from 0.
        watched: Time at this stage's weight, without the time in which the counters could not be seen.
        requests: The canary's requests in this stage. Without any, the stage does not advance, unless its weight is 0 by plan.
        blind: For how long the counters have not been seen by now: while it lasts, nothing advances.
    """
    here = replace(verdict, stage=stage, weight=plan.weights[stage])
    if here.decision is Decision.ROLLBACK:
        return here
    silent_by_plan = plan.weights[stage] == 0
    suspended = any(evidence.gating and evidence.suspended for evidence in here.evidence)
    if not blind and not suspended and watched >= plan.stage.minimum and (requests > 0 or silent_by_plan):
        if not plan.is_last(stage):
            return replace(here, decision=Decision.ADVANCE, reason=_advance_reason(plan, stage, requests))
        if here.decision is Decision.PROMOTE:
            return here
    return _undecided(here, plan, stage, 0 if blind else requests) if watched + blind >= plan.stage.maximum else None


def blind_too_long(verdict: Verdict, release: Release, seen: Timeline) -> Verdict | None:
    """Return the verdict of a watch that has not seen the counters for `judge.guards.blind_after`: undecided, and so a rollback; else None."""
    blind, limit = timeline.blind_for(seen, verdict.at or release.began), release.plan.judge.guards.blind_after
    if verdict.decision is Decision.ROLLBACK or blind < limit:
        return None
    here = replace(verdict, stage=max(release.stage, 0), weight=release.weight)
    return _undecided_rollback(here, f"undecided: the counters of both tracks were last seen {blind.total_seconds():.0f} s ago")


def combine(watched: Verdict, drift: Look, plan: Plan, stage: int) -> Verdict:
    """Return the stage's verdict together with the drift of the same window.

    A gating fail of drift rolls back. An inconclusive drift prevents promotion, unless the plan promotes undecided releases.
    """
    whole = replace(watched, evidence=(*watched.evidence, *drift.evidence), absent=(*watched.absent, *drift.absent))
    if watched.decision is Decision.ROLLBACK or drift.finding in (Finding.PASS, Finding.WARN):
        return whole
    if drift.finding is Finding.FAIL:
        return replace(whole, decision=Decision.ROLLBACK, reason=_first_reason(drift.evidence, Finding.FAIL))
    if not plan.is_last(stage) or plan.stage.on_undecided is OnUndecided.PROMOTE:
        return whole
    return _undecided_rollback(whole, f"undecided: {_first_reason(drift.evidence, Finding.INCONCLUSIVE)}")


def _first_reason(evidence: tuple[Evidence, ...], finding: Finding) -> str:
    return next((e.reason for e in evidence if e.gating and e.finding is finding), "no data")


def _advance_reason(plan: Plan, stage: int, requests: float) -> str:
    return f"no evidence against {plan.weights[stage]} % after {requests:,.0f} canary requests: on to {plan.weights[stage + 1]} %"


def _undecided(verdict: Verdict, plan: Plan, stage: int, requests: float) -> Verdict:
    """The verdict of a stage whose time is over. `on_undecided: promote` accepts the risk of few requests, never that of no data."""
    waits = [e for e in verdict.evidence if e.gating and e.finding is Finding.INCONCLUSIVE]
    measured = requests > 0 and all(e.interval is not None for e in waits)
    if plan.stage.on_undecided is OnUndecided.PROMOTE and plan.is_last(stage) and measured:
        return replace(verdict, decision=Decision.PROMOTE, reason=f"undecided, and the plan says promote: {_wait_reason(verdict, waits)}")
    return _undecided_rollback(verdict, f"undecided after {plan.stage.maximum.total_seconds():g} s: {_wait_reason(verdict, waits)}")


def _undecided_rollback(verdict: Verdict, reason: str) -> Verdict:
    undecided = Evidence(UNDECIDED, Finding.INCONCLUSIVE, reason)
    return replace(verdict, decision=Decision.ROLLBACK, reason=reason, evidence=(undecided, *verdict.evidence))


def _wait_reason(verdict: Verdict, waits: list[Evidence]) -> str:
    return waits[0].reason if waits else verdict.reason
