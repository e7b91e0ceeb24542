"""The row of the mean latency: what the sums of latencies prove, whatever shape the latencies have."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from tests.decide.judge.literal import HOLD, PROMOTE, counts, window
from tests.decide.judge.shapes import SHAPES, Release
from tfcanary.core.domain import LATENCY_BOUNDS
from tfcanary.core.plan import JudgePlan, LatencyPlan
from tfcanary.decide.judge import Judge
from tfcanary.decide.judge.counted_windows import BUCKETS, LatencySum
from tfcanary.decide.judge.latency_mean import NAME, LatencyMeanAccumulator, Rounding, most_squares
from tfcanary.decide.judge.spread import Spread
from tfcanary.decide.judge.standing import Need

PLAN = JudgePlan()


def histogram(**filled: float) -> np.ndarray:
    """Counts by bucket, from names such as `b10`."""
    dense = np.zeros(BUCKETS)
    for name, count in filled.items():
        dense[int(name[1:])] = count
    return dense


def timed(number: float, mean: float, before: float = 0.0, spread: float = 0.6):
    """A track whose latencies are lognormal with this mean, in microseconds."""
    edges = [0.0, *LATENCY_BOUNDS, math.inf]
    normal = [0.5 * math.erfc(-(math.log(max(e, 1e-9) / mean) + spread**2 / 2) / spread / math.sqrt(2)) for e in edges[:-1]]
    latency = number * np.diff([*normal, 1.0])
    return counts(number, latency=latency, latency_sum=LatencySum(number * mean, before, before + number * mean))


def standing(windows, spread=None, history=None):
    row = LatencyMeanAccumulator(PLAN, LatencyPlan(), 40_000.0, history or {}, spread or {})
    for one in windows:
        row.add(one)
    return row.standing(30.0)


def run(ratio: float, length: int, age: float = 0.0, n_c: float = 300.0, **facts):
    """Windows of a canary whose mean is `ratio` times stable's; stable's sum stands at `age` when the first begins."""
    return [
        window(timed(5700, 40_000.0, age + i * 5700 * 40_000.0), timed(n_c, 40_000.0 * ratio, i * n_c * 40_000.0 * ratio), **facts)
        for i in range(length)
    ]


def test_the_most_squares_of_a_histogram_are_those_of_latencies_at_the_ends_of_their_buckets():
    low, high = LATENCY_BOUNDS[9], LATENCY_BOUNDS[10]
    found = most_squares(histogram(b10=4), 3 * low + high)
    assert found == pytest.approx(3 * low**2 + high**2)
    drawn = np.random.default_rng(1).lognormal(10, 1.0, 5000)
    by_bucket = np.bincount(np.searchsorted(LATENCY_BOUNDS, drawn, side="right"), minlength=BUCKETS).astype(float)
    assert np.sum(drawn**2) <= most_squares(by_bucket, drawn.sum()) <= 1.6 * np.sum(drawn**2)


def test_a_latency_without_an_upper_bound_may_hold_all_that_the_sum_has_beyond_the_lower_bounds():
    last = LATENCY_BOUNDS[-1]
    assert most_squares(histogram(b33=1), 3 * last) == pytest.approx((3 * last) ** 2)


def test_rounding_is_left_at_both_ends_of_a_run_and_not_between_its_windows():
    together, apart = Rounding(), Rounding()
    for i in range(100):
        together.add(0.05, LatencySum(1e6, 1e9 + i * 1e6, 1e9 + (i + 1) * 1e6))
        apart.add(0.05, LatencySum(1e6, 1e9 + 2 * i * 1e6, 1e9 + (2 * i + 1) * 1e6))
    assert together.most == pytest.approx(5e-6 * 0.05 * 2.1e9)
    assert apart.most > 90 * together.most


def test_a_mean_like_stables_passes_and_convicts_nobody_and_one_at_the_margin_does_not():
    same, slower = standing(run(1.0, 20)), standing(run(1.1, 200))
    assert same.passes(PLAN)
    assert same.interval.low < same.interval.estimate < same.interval.high < 1.1
    assert same.interval.estimate == pytest.approx(1.0)
    assert not slower.passes(PLAN)
    assert slower.interval.high > 1.1
    assert (slower.fails(PLAN), slower.need, slower.alpha_part) == (False, Need.PROOF, 0.0)


def test_a_level_that_both_tracks_share_cancels():
    slow = [replace(one, stable=timed(5700, 120_000.0), canary=timed(300, 120_000.0)) for one in run(1.0, 10)]
    mixed = standing([*run(1.0, 10), *slow])
    assert mixed.interval.estimate == pytest.approx(1.0)


def test_the_rounding_of_old_sums_keeps_from_promotion_and_is_told():
    old = standing(run(1.0, 20, age=1e14))
    assert not old.passes(PLAN)
    assert old.rounding == pytest.approx(2 * 5e-6 * 1e14 / (20 * 5700 * 40_000.0), rel=0.01)
    assert standing(run(1.0, 20, age=3e10)).passes(PLAN)


def test_the_spread_between_servers_widens_the_margin():
    servers = {"canary_servers": 1, "stable_servers": 10}
    differ = {NAME: Spread(0.04, 10)}
    assert standing(run(1.0, 20, **servers), {NAME: Spread(0.005, 10)}).passes(PLAN)
    alone = standing(run(1.0, 20, **servers), differ)
    assert not alone.passes(PLAN)
    assert alone.draw.needed > 1
    assert standing(run(1.0, 40, canary_servers=8, stable_servers=10), differ).passes(PLAN)


def test_progress_tells_how_many_answers_a_healthy_canary_needs():
    passing = next(n for n in range(1, 100) if standing(run(1.0, n, n_c=60.0)).passes(PLAN))
    for n in (passing // 2, passing):
        assert 60 * passing == pytest.approx(standing(run(1.0, n, n_c=60.0)).requests_needed(PLAN), rel=0.35)


def test_a_canary_that_stops_exporting_its_sum_has_fallen_silent():
    mute = [replace(one, canary=replace(one.canary, latency_sum=None)) for one in run(1.0, 9)]
    found = standing([*run(1.0, 20), *mute])
    assert found.silent
    assert not found.passes(PLAN)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_healthy_canary_is_promoted_whatever_the_shape(shape):
    decision, judge = Release(1, SHAPES[shape]).judge()
    assert decision is PROMOTE, judge.verdict().reason
    assert "mean latency" in judge.verdict().reason


def test_what_is_slower_inside_one_bucket_is_not_promoted():
    """Answers take 2.8 ms instead of 2.5, and no count changes."""
    decision, judge = Release(1, SHAPES["all inside a bucket"], factor=1.12).judge()
    assert decision is HOLD
    found = next(one for one in judge.verdict().evidence if one.about == "metrics/latency-mean")
    assert found.interval.estimate == pytest.approx(1.12, rel=0.01)
    assert found.tolerance is None
    assert "alpha spent" not in found.figures


def test_a_judge_that_is_resumed_at_every_poll_says_the_same_bit_for_bit():
    release = Release(2, SHAPES["lognormal"])
    judge = Judge.begin(PLAN, "r1", release.history())
    resumed = judge.dumps()
    for poll in islice(release.polls(), 12):
        other = Judge.resume(resumed, "r1", PLAN)
        assert other.poll(poll) == judge.poll(poll)
        resumed = other.dumps()
    assert resumed == judge.dumps()


def test_a_canary_that_fails_one_percent_more_in_an_incident_is_not_promoted():
    decision, judge = Release(3, SHAPES["lognormal"], errors=(0.045, 0.055)).judge()
    assert decision is not PROMOTE
    assert "in an incident" in next(one.reason for one in judge.verdict().evidence if one.about == "metrics/errors")


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_of_canaries_exactly_on_the_margin_at_most_one_in_twenty_is_promoted(shape):
    said = [Release(seed, SHAPES[shape], factor=1.1).judge()[0] for seed in range(40)]
    assert said.count(PROMOTE) <= 2
