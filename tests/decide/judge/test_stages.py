"""What the judge's word means for a stage: advance claims nothing, only the last stage promotes, no data never passes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tfcanary.core.domain import Absence, Decision, Evidence, Finding, Interval, Look, Verdict
from tfcanary.core.plan import OnUndecided, Plan, StagePlan
from tfcanary.decide.judge.stages import combine, conclude_stage

PLAN = Plan(weights=(5, 50), stage=StagePlan(minimum=timedelta(seconds=60), maximum=timedelta(seconds=600)))
RISKY = replace(PLAN, stage=replace(PLAN.stage, on_undecided=OnUndecided.PROMOTE))
WAITING = Evidence("metrics/latency", Finding.INCONCLUSIVE, "latency: 400 of about 900 requests", interval=Interval(0.9, 1.0, 1.2))
SILENT = Evidence("metrics/errors", Finding.INCONCLUSIVE, "errors: no request yet")
HOLD = Verdict(Decision.HOLD, "not sure yet", (WAITING,))
WARMING = Verdict(Decision.HOLD, "it may still be warming up", (replace(WAITING, suspended=True),))
PROMOTE = Verdict(Decision.PROMOTE, "every criterion passed")
ROLLBACK = Verdict(Decision.ROLLBACK, "errors 3 times stable's")


@pytest.mark.parametrize(
    ("verdict", "stage", "seconds", "requests", "decision"),
    [
        (ROLLBACK, 0, 0, 0, Decision.ROLLBACK),
        (HOLD, 0, 59, 100, None),
        (HOLD, 0, 60, 100, Decision.ADVANCE),
        (PROMOTE, 0, 60, 100, Decision.ADVANCE),  # only the last stage promotes
        (HOLD, 0, 60, 0, None),  # nobody was served: no data never advances
        (HOLD, 0, 600, 0, Decision.ROLLBACK),
        (WARMING, 0, 60, 100, None),  # more requests for a canary that may be slow are no way to find out
        (WARMING, 0, 600, 100, Decision.ROLLBACK),
        (HOLD, 1, 60, 100, None),
        (PROMOTE, 1, 59, 100, None),  # the minimum time is a promise, too
        (PROMOTE, 1, 60, 100, Decision.PROMOTE),
        (PROMOTE, 1, 60, 0, None),
        (HOLD, 1, 600, 100, Decision.ROLLBACK),
    ],
)
def test_a_stage_ends_as_its_place_and_its_time_say(
    verdict: Verdict, stage: int, seconds: int, requests: int, decision: Decision | None
) -> None:
    result = conclude_stage(verdict, PLAN, stage, timedelta(seconds=seconds), requests)
    assert (result.decision if result else None) is decision
    assert result is None or (result.stage, result.weight) == (stage, PLAN.weights[stage])


def test_an_undecided_release_says_what_it_waited_for() -> None:
    result = conclude_stage(HOLD, PLAN, 1, timedelta(seconds=600), 100)
    assert result is not None
    assert result.reason == "undecided after 600 s: latency: 400 of about 900 requests"
    assert result.undecided


def test_the_plan_may_take_the_risk_of_few_requests_but_never_that_of_no_data() -> None:
    few = conclude_stage(HOLD, RISKY, 1, timedelta(seconds=600), 100)
    none = conclude_stage(replace(HOLD, evidence=(WAITING, SILENT)), RISKY, 1, timedelta(seconds=600), 100)
    assert few is not None
    assert none is not None
    assert (few.decision, none.decision) == (Decision.PROMOTE, Decision.ROLLBACK)


def test_a_stage_without_traffic_by_plan_advances_by_the_clock() -> None:
    shadow = replace(PLAN, weights=(0, 50))
    result = conclude_stage(HOLD, shadow, 0, timedelta(seconds=60), 0)
    assert result is not None
    assert result.decision is Decision.ADVANCE


ABSENT = Look("drift", absent=(Absence("drift", "absent by plan"),))
MOVED = Look("drift", (Evidence("drift/classes", Finding.FAIL, "class 3 gained 20 points"),))
FEW = Look("drift", (Evidence("drift/classes", Finding.INCONCLUSIVE, "80 rows are too few"),))
SHOWN = Look("drift", (Evidence("drift/scores", Finding.FAIL, "scores moved", gating=False), Evidence("drift/classes", Finding.PASS, "no")))


@pytest.mark.parametrize(
    ("watched", "drift", "stage", "decision"),
    [
        (Decision.ADVANCE, ABSENT, 0, Decision.ADVANCE),
        (Decision.PROMOTE, ABSENT, 1, Decision.PROMOTE),
        (Decision.ADVANCE, MOVED, 0, Decision.ROLLBACK),
        (Decision.PROMOTE, MOVED, 1, Decision.ROLLBACK),
        (Decision.PROMOTE, SHOWN, 1, Decision.PROMOTE),  # what does not gate is shown and decides nothing
        (Decision.ADVANCE, FEW, 0, Decision.ADVANCE),  # advancing is no claim
        (Decision.PROMOTE, FEW, 1, Decision.ROLLBACK),  # promoting is one
        (Decision.ROLLBACK, ABSENT, 1, Decision.ROLLBACK),
    ],
)
def test_drift_and_metrics_make_one_verdict(watched: Decision, drift: Look, stage: int, decision: Decision) -> None:
    verdict = combine(Verdict(watched, "watched"), drift, PLAN, stage)
    assert verdict.decision is decision
    assert verdict.evidence[-len(drift.evidence) :] == drift.evidence if drift.evidence else verdict.evidence == ()
    assert verdict.absent == drift.absent


def test_the_reason_of_a_drift_rollback_is_the_drifts() -> None:
    assert combine(PROMOTE, MOVED, PLAN, 1).reason == "class 3 gained 20 points"
    assert combine(PROMOTE, FEW, PLAN, 1).reason == "undecided: 80 rows are too few"
