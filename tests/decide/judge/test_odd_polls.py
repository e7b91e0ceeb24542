"""Single polls that are odd: delivered twice, after the decision fell, with counters of any size, in the midst of a shift."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.decide.judge.literal import CANARY, FULL, HOLD, PLAN, PROMOTE, ROLLBACK, STABLE, Traffic, polls, sample
from tfcanary.core.domain import Counters, Sample, Track
from tfcanary.decide.judge import Judge, Poll


def test_a_poll_delivered_twice_counts_once():
    once, twice = Judge.begin(PLAN, "r1"), Judge.begin(PLAN, "r1")
    for poll in polls(seconds=300):
        once.poll(poll)
        twice.poll(poll)
        twice.poll(poll)
    assert once.dumps() == twice.dumps()
    assert once.verdict() == twice.verdict()


def test_a_rollback_is_final():
    judge = Judge.begin(PLAN, "r1")
    for poll in polls(replace(CANARY, error_rate=1.0), seconds=60):
        rolled_back = judge.poll(poll)
    before = judge.dumps()
    assert rolled_back.decision is ROLLBACK
    assert judge.poll(list(polls(seconds=3600))[-1]) == rolled_back == judge.verdict()
    assert judge.dumps() == before


def test_a_promise_of_promotion_is_taken_back_when_the_canary_gets_worse():
    judge = Judge.begin(PLAN, "r1")
    good = list(polls(seconds=1200))
    assert [judge.poll(poll) for poll in good][-1].decision is PROMOTE
    last, failed = good[-1], 0.0
    for i in range(1, 10):
        failed += 150.0
        canary = replace(last.canary.servers["canary-0"], errors={"INTERNAL": failed}, ok=last.canary.servers["canary-0"].ok + 150 * i)
        stable = STABLE.in_seconds(7200 + last.t + 30 * i)
        verdict = judge.poll(Poll(last.t + 30 * i, sample(Track.STABLE, stable), sample(Track.CANARY, canary), 5))
    assert verdict.decision is ROLLBACK


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -1.0, 1e300])
def test_nothing_that_a_sample_holds_raises(broken):
    odd = Counters(broken, {"INTERNAL": broken}, (broken,) * 34, (broken, broken, broken), (broken, broken))
    halves = replace(odd, ok=5.0, errors={})
    judge = Judge.begin(FULL, "r1", [(30.0 * i, Sample(Track.STABLE, True, {"a": odd, "b": halves})) for i in range(50)])
    for i, counters in enumerate((odd, halves, replace(halves, ok=9.0), odd) * 3):
        verdict = judge.poll(Poll(30.0 * i if i % 5 else broken, sample(Track.STABLE, counters), sample(Track.CANARY, counters), weight=5))
        assert verdict.decision is HOLD
    assert Judge.resume(judge.dumps(), "r1", FULL).verdict() == verdict


@pytest.mark.parametrize("scale", [1e-9, 1e9, 1e29])
def test_no_size_of_a_counter_leaves_the_range_of_numbers(scale):
    judge = Judge.begin(FULL, "r1")
    for i in range(1, 12):
        stable, canary = (
            Counters(
                i * scale,
                {"INTERNAL": i * scale / k},
                tuple(i * scale * b / 33 for b in range(34)),
                (i * scale, i * scale, i * scale),
                (i * scale, 0.0),
            )
            for k in (7, 3)
        )
        verdict = judge.poll(Poll(60.0 * i, sample(Track.STABLE, stable), sample(Track.CANARY, canary), weight=50))
    assert all(np.isfinite([e.interval.low, e.interval.estimate, e.interval.high]).all() for e in verdict.evidence if e.interval)
    assert Judge.resume(judge.dumps(), "r1", FULL).verdict() == verdict


def test_shares_change_and_evidence_adds_up():
    """A shift's own window is no evidence about the traffic, however odd the split in it."""
    judge = Judge.begin(PLAN, "r1")
    stable_total, canary_total = 2e6, 0.0
    for i in range(41):
        weight = 5 if i <= 10 else 25 if i <= 20 else 50
        verdict = judge.poll(
            Poll(
                30.0 * i,
                sample(Track.STABLE, Traffic(rate=1.0).in_seconds(stable_total)),
                sample(Track.CANARY, Traffic(rate=1.0).in_seconds(canary_total)),
                weight,
            )
        )
        following = 5 if i < 10 else 25 if i < 20 else 50
        stable_total += 60 * (100 - following)
        canary_total += 60 * following
    assert verdict.decision is PROMOTE
    traffic = next(e for e in verdict.evidence if e.about == "metrics/traffic")
    assert traffic.interval.estimate == pytest.approx(1.0, rel=0.01)
