"""What must hold whatever is polled: for any traffic, in any order of oddities."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.decide.judge.literal import CANARY, STABLE, Traffic, down, polls, sample
from tests.decide.judge.simulation import CALM, NOISY, Canary, history, watch
from tests.decide.judge.test_state import PLAN, STEPS
from tests.decide.judge.test_state import polls as odd_polls
from tfcanary.core.domain import COMPARED, Counters, Decision, Sample, Track
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge import Judge, Poll

HISTORY = history(np.random.default_rng(1), NOISY)[:60]
SOME = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TO_PROMOTE = "e-value for promotion"


def promotion(judge: Judge) -> dict[str, float]:
    """How far each criterion that must be proven has come."""
    return {e.about: e.figures[TO_PROMOTE] for e in judge.verdict().evidence if TO_PROMOTE in e.figures}


@SOME
@given(steps=st.lists(STEPS, min_size=2, max_size=14), calibrated=st.booleans())
def test_the_decision_alone_is_that_of_the_whole_verdict(steps, calibrated):
    whole, quick = (Judge.begin(PLAN, "r1", HISTORY if calibrated else ()) for _ in range(2))
    for poll in odd_polls(steps):
        assert quick.decide(poll) is whole.poll(poll).decision
    assert quick.verdict() == whole.verdict()


@pytest.mark.parametrize("what", [Canary(), Canary(errors=10), Canary(latency=1.5)])
def test_the_decision_alone_leaves_the_pictures_for_whoever_looks_later(what):
    whole, quick = (Judge.begin(PLAN, "r1", HISTORY) for _ in range(2))
    for poll in watch(np.random.default_rng(3), CALM, what, seconds=900, step=60.0):
        assert quick.decide(poll) is whole.poll(poll).decision
    assert quick.verdict() == whole.verdict()


@SOME
@given(steps=st.lists(STEPS, min_size=1, max_size=14), calibrated=st.booleans())
def test_a_state_that_was_read_is_written_bit_for_bit_alike(steps, calibrated):
    judge = Judge.begin(PLAN, "r1", HISTORY if calibrated else ())
    for poll in odd_polls(steps):
        judge.poll(poll)
        assert Judge.resume(judge.dumps(), "r1", PLAN).dumps() == judge.dumps()


@SOME
@given(steps=st.lists(STEPS, min_size=3, max_size=10), silence=st.lists(st.sampled_from(["both", "stable", "canary", "again"]), max_size=4))
def test_polls_without_data_never_move_towards_promotion(steps, silence):
    judge = Judge.begin(PLAN, "r1")
    *_, last = (judge.poll(poll) and poll for poll in odd_polls(steps))
    before = promotion(judge)
    for i, what in enumerate(silence):
        lost = replace(
            last,
            t=last.t + 30.0 * (i + 1),
            stable=down(Track.STABLE) if what in ("both", "stable") else last.stable,
            canary=down(Track.CANARY) if what in ("both", "canary") else last.canary,
        )
        assert judge.poll(lost).decision is not Decision.PROMOTE or what == "again"
        after = promotion(judge)
        assert all(after[name] <= before[name] * (1 + 1e-9) for name in before.keys() & after.keys())


def test_a_canary_that_passed_is_not_promoted_at_a_poll_that_saw_nothing():
    judge = Judge.begin(JudgePlan(), "r1")
    *_, last = (judge.poll(poll) and poll for poll in polls(seconds=1200))
    assert judge.verdict().decision is Decision.PROMOTE
    for lost in (replace(last, t=1230.0, canary=down(Track.CANARY)), replace(last, t=1260.0, stable=down(Track.STABLE))):
        assert judge.poll(lost).decision is Decision.HOLD


@SOME
@given(seed=st.integers(0, 10_000))
def test_the_order_of_the_servers_changes_nothing(seed):
    chance = np.random.default_rng(seed)
    first, second = Judge.begin(JudgePlan(), "r1"), Judge.begin(JudgePlan(), "r1")
    rates = chance.uniform(10, 100, 5)
    for i in range(8):
        servers = {f"s{k}": Traffic(rate=rate).in_seconds(3600 + 30.0 * i) for k, rate in enumerate(rates)}
        canary = sample(Track.CANARY, CANARY.in_seconds(30.0 * i))
        turned = {name: servers[name] for name in chance.permutation(list(servers)).tolist()}
        verdicts = [
            judge.poll(Poll(30.0 * i, Sample(Track.STABLE, True, held), canary, 5)) for judge, held in ((first, servers), (second, turned))
        ]
        assert verdicts[0].decision is verdicts[1].decision
        for one, other in zip(verdicts[0].evidence, verdicts[1].evidence, strict=True):
            assert one.about == other.about
            assert one.figures == pytest.approx(other.figures, rel=1e-9)


@SOME
@given(rate=st.floats(1.0, 500.0), share=st.sampled_from([5, 25, 50]), error_rate=st.sampled_from([0.0, 0.001, 0.01]))
def test_swapping_the_tracks_of_a_healthy_pair_promotes_no_faster_than_the_evidence_allows(rate, share, error_rate):
    """Whoever is called the canary: at its promotion every margin is excluded, and the minimum time and requests are over."""
    plan = JudgePlan()
    small, large = Traffic(rate * share / 100, error_rate), Traffic(rate * (1 - share / 100), error_rate)
    for canary, stable, weight in ((small, large, share), (large, small, 100 - share)):
        judge = Judge.begin(plan, "r1")
        for poll in polls(canary, stable, weight, seconds=1200.0, step=60.0, age=14_400.0):
            if judge.poll(poll).decision is Decision.PROMOTE:
                assert poll.t >= plan.minimum_time.total_seconds()
                assert canary.rate * poll.t >= plan.minimum_requests
                assert all(value >= 1 / plan.alpha_promote for value in promotion(judge).values())
                break
        assert judge.verdict().decision is not Decision.ROLLBACK


# Bad input: each rule of docs/judge.md, "Odd data", that no other test tries


def requests_counted(judge: Judge, track: str = "canary") -> float:
    return next(e.figures[f"{track} requests"] for e in judge.verdict().evidence if e.about == "metrics/outage")


@pytest.mark.parametrize("track", COMPARED)
def test_a_counter_that_falls_and_jumps_back_brings_no_old_requests(track):
    """It fell: a new beginning. It is back where it was: what it counted before the fall is no increment."""
    judge = Judge.begin(JudgePlan(), "r1")
    for poll in polls(seconds=900):
        if poll.t == 600:
            before = requests_counted(judge, "stable")
            nothing = sample(track, Counters(0.0, {}, (0.0,) * 34))
            poll = replace(poll, **{str(track): nothing})
        judge.poll(poll)
        if poll.t == 630:
            assert requests_counted(judge) < 6301, "no window brings more than its own requests"
    assert requests_counted(judge, "stable") < before + 190 * 330 + 1


def test_two_servers_of_one_name_cannot_be_told_apart_so_the_track_is_not_counted():
    twins = Sample(Track.CANARY, True, {"pod{": Counters(5.0), "pod}": Counters(500.0)})
    judge = Judge.begin(JudgePlan(), "r1")
    verdict = [judge.poll(Poll(30.0 * i, sample(Track.STABLE, STABLE.in_seconds(7200 + 30 * i)), twins, 5)) for i in range(3)][-1]
    assert verdict.reason.startswith("the canary has not answered")


def test_two_polls_at_the_same_instant_count_their_requests_and_no_time():
    judge = Judge.begin(JudgePlan(), "r1")
    stream = list(polls(seconds=300))
    for poll in stream:
        judge.poll(poll)
    later = replace(
        stream[-1], stable=sample(Track.STABLE, STABLE.in_seconds(7530.0)), canary=sample(Track.CANARY, CANARY.in_seconds(330.0))
    )
    before = requests_counted(judge)
    assert judge.poll(later).decision is Decision.HOLD
    assert requests_counted(judge) == before + 300
    assert Judge.resume(judge.dumps(), "r1", JudgePlan()).verdict() == judge.verdict()


def test_looks_between_two_scrapes_change_nothing_and_a_track_that_is_away_is_seen_at_once():
    """Prometheus scrapes stable and the canary at different seconds: what lies between two scrapes of all servers would tear them apart."""
    slow, quick = Judge.begin(JudgePlan(), "r1"), Judge.begin(JudgePlan(), "r1")
    for poll in polls(seconds=900, step=10.0):
        torn = {}
        for track, phase in (("stable", 4.0), ("canary", 18.0)):
            whole = 30.0 * math.floor((poll.t - phase) / 30.0) + phase
            traffic, age = (STABLE, 7200.0) if track == "stable" else (CANARY, 0.0)
            torn[track] = replace(sample(Track(track), traffic.in_seconds(max(age + whole, 0.0))), every=30.0)
        before = quick.dumps()
        quick.poll(replace(poll, **torn))
        if poll.t % 30 == 0:
            slow.poll(replace(poll, **torn))
        else:
            assert quick.dumps() == before
    assert quick.dumps() == slow.dumps()
    assert quick.verdict().decision is Decision.PROMOTE
    assert (
        "the canary has not answered for 10 s"
        in quick.poll(replace(poll, t=910.0, canary=down(Track.CANARY), **{"stable": torn["stable"]})).reason
    )


@pytest.mark.parametrize("every", [math.nan, math.inf, -5.0, 1e9])
def test_an_odd_time_between_two_counts_keeps_nobody_waiting(every):
    judge = Judge.begin(JudgePlan(), "r1")
    for poll in polls(replace(CANARY, error_rate=1.0), seconds=600):
        verdict = judge.poll(replace(poll, canary=replace(poll.canary, every=every)))
    assert verdict.decision is Decision.ROLLBACK


@pytest.mark.parametrize(("canary", "word"), [(CANARY, Decision.HOLD), (replace(CANARY, error_rate=0.5), Decision.ROLLBACK)])
def test_a_window_of_a_day_is_one_window(canary, word):
    judge = Judge.begin(JudgePlan(), "r1")
    verdict = [judge.poll(poll) for poll in polls(canary, seconds=86_400.0, step=86_400.0)][-1]
    assert verdict.decision is word
    assert all(math.isfinite(e.interval.estimate) for e in verdict.evidence if e.interval)


def test_a_track_that_lacks_what_the_other_exports_is_not_compared_in_it():
    judge = Judge.begin(JudgePlan(), "r1")
    for poll in polls(seconds=900):
        servers = {name: replace(counters, latency=()) for name, counters in poll.canary.servers.items()}
        verdict = judge.poll(replace(poll, canary=replace(poll.canary, servers=servers)))
    latency = next(e for e in verdict.evidence if e.about == "metrics/latency")
    assert (verdict.decision, latency.interval) == (Decision.HOLD, None)


def test_a_clock_that_steps_back_lets_no_time_pass_and_loses_no_request():
    straight, stepped = Judge.begin(JudgePlan(), "r1"), Judge.begin(JudgePlan(), "r1")
    for poll in polls(seconds=900):
        straight.poll(poll)
        stepped.poll(replace(poll, t=poll.t - 200.0 if poll.t > 450 else poll.t))
    assert requests_counted(straight) == requests_counted(stepped)
    assert stepped.verdict().decision is straight.verdict().decision is Decision.PROMOTE
    assert "870 s" in stepped.verdict().reason, "of 900 s only the poll's own 30 are missing"
