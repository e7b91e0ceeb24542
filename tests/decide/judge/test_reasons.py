"""The sentences that people read: short, with numbers, and never a number that is none."""

from __future__ import annotations

import numpy as np
import pytest

from tests.decide.judge.literal import CANARY, STABLE, polls
from tests.decide.judge.simulation import NOISY, Canary, watch
from tfcanary.core.domain import Finding, Interval
from tfcanary.core.plan import ClassesPlan, JudgePlan, QualityPlan
from tfcanary.decide.judge import Judge, reasons
from tfcanary.decide.judge.standing import RATIO_UNIT, Need, Standing

PLAN = JudgePlan()


def standing(**facts):
    defaults = {
        "name": "errors",
        "alpha_part": 0.35,
        "title": "errors",
        "what": "failed",
        "need": Need.PROOF,
        "unit": RATIO_UNIT,
        "tolerance": 1.1,
        "margin": 3.0,
        "log_rollback": 0.0,
        "log_promote": 0.0,
        "progress": 1.0,
        "counts": (2.0, 420.0, 8.0, 8000.0),
        "interval": Interval(0.2, 4.2, 9.0),
        "silent": False,
    }
    return Standing(has_data=True, **{**defaults, **facts})


def test_an_undecided_criterion_says_how_many_requests_of_how_many():
    assert reasons.wait_reason(standing(), PLAN) == (
        "errors: 420 of about 1,400 canary requests needed so far; 0.476 % of 420 canary requests failed, 0.1 % of stable's"
    )


def test_one_that_needs_no_more_requests_but_better_ones_says_so():
    late = standing(progress=9.0, counts=(20.0, 4200.0, 90.0, 80_000.0), interval=Interval(0.9, 2.0, 3.4))
    assert reasons.wait_reason(late, PLAN).endswith("at most 3.4, promotion needs less than 3 times stable's")


def test_one_that_cannot_tell_says_why_and_names_no_number():
    assert "too few to tell how many are needed" in reasons.wait_reason(standing(progress=np.log(0.8)), PLAN)
    hopeless = {"progress": np.log(0.9) + 1e-5}
    assert "noise hides its margin" in reasons.wait_reason(standing(**hopeless), PLAN)
    tail = standing(name="latency-tail-1", title="slowest 1 %", **hopeless)
    assert "slowest 1 %: stable's histogram cannot show its margin" in reasons.wait_reason(tail, PLAN)


def test_means_that_the_rounding_of_the_sums_hides_say_so():
    old = standing(name="latency-mean", title="mean latency", alpha_part=0.0, margin=1.1, rounding=0.07, counts=(4e6, 100.0, 8e7, 2000.0))
    assert reasons.wait_reason(old, PLAN) == (
        "mean latency: the servers print their sums of latencies with six digits, which may be wrong by 7 % of what this watch has "
        "summed up; a longer watch, or servers that started later, have less; 40 ms over 100 canary answers, 40 ms of stable's"
    )


def test_one_that_has_not_begun_says_from_when_on():
    latency = standing(name="latency", title="latency", interval=None, counts=(0.0, 0.0, 0.0, 0.0))
    assert reasons.wait_reason(latency, PLAN) == "latency: nothing counted yet; it counts from 120 s after the canary's start"


def test_a_failing_criterion_says_by_how_much_and_what_is_tolerated():
    bad = standing(counts=(30.0, 1000.0, 10.0, 10_000.0), interval=Interval(4.5, 30.0, 1000.0))
    assert (
        reasons.fail_reason(bad)
        == "errors: 3 % of 1,000 canary requests failed, 0.1 % of stable's; at least 4.5 times stable's, 1.1 is tolerated"
    )


def test_a_passing_criterion_says_how_far_from_its_margin_it_is():
    good = standing(interval=Interval(0.5, 1.0, 1.8))
    assert reasons.pass_reason(good).endswith("at most 1.8 times stable's, the margin is 3")
    assert reasons.pass_reason(standing(interval=Interval(0.001, 1.0, 1000.0))).endswith("the canary's own rate excludes the margin")


def test_a_criterion_that_passes_without_proof_does_not_contradict_one_that_fails_on_the_same_counts():
    """13.5 % of errors may convict as errors and be no outage yet: neither sentence says that all is well."""
    counts = {"counts": (15.0, 111.0, 1.0, 10_000.0), "interval": Interval(45.0, 1350.0, 9000.0)}
    outage = standing(name="outage", title="outage", need=Need.NOTHING, **counts)
    assert reasons.fail_reason(standing(**counts)).startswith(
        "errors: 13.5 % of 111 canary requests failed, 0.01 % of stable's; at least 45"
    )
    assert reasons.pass_reason(outage) == (
        "outage: 13.5 % of 111 canary requests failed, 0.01 % of stable's; not proven to be beyond its tolerance"
    )


@pytest.mark.parametrize("what", [Canary(), Canary(errors=10), Canary(silent=True), Canary(crashed=True)])
def test_every_sentence_is_one_line_without_numbers_that_are_none(what):
    judge = Judge.begin(JudgePlan(quality=QualityPlan(), classes=ClassesPlan()), "r1")
    for poll in watch(np.random.default_rng(3), NOISY, what, seconds=900, step=60.0):
        verdict = judge.poll(poll)
        for sentence in (
            verdict.reason,
            *(evidence.reason for evidence in verdict.evidence),
            *(absence.reason for absence in verdict.absent),
        ):
            assert sentence == sentence.strip()
            assert "\n" not in sentence
            assert not {"nan", "inf", "-inf", "None"} & set(sentence.replace(";", " ").replace(",", " ").split())


def test_a_verdict_that_waits_names_the_slowest_criterion_first():
    judge = Judge.begin(PLAN, "r1")
    for poll in polls(CANARY, STABLE, seconds=180):
        verdict = judge.poll(poll)
    waiting = [e for e in verdict.evidence if e.finding is Finding.INCONCLUSIVE]
    assert verdict.reason.startswith("waiting for slowest 1 %: ")
    assert len(waiting) > 1
    assert verdict.reason.endswith(")")
