"""Stopping at any poll and going on in another process: the same answers, bit for bit."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.decide.judge.literal import SKEWED
from tests.decide.judge.simulation import CALM, NOISY, Canary, history, watch
from tfcanary.core.domain import COMPARED, Counters, Sample, Track
from tfcanary.core.errors import Refused
from tfcanary.core.plan import ClassesPlan, GuardsPlan, JudgePlan, QualityPlan
from tfcanary.decide.judge import Judge, Poll

PLAN = JudgePlan(quality=QualityPlan(), classes=ClassesPlan())
HISTORY = history(np.random.default_rng(1), NOISY)[:60]

STEPS = st.tuples(
    st.sampled_from([30.0, 10.0, 0.0, -20.0, 130.0, math.nan]),
    st.sampled_from(["both", "both", "both", "both", "no stable", "no canary", "neither", "canary restarts", "stable restarts", "joins"]),
    st.sampled_from([5, 5, 5, 25, 0, None]),
    st.integers(0, 400),
    st.sampled_from([0, 0, 1, 30]),
)


def polls(steps):
    """Traffic with every oddity that a step names; each server's counters only ever grow, unless it restarts."""
    rng = np.random.default_rng(len(steps))
    servers = {Track.STABLE: [Counters(3000.0, {}, (3000.0,) * 34)], Track.CANARY: [Counters(0.0, {}, (0.0,) * 34)]}
    t = 0.0
    for dt, event, weight, requests, failed in steps:
        t = t + dt if t == t and dt == dt else dt if dt == dt else t
        for track, share in ((Track.STABLE, 19), (Track.CANARY, 1)):
            if event == f"{track} restarts":
                servers[track] = [Counters(0.0, {}, (0.0,) * 34), *servers[track][1:]]
            servers[track] = [_grown(rng, counters, requests * share, failed) for counters in servers[track]]
        if event == "joins":
            servers[Track.CANARY].append(Counters(5.0, {}, (1.0,) * 34))
        up = {Track.STABLE: event not in ("no stable", "neither"), Track.CANARY: event not in ("no canary", "neither")}
        samples = {track: Sample(track, up[track], {f"{track}-{i}": c for i, c in enumerate(servers[track])}) for track in COMPARED}
        yield Poll(t if dt == dt else math.nan, samples[Track.STABLE], samples[Track.CANARY], weight)


def _grown(rng, counters, ok, failed):
    latency = np.cumsum(np.bincount(np.clip(rng.normal(15, 2, ok), 0, 33).astype(int), minlength=34))
    quality = counters.quality or (0.0, 0.0, 0.0)
    classes = counters.classes or (0.0,) * len(SKEWED)
    return Counters(
        counters.ok + ok,
        {"INTERNAL": counters.failed + failed},
        tuple((np.array(counters.latency) + latency).tolist()),
        (quality[0] + 0.7 * ok, quality[1] + 0.5 * ok, quality[2] + ok),
        tuple((np.array(classes) + rng.multinomial(ok, SKEWED)).tolist()),
    )


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEPS, min_size=2, max_size=14), stop=st.integers(0, 13), calibrated=st.booleans())
def test_a_judge_that_was_stopped_at_any_poll_answers_as_if_it_never_had_been(steps, stop, calibrated):
    stream = list(polls(steps))
    whole = Judge.begin(PLAN, "r1", HISTORY if calibrated else ())
    for poll in stream[:stop]:
        whole.poll(poll)
    resumed = Judge.resume(whole.dumps(), "r1", PLAN)
    assert resumed.verdict() == whole.verdict()
    for poll in stream[stop:]:
        assert resumed.poll(poll) == whole.poll(poll)
    assert resumed.dumps() == whole.dumps()


@pytest.mark.parametrize("what", [Canary(), Canary(errors=10)])
def test_a_watch_that_changes_hands_at_every_poll_ends_like_one_that_never_does(what):
    stream = list(watch(np.random.default_rng(6), CALM, what, seconds=900, step=60.0))
    whole = Judge.begin(PLAN, "r1", HISTORY)
    text = whole.dumps()
    for poll in stream:
        judge = Judge.resume(text, "r1", PLAN)
        assert judge.poll(poll) == whole.poll(poll)
        text = judge.dumps()
    assert text == whole.dumps()


def with_baseline(poll, i):
    """The poll with a baseline beside it, which counts as the canary does; every seventh time it does not answer."""
    baseline = replace(poll.canary, track=Track.BASELINE, up=poll.canary.up and i % 7 != 3)
    return replace(poll, baseline=baseline)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEPS, min_size=2, max_size=14), stop=st.integers(0, 13))
def test_a_judge_beside_a_baseline_goes_on_as_if_it_had_never_been_stopped(steps, stop):
    stream = [with_baseline(poll, i) for i, poll in enumerate(polls(steps))]
    whole = Judge.begin(PLAN, "r1", HISTORY)
    for poll in stream[:stop]:
        whole.poll(poll)
    resumed = Judge.resume(whole.dumps(), "r1", PLAN)
    for poll in stream[stop:]:
        assert resumed.poll(poll) == whole.poll(poll)
    assert resumed.dumps() == whole.dumps()


def state() -> str:
    judge = Judge.begin(PLAN, "r1")
    for poll in watch(np.random.default_rng(6), seconds=120):
        judge.poll(poll)
    return judge.dumps()


def test_a_state_answers_only_to_its_own_release_and_plan():
    with pytest.raises(Refused, match="release 'r1'; this is 'r2'"):
        Judge.resume(state(), "r2", PLAN)
    for other in (replace(PLAN, alpha=0.05), replace(PLAN, guards=GuardsPlan(outage=0.2))):
        with pytest.raises(Refused, match="plan"):
            Judge.resume(state(), "r1", other)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[:-20],
        lambda text: "[]",
        lambda text: json.dumps({**json.loads(text), "schema": 1}),
        lambda text: json.dumps({**json.loads(text), "surplus": 1}),
        lambda text: json.dumps({**json.loads(text), "windows": [{"since": "yesterday"}]}),
    ],
)
def test_what_is_no_state_of_this_schema_is_refused(spoil):
    with pytest.raises(Refused, match="judge state"):
        Judge.resume(spoil(state()), "r1", PLAN)


def test_the_state_is_plain_json_without_what_argo_or_kubernetes_would_expand():
    text = state()
    assert json.loads(text)["schema"] == 6
    assert "{{" not in text
    assert "$(" not in text
    assert len(json.loads(text)["windows"]) == 4
