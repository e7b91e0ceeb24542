"""The latency histogram as a whole, on literal counts, and against its definition written out plainly."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from bench.judge.latencies import LOGNORMAL
from tests.decide.judge import plain
from tests.decide.judge.literal import counts, window
from tests.decide.judge.simulation import buckets
from tfcanary.core.domain import LATENCY_BOUNDS
from tfcanary.core.plan import JudgePlan, LatencyPlan
from tfcanary.decide.judge.dispersion import Noise
from tfcanary.decide.judge.latency_row import LatencyAccumulator, LatencyCells
from tfcanary.decide.judge.stable_level import alpha_parts, freeze

PLAN = JudgePlan()
FROZEN = freeze(counts(1e6, 1e3, buckets(0.0, 1.0) * 1e6), PLAN)
STEP = 30.0


def standing(windows, stable_level=FROZEN, history=None):
    row = LatencyAccumulator(PLAN, LatencyPlan(), stable_level, {"latency": history} if history else {})
    for one in windows:
        row.add(one)
    return row.standing(STEP)


def slower_by(factor, length=20, n_c=300.0, n_b=5700.0, tail=1.0):
    return [window(counts(n_b, latency=n_b * buckets(0.0, 1.0)), counts(n_c, latency=n_c * buckets(math.log(factor), tail)))] * length


def test_the_cells_lie_where_the_requests_are():
    cells = LatencyCells.of(FROZEN)
    assert [round(cut / 1000) for cut in cells.cuts] == [21, 37, 67, 121, 219]
    assert cells.masses(np.zeros(1))[:, 0].sum() == pytest.approx(1)


def test_the_masses_of_a_shifted_histogram_are_nearly_the_true_ones():
    def true(y):
        x = np.array([0, *LatencyCells.of(FROZEN).cuts, np.inf]) * math.exp(-y)
        below = sum(
            part.share * scipy_stats.norm.cdf((np.log(np.maximum(x, 1e-9)) - math.log(part.median)) / part.spread)
            for part in LOGNORMAL.parts
        )
        return np.diff(below)

    for y in (-0.1, 0.1):
        assert LatencyCells.of(FROZEN).masses(np.array([y]))[:, 0] == pytest.approx(true(y), rel=0.15)


@pytest.mark.parametrize(
    "history", [None, Noise(excess=(0.7, 1.9), fixed=(0.0, 0.0), size=3.0, wander=0.01)], ids=["assumed", "calibrated"]
)
def test_the_row_equals_its_definition(history):
    rng, cells = np.random.default_rng(4), LatencyCells.of(FROZEN)
    windows = []
    for _ in range(18):
        n = rng.poisson(250), rng.poisson(5000)
        drawn = [rng.multinomial(k, (b := buckets(0.05 * rng.standard_normal(), 1.0)) / b.sum()).astype(float) for k in n]
        windows.append(window(counts(n[1], latency=drawn[1]), counts(n[0], latency=drawn[0]), canary_servers=2, stable_servers=9))
    pairs = [(cells.count(w.canary.latency), cells.count(w.stable.latency)) for w in windows]
    harm, favour = (plain.widening(0.03, 0.4 * alpha, 2, 9) for alpha in (0.04 * alpha_parts(PLAN)["latency"], 0.05))
    bounds = math.log(1.03) + harm, math.log(1.10) - favour
    up, down = plain.latency_row(pairs, lambda y: cells.masses(np.array([y]))[:, 0], *bounds, STEP, history)
    found = standing(windows, history=history)
    assert (found.log_rollback, found.log_promote) == (pytest.approx(up, abs=1e-9), pytest.approx(down, abs=1e-9))


def test_a_canary_exactly_like_stable_passes():
    latency = standing(slower_by(1.0))
    assert latency.passes(PLAN)
    assert not latency.fails(PLAN)
    assert latency.interval.low < 1 < latency.interval.high < 1.10
    assert latency.interval.estimate == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("factor", [1.15, 1.5, 3.0])
def test_a_slower_canary_fails_and_the_factor_is_found(factor):
    latency = standing(slower_by(factor, length=40))
    assert latency.fails(PLAN)
    assert not latency.passes(PLAN)
    assert 1.03 < latency.interval.low < factor
    assert latency.interval.estimate == pytest.approx(factor, rel=0.05)


def test_slower_within_the_tolerance_never_fails_and_faster_passes():
    assert not standing(slower_by(1.03, length=500)).fails(PLAN)
    faster = standing(slower_by(0.8))
    assert faster.passes(PLAN)
    assert not faster.fails(PLAN)


def test_cold_windows_and_windows_without_answers_count_nothing():
    cold = [window(w.stable, w.canary, warm=False) for w in slower_by(3.0)]
    empty = [window(counts(5700, latency=5700 * buckets(0.0, 1.0)), counts(0, latency=np.zeros(34)))]
    latency = standing([*cold, *empty])
    assert (latency.log_rollback, latency.log_promote, latency.interval) == (pytest.approx(0), pytest.approx(0), None)


def test_both_tracks_slower_together_blames_nobody():
    both = [window(counts(5700, latency=5700 * buckets(0.7, 1.0)), counts(300, latency=300 * buckets(0.7, 1.0)))] * 60
    latency = standing(both)
    assert not latency.fails(PLAN)
    assert latency.interval.estimate == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("bucket", [0, 15, 33])
def test_a_histogram_with_one_bucket_tells_nothing_and_breaks_nothing(bucket):
    held = np.zeros(len(LATENCY_BOUNDS) + 1)
    held[bucket] = 1.0
    stable_level = freeze(counts(1e5, latency=1e5 * held), PLAN)
    latency = standing([window(counts(5700, latency=5700 * held), counts(300, latency=300 * held))] * 50, stable_level)
    assert not latency.passes(PLAN)
    assert not latency.fails(PLAN)


def test_a_canary_that_leaves_the_only_bucket_fails():
    held, beyond = np.zeros(34), np.zeros(34)
    held[15], beyond[16] = 1.0, 1.0
    stable_level = freeze(counts(1e5, latency=1e5 * held), PLAN)
    assert standing([window(counts(5700, latency=5700 * held), counts(300, latency=300 * beyond))] * 10, stable_level).fails(PLAN)


def test_a_criterion_that_counts_nothing_while_the_canary_answers_has_fallen_silent():
    mute = [window(counts(5700), counts(300))] * 8
    latency = standing([*slower_by(1.0), *mute])
    assert latency.silent
    assert not latency.passes(PLAN)
