"""Planned times are those that simulated watches took: the reference's measured table, and the sentences for what takes too long."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.decide.judge import simulation
from tests.decide.judge.literal import polls
from tests.decide.judge.test_mean_objectives import REVENUE, WAITING, with_values
from tests.decide.judge.test_objectives import CLICKS, FALLBACKS, with_counts
from tfcanary.core.domain import Decision
from tfcanary.core.plan import ClassesPlan, JudgePlan, LabelledPlan, ObjectivePlan, Plan, QualityPlan, StagePlan
from tfcanary.decide.judge import Judge
from tfcanary.decide.judge.calibration import calibrate
from tfcanary.decide.judge.expected_counts import Baseline, ExpectedCriteria, ObjectiveLevel, Regression
from tfcanary.decide.judge.planning import NEVER, Forecaster, SchedulePart, duration_text, forecast, named_regressions

PLAN = JudgePlan(alpha=0.05, quality=QualityPlan(), classes=ClassesPlan())
LATENCY = tuple((1e6 * simulation.buckets(0.0, 1.0)).tolist())
QUALITY = (0.7, 0.04)
POLL = 30.0

CELLS = ((200, 1), (200, 5), (200, 25), (200, 50), (20, 5), (20, 25), (20, 50))
"""Requests a second, and the weight."""
# Median seconds of 40 simulated watches a cell, calm noise; None: fewer than half decided within the hour. Slower tails of the
# simulation lie by 45 % above the others at p99 (its bulk reaches beyond the 1 % level).
MEASURED = (
    (Regression("errors x3 of 1 %", errors=3), 0.01, (390, 120, 60, 60, 480, 240, 210)),
    (Regression("errors x3", errors=3), 0.001, (2760, 930, 240, 210, None, 2040, 1680)),
    (Regression("errors x10", errors=10), 0.001, (300, 120, 90, 90, 630, 240, 240)),
    (Regression("latency +10 %", latency=1.1), 0.001, (600, 330, 240, 240, 1320, 420, 360)),
    (Regression("p99 +45 %", tail=1.45), 0.001, (1410, 450, 240, 210, 3270, 960, 900)),
    (Regression("quality -1 %", quality=0.99), 0.001, (None, 1770, 570, 510, None, None, None)),
    (Regression("quality -5 %", quality=0.95), 0.001, (300, 120, 60, 60, 690, 180, 180)),
)
PROMOTED = (2940, 840, 600, 600, None, 2070, 1890)


def forecaster(rate: float, error_rate: float = 0.001, plan: JudgePlan = PLAN) -> Forecaster:
    return Forecaster(plan, Baseline(rate, error_rate, LATENCY, quality=QUALITY), POLL)


def planned(regression: Regression, rate: float, weight: int, error_rate: float = 0.001) -> float:
    return forecaster(rate, error_rate).rollback([SchedulePart(weight)], regression).seconds or math.inf


def test_planned_times_to_rollback_are_those_that_were_measured() -> None:
    ratios = [
        seconds / planned(regression, *cell, error_rate)
        for regression, error_rate, measured in MEASURED
        for cell, seconds in zip(CELLS, measured, strict=True)
        if seconds
    ]
    low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9])
    assert len(ratios) == 44
    assert 0.9 <= middle <= 1.15
    assert low >= 0.75
    assert high <= 1.5


def test_promotion_comes_at_most_as_much_later_than_planned_as_was_measured() -> None:
    """It is the last of four criteria to pass: 0.9 to 1.6 times the planned time.

    The watches were measured before a part of alpha was set apart for the draw of servers, which plans 10 to 20 % longer.
    """
    for (rate, weight), seconds in zip(CELLS, PROMOTED, strict=True):
        promote = forecaster(rate).promote([SchedulePart(weight)]).seconds or math.inf
        assert seconds is None or 0.9 <= seconds / promote <= 1.6


def test_noise_that_history_has_shown_makes_it_longer() -> None:
    worse = Regression(errors=10)
    history = simulation.history(np.random.default_rng(0), simulation.NOISY)
    calibration, _ = calibrate(history, PLAN)
    noisy = Forecaster(PLAN, Baseline(200, 0.001, LATENCY, quality=QUALITY, noise=calibration.noise), POLL)
    unknown = Forecaster(PLAN, Baseline(200, 0.001, LATENCY, quality=QUALITY, noise={}), POLL)
    calm = planned(worse, 200, 5)
    for other in (noisy, unknown):
        assert (other.rollback([SchedulePart(5)], worse).seconds or math.inf) > calm


def test_evidence_adds_up_over_the_parts_of_a_schedule() -> None:
    one, worse = forecaster(200), Regression(errors=3)
    split = one.rollback([SchedulePart(5, 300), SchedulePart(5, 300), SchedulePart(5)], worse)
    assert split.seconds == one.rollback([SchedulePart(5)], worse).seconds
    assert (one.rollback([SchedulePart(5, 300), SchedulePart(50)], worse).seconds or 0) < (split.seconds or 0)


def test_a_baseline_gives_latency_a_smaller_control_and_takes_longer_at_small_weights_alone() -> None:
    slower, baseline = Regression(latency=1.08), Baseline(100, 0.001, LATENCY)
    plain, even = (Forecaster(JudgePlan(), baseline, POLL, given) for given in (False, True))
    times = {weight: [one.rollback([SchedulePart(weight)], slower).seconds or 0 for one in (plain, even)] for weight in (5, 50, 60)}
    assert times[5][1] > 1.3 * times[5][0]
    assert (times[50][0], times[60][0]) == (times[50][1], times[60][1])


def test_requests_are_the_canary_s_share_of_all() -> None:
    found = forecaster(200).rollback([SchedulePart(5)], Regression(errors=10))
    assert found.seconds is not None
    assert found.requests == pytest.approx(10 * found.seconds)


def test_a_window_is_planned_no_shorter_than_stable_is_scraped() -> None:
    baseline = Baseline(200, 0.001, LATENCY)
    often, rarely = (forecast(Plan(), replace(baseline, every=every)).rollback["errors x10"].seconds or 0 for every in (0.0, 60.0))
    assert often % 60 != 0
    assert rarely % 60 == 0


@pytest.mark.parametrize("weight", [0, 100])
def test_without_two_tracks_nothing_is_ever_decided(weight: int) -> None:
    assert forecaster(200).rollback([SchedulePart(weight)], Regression(errors=10)) == NEVER
    assert forecaster(200).promote([SchedulePart(weight)]) == NEVER


def test_no_errors_at_all_stay_none_however_often_they_are_doubled() -> None:
    assert forecaster(200, 0.0).rollback([SchedulePart(5)], Regression(errors=10)) == NEVER
    assert forecaster(200, 0.0).promote([SchedulePart(5)]).seconds is not None


def test_what_the_plan_asks_for_and_nobody_exports_is_never_promoted() -> None:
    bare = Baseline(200, 0.001, ())
    assert ExpectedCriteria(PLAN, bare, POLL).missing == ("latency", "quality")
    assert Forecaster(PLAN, bare, POLL).promote([SchedulePart(50)]) == NEVER
    stage = forecast(Plan(judge=PLAN, labelled=LabelledPlan("labels.jsonl")), bare).stages[-1]
    assert not stage.decides
    assert stage.sentences[0] == "stable exports no latency and no quality, which the plan asks for: no canary can be promoted"


def test_the_default_plan_decides_at_200_requests_a_second() -> None:
    found = forecast(Plan(), Baseline(200, 0.001, LATENCY))
    assert found.decides
    assert found.promote.seconds == 900
    assert found.undetectable == ("quality -1 %",)
    assert [stage.weight for stage in found.stages] == [5, 25, 50]


def test_a_stage_that_cannot_decide_in_its_time_says_what_would_help() -> None:
    found = forecast(Plan(weights=(5,)), Baseline(2, 0.001, LATENCY))
    assert not found.decides
    sentence = found.stages[0].sentences[0]
    assert sentence.startswith("at 2 requests/s and 5 % this needs 15 h to promote a healthy canary, and ends after 1 h; use 50 % (3.9 h)")
    assert "compare predictions with the same requests" in sentence


def test_a_suggested_weight_is_the_least_that_is_enough() -> None:
    found = forecast(Plan(weights=(5,)), Baseline(20, 0.001, LATENCY))
    assert "use 10 % (" in found.stages[0].sentences[0]


def test_an_early_stage_in_which_nothing_could_show_says_so() -> None:
    plan = Plan(weights=(1, 50), stage=StagePlan(minimum=timedelta(seconds=60)))
    first = forecast(plan, Baseline(20, 0.001, LATENCY)).stages[0]
    assert not first.decides
    assert first.sentences[0].startswith("at 20 requests/s and 1 % none of the regressions shows before this stage advances after 1 min")


def test_a_stage_without_traffic_by_plan_need_not_decide() -> None:
    assert forecast(Plan(weights=(0, 50)), Baseline(200, 0.001, LATENCY)).stages[0].decides


def test_a_plan_without_latency_is_planned_without_it() -> None:
    found = forecast(Plan(judge=replace(JudgePlan(), latency=None)), Baseline(200, 0.001, LATENCY))
    assert set(found.rollback) == {"errors x2", "errors x10"}


VALUE = {"value": ObjectiveLevel(4.0, variance=1.0)}


@pytest.mark.parametrize(
    ("name", "objective", "level"),
    [
        ("fallbacks", FALLBACKS, ObjectiveLevel(0.02)),
        ("clicks", CLICKS, ObjectiveLevel(0.3)),
        ("value", REVENUE, VALUE["value"]),
        ("value", WAITING, VALUE["value"]),
    ],
)
def test_objectives_take_as_long_as_the_judge_itself_takes_on_traffic_without_chance(
    name: str, objective: ObjectivePlan, level: ObjectiveLevel
) -> None:
    plan = replace(JudgePlan(objectives={name: objective}), latency=None)
    one = Forecaster(plan, Baseline(200, 0.001, (), noise={}, objectives={name: level}), POLL)
    factor = next(regression.objectives[name] for regression in named_regressions(plan) if name in regression.objectives)
    for times, expected in (
        (factor, one.rollback([SchedulePart(5)], Regression(objectives={name: factor}))),
        (1.0, one.promote([SchedulePart(5)])),
    ):
        stream = polls(seconds=7200.0)
        stream = (
            with_values(stream, 4.0 * times)
            if name == "value"
            else with_counts(stream, {name: level.level * times}, stable={name: level.level})
        )
        judge = Judge.begin(plan, "r1")
        seconds = next(poll.t for poll in stream if judge.decide(poll) is (Decision.PROMOTE if times == 1.0 else Decision.ROLLBACK))
        assert expected.seconds is not None
        assert seconds / 1.6 <= expected.seconds <= 1.6 * seconds


def test_each_gating_objective_is_planned_for_at_its_margin_and_a_dry_run_is_not() -> None:
    plan = JudgePlan(objectives={"value": REVENUE, "dry": replace(WAITING, gating=False), "lost": FALLBACKS})
    found = forecast(Plan(judge=plan), Baseline(200, 0.001, LATENCY, objectives=VALUE))
    assert set(found.rollback) == {"errors x2", "errors x10", "p50 +10 %", "p99 +50 %", "value -10 %"}
    assert found.undetectable == ("quality -1 %", "lost +50 %")
    assert found.promote == NEVER
    assert found.stages[-1].sentences[0].startswith("stable exports no lost, which the plan asks for")


def test_a_promotion_waits_for_the_slowest_objective() -> None:
    hard = replace(REVENUE, tolerance=0.001, margin=0.002)
    easy, late = (
        Forecaster(JudgePlan(objectives={"value": one}), Baseline(200, 0.001, LATENCY, objectives=VALUE), POLL)
        .promote([SchedulePart(5)])
        .seconds
        for one in (REVENUE, hard)
    )
    assert (easy or 0) < (late or math.inf)


@pytest.mark.parametrize(("seconds", "words"), [(40, "40 s"), (300, "5 min"), (5400, "1.5 h"), (50400, "14 h"), (260000, "3 d")])
def test_times_are_said_shortly(seconds: float, words: str) -> None:
    assert duration_text(seconds) == words
