"""Servers of one version differ: what one machine's luck could have done convicts nobody and promotes nobody."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.decide.judge.literal import HOLD, PROMOTE, ROLLBACK, Traffic, sample
from tests.decide.judge.test_planning import LATENCY
from tfcanary.core.domain import Track
from tfcanary.core.plan import JudgePlan, Plan
from tfcanary.decide.judge import Judge, Poll
from tfcanary.decide.judge.calibration import calibrate
from tfcanary.decide.judge.expected_counts import Baseline
from tfcanary.decide.judge.planning import forecast, servers_sentence
from tfcanary.decide.judge.spread import Spread

PLAN = JudgePlan()
NORMAL = (0.12, -1.55, 1.0, -0.38, 0.65, -1.0, 1.55, -0.65, 0.38, -0.12)
"""Ten quantiles of a normal distribution; their standard deviation is 0.95."""
SERVER = Traffic(rate=200.0)


def servers(track, factors, seconds):
    return sample(track, *(replace(SERVER, slower=factor).in_seconds(seconds) for factor in factors))


def factors(deviation, number=10):
    return [math.exp(deviation * z) for z in NORMAL[:number]]


def history(slower):
    return [(30.0 * i, servers(Track.STABLE, slower, 3600 + 30.0 * i)) for i in range(61)]


def judged(stable, canary, seconds=900.0, with_history=True):
    """The verdict on expected counts, the first that is final or the last; the canary's servers take a twentieth of the traffic."""
    judge = Judge.begin(PLAN, "r1", history(stable) if with_history else ())
    for i in range(round(seconds / 30) + 1):
        t = 30.0 * i
        verdict = judge.poll(Poll(t, servers(Track.STABLE, stable, 7200 + t), servers(Track.CANARY, canary, t / 2), 5))
        if verdict.decision is not HOLD:
            break
    return verdict


def test_the_spread_is_that_between_the_servers():
    spread = calibrate(history(factors(0.05)), PLAN)[0].spread
    assert spread["latency"].servers == 10
    assert spread["latency"].deviation == pytest.approx(0.05 * 0.95, rel=0.15)
    assert spread["latency-tail-3"].deviation > spread["latency"].deviation, "at a bound of the tail a factor moves the count by more"
    assert spread["errors"].deviation == 0


def test_how_unequally_stables_servers_share_its_requests_is_no_luck_of_a_canary():
    """One of two servers gets ten times the requests of the other: still, a canary that gets none is found by the split."""

    def stable(seconds):
        return sample(Track.STABLE, *(replace(SERVER, rate=rate).in_seconds(seconds) for rate in (20.0, 200.0)))

    past = [(30.0 * i, stable(3600 + 30.0 * i)) for i in range(61)]
    assert "traffic" not in calibrate(past, PLAN)[0].spread
    judge = Judge.begin(PLAN, "r1", past)
    silent = sample(Track.CANARY, replace(SERVER, rate=0.0).in_seconds(0.0))
    reasons = [judge.poll(Poll(30.0 * i, stable(7200 + 30.0 * i), silent, 5)).reason for i in range(5)]
    assert reasons[-1].startswith("traffic: 0 requests on the canary"), reasons


def test_servers_that_are_alike_have_no_spread():
    assert {one.deviation for one in calibrate(history(factors(0.0)), PLAN)[0].spread.values()} == {0.0}


def test_the_assumption_stands_in_for_the_servers_that_are_missing_to_six():
    assumed, known = Spread.blended(None, 0.03), Spread.blended(Spread(0.05, 6), 0.03)
    assert (assumed.deviation, assumed.servers, assumed.freedom) == (pytest.approx(0.003), 1, 5)
    assert (known.deviation, known.freedom) == (pytest.approx(0.05), 5)
    assert assumed.deviation < Spread.blended(Spread(0.05, 3), 0.03).deviation < 0.05


def test_the_more_servers_the_less_the_draw_can_do_and_some_margins_no_number_can_exclude():
    spread = Spread(0.05, 10)
    assert spread.widening(0.02, 1, 10) > spread.widening(0.02, 4, 10) > spread.widening(0.02, 4, 20)
    assert spread.servers_needed(0.0953, 0.05, 10) == 5
    assert Spread(0.0, 10).servers_needed(0.0953, 0.05, 10) == 1
    assert Spread(0.12, 10).servers_needed(0.0953, 0.05, 10) is None


def test_a_canary_as_slow_as_stable_s_slowest_server_is_not_convicted_and_the_verdict_says_how_many_servers_are_needed():
    verdict = judged(factors(0.05), [math.exp(0.0775)])
    assert verdict.decision is HOLD
    latency = next(one for one in verdict.evidence if one.about == "metrics/latency")
    assert "needs 4 canary servers, has one: stable's servers differ by 4." in latency.reason
    assert latency.figures["canary servers needed"] == 4


def test_a_canary_of_several_servers_that_differ_like_stable_s_is_promoted():
    assert judged(factors(0.05), factors(0.05), seconds=1800).decision is PROMOTE


@pytest.mark.parametrize("factor", [1.5, 2.0])
def test_a_fault_beyond_any_luck_is_found_whatever_is_known_of_the_servers(factor):
    for stable, with_history in ((factors(0.05), True), ([1.0], True), ([1.0], False)):
        assert judged(stable, [factor], with_history=with_history).decision is ROLLBACK


def test_with_one_stable_server_the_spread_is_assumed_and_the_verdict_says_so():
    verdict = judged([1.0], [1.0], seconds=600)
    assert verdict.decision is PROMOTE
    assert "their spread is assumed to be 0.3 % of latency" in {one.about: one.reason for one in verdict.absent}["metrics/spread"]
    assert "metrics/spread" not in {one.about for one in judged(factors(0.0), [1.0], seconds=60).absent}


def test_the_plan_says_the_time_by_number_of_servers():
    known = Baseline(200.0, 0.001, LATENCY, servers=10, spread={"latency": Spread(0.05, 10)})
    found = forecast(Plan(), known)
    assert found.by_servers[1].seconds is None
    assert found.by_servers[16].seconds is not None
    assert servers_sentence(found).startswith("a healthy canary is promoted by number of its servers after: 1 never, 2 4.8 h, 4 15 min, ")
    assert servers_sentence(found).endswith("(stable's 10 servers differ by 5 % in latency)")
    alike = forecast(Plan(), replace(known, spread={"latency": Spread(0.0, 10)}))
    assert len({stop.seconds for stop in alike.by_servers.values()}) == 1
    assert servers_sentence(forecast(Plan(), Baseline(200.0, 0.001, LATENCY))) == ""
