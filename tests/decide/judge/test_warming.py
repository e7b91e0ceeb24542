"""A canary whose latency is still falling is not convicted of it, for a limited time."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tests.decide.judge.literal import CANARY, HOLD, PLAN, PROMOTE, ROLLBACK, STABLE, counts, polls, window
from tests.decide.judge.simulation import buckets
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge import Judge
from tfcanary.decide.judge.warming import Warming


def judged(slower_at, plan=PLAN, seconds=1500.0):
    """The first final decision and its time; the canary's slowness is a function of time, its counts are what is to be expected."""
    judge, latency, last = Judge.begin(plan, "r1"), np.zeros(34), 0.0
    for poll in polls(CANARY, STABLE, seconds=seconds):
        (name, counters), *_ = poll.canary.servers.items()
        added = 0.999 * CANARY.rate * (poll.t - last) * buckets(math.log(slower_at((poll.t + last) / 2)), 1.0)
        latency, last = latency + added, poll.t
        counters = replace(counters, latency=tuple(np.cumsum(latency).tolist()))
        verdict = judge.poll(replace(poll, canary=replace(poll.canary, servers={name: counters})))
        if verdict.decision is not HOLD:
            return verdict.decision, poll.t
    return verdict.decision, poll.t


def test_a_cache_that_is_cold_for_five_minutes_convicts_nobody():
    assert judged(lambda t: 1 + 0.5 * max(1 - t / 300, 0.0))[0] is PROMOTE


@pytest.mark.parametrize("factor", [1.5, 2.0])
def test_a_canary_that_stays_slow_is_found_as_early_as_before(factor):
    decision, seconds = judged(lambda t: factor)
    assert decision is ROLLBACK
    assert seconds <= 180


def test_a_cold_cache_is_an_excuse_until_the_limit_only():
    def slow(t):
        return 1 + 0.5 * max(1 - t / 900, 0.0)

    short, long = (replace(PLAN, warmup_maximum=timedelta(seconds=limit)) for limit in (180, 1200))
    assert judged(slow, short, seconds=300) == (ROLLBACK, 150)
    assert judged(slow, long, seconds=600)[0] is HOLD


def test_one_window_shows_no_fall_and_proves_none():
    warming = Warming()
    warming.add(window(counts(), counts(), warm_limit=600.0), 40.0, 100.0)
    assert warming.may_last(0.03, 1.0)
    assert not Warming().may_last(0.03, 1.0), "without a limit there is no excuse"


def test_the_limit_is_not_below_the_warm_up():
    with pytest.raises(ValueError, match="warmup_maximum 1m: must be at least warmup"):
        JudgePlan(warmup_maximum=timedelta(seconds=60))
