"""Whole watches: literal traffic in, decisions out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.decide.judge.literal import CANARY, FULL, HOLD, PLAN, PROMOTE, ROLLBACK, SKEWED, STABLE, Traffic, down, polls, sample
from tests.decide.judge.simulation import CALM, GOOD, Canary, watch
from tfcanary.core.domain import Counters, Finding, Track, Verdict
from tfcanary.core.errors import Refused
from tfcanary.core.plan import ErrorsPlan, JudgePlan, QualityPlan
from tfcanary.decide.judge import Judge, Poll


def run_judge(stream: Iterable[Poll], plan: JudgePlan = PLAN) -> tuple[Verdict, float]:
    """The first verdict that is not hold, or the last one, and when."""
    judge, t = Judge.begin(plan, "r1"), 0.0
    for poll in stream:
        t = poll.t
        if judge.poll(poll).decision is not HOLD:
            break
    return judge.verdict(), t


def finding(verdict: Verdict, about: str) -> Finding:
    return next(evidence.finding for evidence in verdict.evidence if evidence.about == about)


def hour(what: Canary = GOOD, step: float = 60.0, seed: int = 5, **settings) -> Iterator[Poll]:
    """An hour of simulated traffic, 200 requests a second at 5 %."""
    return watch(np.random.default_rng(seed), CALM, what, step=step, **settings)


# What follows from literal traffic


def test_a_canary_exactly_like_stable_is_promoted_after_its_minimum_time():
    verdict, t = run_judge(polls(seconds=3600))
    assert verdict.decision is PROMOTE
    assert t >= 600
    assert all(evidence.finding is Finding.PASS for evidence in verdict.evidence)


def test_no_canary_is_promoted_before_its_minimum_time_or_minimum_requests():
    rich = Traffic(rate=2000.0), Traffic(rate=2000.0)
    quick, _ = run_judge(polls(*rich, weight=50, seconds=570))
    assert (quick.decision, quick.reason) == (HOLD, "all criteria passed; 570 of at least 600 s watched")
    greedy = replace(PLAN, minimum_requests=10_000_000)
    assert "of at least 10,000,000 canary requests" in run_judge(polls(*rich, weight=50, seconds=900), greedy)[0].reason


@pytest.mark.parametrize(
    ("canary", "about"),
    [
        (replace(CANARY, error_rate=0.01), "metrics/errors"),
        (replace(CANARY, slower=1.5), "metrics/latency"),
        (replace(CANARY, tail=3.0), "metrics/latency-tail-1"),
        (replace(CANARY, error_rate=1.0), "metrics/outage"),
        (replace(CANARY, rate=1.0), "metrics/traffic"),
    ],
)
def test_a_bad_canary_is_rolled_back_and_the_reason_names_what_is_bad(canary, about):
    verdict, _ = run_judge(polls(canary))
    assert verdict.decision is ROLLBACK
    assert finding(verdict, about) is Finding.FAIL
    failing = [evidence.reason for evidence in verdict.evidence if evidence.finding is Finding.FAIL]
    assert verdict.reason.partition("; warning: ")[0] == "; ".join(failing)
    assert any(digit in verdict.reason for digit in "0123456789")


def test_quality_and_classes_are_judged_where_the_plan_asks():
    good = {"quality": 0.7, "classes": SKEWED}
    stable = replace(STABLE, **good)
    assert run_judge(polls(replace(CANARY, **good), stable, seconds=3600), FULL)[0].decision is PROMOTE
    worse = run_judge(polls(replace(CANARY, quality=0.6, classes=SKEWED), stable), FULL)[0]
    assert (worse.decision, finding(worse, "metrics/quality")) == (ROLLBACK, Finding.FAIL)
    collapsed = (0.9, *(s / 10 for s in SKEWED[1:]))
    assert finding(run_judge(polls(replace(CANARY, quality=0.7, classes=collapsed), stable), FULL)[0], "metrics/class-0") is Finding.FAIL


def test_criteria_that_convict_only_together_roll_back_together():
    """A weighted average of e-values is an e-value: no criterion reaches its own threshold, and their sum the common one."""
    both = replace(CANARY, error_rate=0.021, slower=1.1)
    verdict, _ = run_judge(polls(both, replace(STABLE, error_rate=0.01), step=5.0))
    assert verdict.decision is ROLLBACK
    assert all(evidence.finding is not Finding.FAIL for evidence in verdict.evidence)
    assert verdict.reason.startswith("together: ")


def test_evidence_carries_counts_of_both_tracks_alpha_and_intervals_in_the_metrics_unit():
    verdict, _ = run_judge(polls(seconds=900))
    errors, latency = (next(e for e in verdict.evidence if e.about == f"metrics/{name}") for name in ("errors", "latency"))
    assert errors.unit == latency.unit == "ratio to stable"
    assert (errors.tolerance, errors.margin) == (pytest.approx(1.1), pytest.approx(3.0, rel=0.01))
    assert (latency.tolerance, latency.margin) == (pytest.approx(1.03), pytest.approx(1.10))
    assert errors.interval.low < errors.interval.estimate == pytest.approx(1.0, rel=0.1)
    assert errors.figures["stable requests"] == pytest.approx(19 * errors.figures["canary requests"])
    assert errors.figures["canary errors"] == pytest.approx(errors.figures["canary requests"] / 1000)
    assert errors.figures["alpha spent"] == pytest.approx(0.04 * 0.38 / 0.77)
    assert errors.figures["e-value for promotion"] >= errors.figures["needed for promotion"] == pytest.approx(1 / 0.03)


def test_what_is_left_out_is_said():
    absent = {absence.about: absence.reason for absence in run_judge(polls(), replace(PLAN, latency=None))[0].absent}
    assert {absent[f"metrics/{name}"] for name in ("latency", "latency-tail", "quality", "classes")} == {"absent by plan"}
    assert absent["metrics/objectives"] == "absent by plan"
    assert "no history" in absent["metrics/calibration"]


def test_waiting_tells_how_many_requests_of_how_many():
    verdict, _ = run_judge(polls(seconds=180))
    assert verdict.decision is HOLD
    assert "of about" in verdict.reason
    assert "canary requests needed so far" in verdict.reason


# Plans


def test_a_tolerance_beyond_its_margin_is_refused():
    with pytest.raises(ValueError, match=r"tolerance 0\.6, margin 0\.5"):
        ErrorsPlan(tolerance=0.6)
    with pytest.raises(Refused, match="quality"):
        Judge.begin(JudgePlan(quality=QualityPlan(tolerance=0.01, margin=0.01)), "r1")


# Odd hours; those of which only the word matters are in tests/bench/test_edge_cases.py


def with_failed_scrapes(stream: Iterable[Poll], when, stable: bool = True, canary: bool = True) -> Iterator[Poll]:
    """Scrapes of either track that fail at some times."""
    for poll in stream:
        gone = when(poll.t)
        yield replace(
            poll,
            stable=down(Track.STABLE) if gone and stable else poll.stable,
            canary=down(Track.CANARY) if gone and canary else poll.canary,
        )


def without(stream: Iterable[Poll], *tracks: str, **parts) -> Iterator[Poll]:
    """Parts of the counters that a track does not export."""
    for poll in stream:
        yield replace(
            poll,
            **{
                track: replace(getattr(poll, track), servers={n: replace(c, **parts) for n, c in getattr(poll, track).servers.items()})
                for track in tracks
            },
        )


def with_restarts(stream: Iterable[Poll], every: float) -> Iterator[Poll]:
    """A canary that begins to count afresh every so often."""
    began = Counters(0.0, {"INTERNAL": 0.0}, (0.0,) * 34)
    for poll in stream:
        (now,) = poll.canary.servers.values() if poll.canary.servers else (began,)
        if poll.t % every == 0:
            began = now
        fresh = Counters(
            now.ok - began.ok,
            {"INTERNAL": now.failed - began.failed},
            tuple(a - b for a, b in zip(now.latency, began.latency, strict=True)),
        )
        yield replace(poll, canary=sample(Track.CANARY, fresh)) if poll.canary.up else poll


def test_a_metric_source_that_is_down_all_hour_decides_nothing():
    verdict, _ = run_judge(with_failed_scrapes(hour(), lambda t: t > 0))
    assert (verdict.decision, verdict.reason) == (HOLD, "neither track answers: their metrics cannot be read")


def test_without_stable_there_is_nothing_to_compare_with():
    verdict, _ = run_judge(with_failed_scrapes(hour(), lambda t: True, canary=False))
    assert verdict.decision is HOLD
    assert "stable does not answer" in verdict.reason


@pytest.mark.parametrize(
    ("tracks", "parts", "plan", "about"),
    [
        (("stable", "canary"), {"latency": ()}, PLAN, "metrics/latency"),
        (("canary",), {"latency": ()}, PLAN, "metrics/latency"),
        (("stable", "canary"), {"quality": None}, FULL, "metrics/quality"),
        (("canary",), {"quality": None}, FULL, "metrics/quality"),
        (("stable", "canary"), {"classes": ()}, FULL, "metrics/classes"),
        (("canary",), {"classes": ()}, FULL, "metrics/class-0"),
    ],
)
def test_an_objective_of_the_plan_without_data_holds_and_says_so(tracks, parts, plan, about):
    verdict, _ = run_judge(without(hour(), *tracks, **parts), plan)
    assert verdict.decision is HOLD
    evidence = next(e for e in verdict.evidence if e.about == about)
    assert (evidence.finding, evidence.interval) == (Finding.INCONCLUSIVE, None)
    assert "exported none" in evidence.reason or "nothing counted" in evidence.reason


def test_a_canary_that_restarts_now_and_again_and_again_is_rolled_back():
    verdict, t = run_judge(with_restarts(hour(step=30.0), 90.0))
    assert verdict.decision is ROLLBACK
    assert "crash loop: canary server canary-0 has restarted 3 times" in verdict.reason
    assert t <= 600


def test_one_restart_only_renews_the_warm_up():
    assert run_judge(with_restarts(hour(), 1800.0))[0].decision is PROMOTE


def test_a_control_that_never_answers_enough_holds_and_says_why():
    verdict, _ = run_judge(polls(replace(CANARY, rate=0.1), replace(STABLE, rate=0.1), age=0.0, seconds=3600))
    assert verdict.decision is HOLD
    assert "stable has answered 360 of the 1,000 requests" in verdict.reason
    assert finding(verdict, "metrics/errors") is Finding.INCONCLUSIVE


def test_a_canary_that_answers_no_scrape_has_crashed():
    verdict, t = run_judge(hour(Canary(crashed=True)))
    assert (verdict.decision, t) == (ROLLBACK, 180)
    assert finding(verdict, "absence/crash") is Finding.FAIL


def test_a_canary_without_traffic_is_never_promoted():
    verdict, t = run_judge(hour(Canary(silent=True)))
    assert verdict.decision is ROLLBACK
    assert t <= 240


def test_time_before_the_first_traffic_does_not_exist():
    assert (
        Judge.begin(replace(PLAN, minimum_time=timedelta(0)), "r1").verdict()
        == Judge.begin(replace(PLAN, minimum_time=timedelta(0)), "r1").verdict()
    )
    assert Judge.begin(PLAN, "r1").verdict().reason == "there was no poll yet"


def test_importing_the_judge_imports_nothing_heavy():
    heavy = ["scipy", "tensorflow", "kfp", "kubernetes", "pyarrow", "grpc", "google.cloud", "yaml", "pandas"]
    code = f"import sys, tfcanary.decide.judge; print([name for name in {heavy!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["tfcanary.decide.judge", "tfcanary.decide.drift"])
def test_what_every_slim_step_imports_takes_little_memory_and_not_scipy(module):
    peak = "next(int(line.split()[1]) // 1024 for line in open('/proc/self/status') if line.startswith('VmHWM'))"
    code = f"import sys, {module}; print('scipy' in sys.modules, {peak})"
    scipy, mebibytes = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert (scipy, int(mebibytes) <= 120) == ("False", True)


@pytest.mark.parametrize(("least", "decision"), [(100, HOLD), (10, ROLLBACK)])
def test_a_handful_of_slow_answers_convicts_nobody(least, decision):
    """30 answers since the warm-up, twice as slow."""
    plan = replace(PLAN, latency=replace(PLAN.latency, least_answers=least))
    slow = replace(CANARY, rate=0.2, slower=2.0)
    judge = Judge.begin(plan, "r1")
    verdicts = [judge.poll(poll) for poll in polls(slow, seconds=270, weight=None)]
    assert verdicts[-1].decision is decision


@pytest.mark.parametrize(("servers", "warned"), [(1, True), (19, False)])
def test_a_rollback_for_latency_warns_where_the_load_of_the_servers_differs(servers, warned):
    """19 times as many requests for stable, on one server or on nineteen."""
    judge = Judge.begin(PLAN, "r1")
    for poll in polls(replace(CANARY, slower=1.5)):
        each = [replace(STABLE, rate=STABLE.rate / servers).in_seconds(7200 + poll.t)] * servers
        verdict = judge.poll(replace(poll, stable=sample(Track.STABLE, *each)))
    assert verdict.decision is ROLLBACK
    assert ("warning: each of stable's servers gets 19 times as many requests" in verdict.reason) is warned
