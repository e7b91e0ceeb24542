"""What stable's history teaches: noise, and the level."""

from dataclasses import replace

import numpy as np
import pytest

from tests.decide.judge.simulation import CALM, NOISY, history
from tfcanary.core.domain import Counters, Sample, Track
from tfcanary.core.plan import JudgePlan, QualityPlan
from tfcanary.decide.judge.calibration import LEAST_EXCESS, calibrate

PLAN = JudgePlan(quality=QualityPlan())


def history_of(noise, seed=8, rate=200.0):
    return history(np.random.default_rng(seed), noise, rate=rate)


def test_calm_servers_show_little_excess_and_noisy_ones_much():
    calm, noisy = (calibrate(history_of(noise), PLAN)[0].noise for noise in (CALM, NOISY))
    assert set(calm) == {"errors", "outage", "traffic", "latency", "latency-tail-10", "latency-tail-3", "latency-tail-1", "quality"}
    for name in ("errors", "latency", "quality"):
        assert LEAST_EXCESS <= calm[name].excess[0] < 1
        assert noisy[name].excess[0] > calm[name].excess[0]
    assert noisy["latency"].excess[0] > 2
    assert noisy["errors"].fixed[0] > 0.5 > calm["errors"].fixed[0], "errors that come in threes are bursts, not wander"
    assert noisy["latency"].fixed == (0, 0)


def test_the_level_is_the_increase_over_the_history_not_what_the_servers_had_counted_before():
    samples = history_of(CALM)
    old = Counters(1e9, {"INTERNAL": 5e8}, tuple(1e9 for _ in range(34)), (1e8, 1e8, 1e9))
    aged = [(t, replace(sample, servers={name: _sum(old, counters) for name, counters in sample.servers.items()})) for t, sample in samples]
    ours, theirs = (calibrate(one, PLAN)[1] for one in (samples, aged))
    assert ours.error_rate == pytest.approx(theirs.error_rate, rel=1e-6)
    assert ours.error_rate == pytest.approx(0.001, rel=0.3)
    assert ours.quality == pytest.approx(0.7, abs=0.02)


def _sum(a, b):
    return Counters(
        a.ok + b.ok,
        {"INTERNAL": a.failed + b.failed},
        tuple(x + y for x, y in zip(a.latency, b.latency, strict=True)),
        tuple(x + y for x, y in zip(a.quality, b.quality, strict=True)),
    )


def test_no_history_calibrates_nothing_and_says_so():
    calibration, stable_level = calibrate((), PLAN)
    assert (calibration.noise, stable_level) == ({}, None)
    assert calibration.lacking == "there is no history of stable"


def test_a_single_server_has_nothing_to_be_compared_with_but_a_level():
    alone = [(t, replace(sample, servers={"a": sample.servers["b"]})) for t, sample in history_of(CALM)]
    calibration, stable_level = calibrate(alone, PLAN)
    assert calibration.noise == {}
    assert "one server" in calibration.lacking
    assert stable_level.requests > 1e6


def test_a_history_of_few_windows_or_few_requests_calibrates_nothing():
    samples = history_of(CALM)
    short, stable_level = calibrate(samples[:19], PLAN)
    assert (short.noise, stable_level is None) == ({}, False)
    assert calibrate(samples[:20], PLAN)[0].windows == 19
    quiet, stable_level = calibrate(history_of(CALM, rate=0.1), PLAN)
    assert (quiet.noise, stable_level) == ({}, None)
    assert "fewer than 1,000 requests" in quiet.lacking


def test_the_server_is_chosen_by_presence_and_name_and_not_by_its_numbers():
    samples = history_of(CALM)
    renamed = [(t, replace(s, servers={"z": s.servers["a"], "y": s.servers["b"]})) for t, s in samples]
    swapped = [(t, replace(s, servers={"y": s.servers["a"], "z": s.servers["b"]})) for t, s in samples]
    chosen, other = (calibrate(one, PLAN)[0].noise["errors"].size for one in (swapped, renamed))
    assert chosen == pytest.approx(other, rel=0.05), "one against nine is as large as nine against one"
    assert calibrate(swapped, PLAN)[0] == calibrate(samples, PLAN)[0]


def test_gaps_restarts_and_disorder_in_the_history_are_survived():
    samples = history_of(NOISY)
    odd = [(t if i % 17 else t - 45.0, sample if i % 13 else Sample(Track.STABLE, False)) for i, (t, sample) in enumerate(samples)]
    odd[100:] = [(t, replace(s, servers={n: replace(c, ok=c.ok - 1e4) for n, c in s.servers.items()}) if s.up else s) for t, s in odd[100:]]
    calibration, stable_level = calibrate([*odd, (float("nan"), samples[0][1])], PLAN)
    assert calibration.windows > 150
    assert stable_level.error_rate == pytest.approx(0.001, rel=0.5)


def test_where_events_are_few_the_bursts_of_the_many_others_count():
    few = calibrate(history_of(replace(NOISY, batch=6.0), rate=20.0), PLAN)[0].noise["errors"]
    assert few.excess[0] > 2, "six errors at once must not look like six times the rate"
