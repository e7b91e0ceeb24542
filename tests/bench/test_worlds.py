"""The worlds of the bench: shapes, servers, starts and bursts are what they say, and the bars notice a judge that breaks a promise."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from bench.judge import bars, latencies, measures, oracle, tables
from bench.judge.contestants import ENTRIES, OURS, JudgeEntry
from bench.judge.latencies import LOGNORMAL, MODES, PEAK, QUOTA, Shape
from bench.judge.runner import CellResult, WatchOutcome, judge_watch
from bench.judge.scenarios import ALIKE, QUARTER, SLOWER, TWICE_AS_SLOW, CanaryFault, Cell
from bench.judge.traffic import ReplaySample, ServerCounts, Watch, watch
from bench.judge.worlds import CALM, SLOW_SHARE, SPREADS, WORLDS, Law
from tfcanary.core.domain import LATENCY_BOUNDS

MANY = 200
"""Number of servers that show how servers of a world differ."""
BY_NAME = {law.name: law for law in WORLDS}


def drawn(shape: Shape, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    return latencies.draw(np.random.default_rng(1), np.full(500, 20_000), shape, np.full(500, shift))


def true_latencies(shape: Shape) -> np.ndarray:
    """Latencies one by one, by numpy's own lognormal distribution."""
    rng = np.random.default_rng(2)
    kinds = rng.choice(len(shape.parts), size=1_000_000, p=[part.share for part in shape.parts])
    medians, spreads = (np.array([getattr(part, name) for part in shape.parts])[kinds] for name in ("median", "spread"))
    return medians * np.exp(spreads * rng.standard_normal(len(kinds)))


def servers_of(law: Law, fault: CanaryFault = ALIKE) -> tuple[ServerCounts, ...]:
    """Many servers of one world, which answer as much as one of them would alone."""
    return many(law, fault).canary


def many(law: Law, fault: CanaryFault = ALIKE) -> Watch:
    return watch(Cell(law, 1000.0 * MANY, fault, servers=MANY, poll=60.0), 1, 0)


def mean_latency(server: ServerCounts, intervals: slice = slice(None)) -> float:
    return float(server.lat_sum[intervals].sum() / server.ok[intervals].sum())


@pytest.mark.parametrize("shape", [LOGNORMAL, PEAK, QUOTA, MODES], ids=lambda shape: shape.name)
def test_the_buckets_and_the_sum_of_a_shape_are_those_of_its_lognormal_parts(shape):
    counts, sums = drawn(shape)
    answers = true_latencies(shape)
    below = np.searchsorted(np.sort(answers), LATENCY_BOUNDS, side="right") / len(answers)
    assert np.cumsum(counts.sum(axis=0))[:-1] / counts.sum() == pytest.approx(below, abs=0.002)
    dispersion = answers.std() / answers.mean()
    assert sums.sum() / counts.sum() == pytest.approx(shape.mean, rel=5 * dispersion / counts.sum() ** 0.5)
    assert answers.mean() == pytest.approx(shape.mean, rel=5 * dispersion / len(answers) ** 0.5)
    assert sums.std() / sums.mean() == pytest.approx(dispersion / 20_000**0.5, rel=0.2)


@pytest.mark.parametrize("shape", [LOGNORMAL, PEAK, QUOTA, MODES], ids=lambda shape: shape.name)
def test_a_sum_is_what_the_answers_of_the_buckets_can_take(shape):
    counts, sums = drawn(shape)
    assert np.all(counts @ latencies.LOWEST <= sums)
    assert np.all(sums <= counts @ latencies.HIGHEST)


def test_a_shift_makes_every_answer_slower_by_its_factor():
    (_, before), (_, after) = drawn(MODES), drawn(MODES, np.log(1.1))
    assert after.sum() / before.sum() == pytest.approx(1.1, rel=0.005)


def test_most_of_the_peak_lies_inside_one_bucket_and_the_quota_is_a_plateau_that_ten_percent_do_not_leave():
    assert PEAK.masses(np.zeros(1)).max() > 0.70
    inside, slower = QUOTA.masses(np.array([0.0, np.log(1.1)]))
    tail = int(np.searchsorted(LATENCY_BOUNDS, 80_000.0))
    assert inside[tail] == pytest.approx(0.015, rel=0.01)
    assert slower[tail:].sum() == pytest.approx(inside[tail:].sum(), rel=0.01)


def test_a_slow_server_has_more_of_the_slow_answers_and_a_slower_tail_has_slower_ones():
    assert sum(part.share for part in LOGNORMAL.with_slow(SLOW_SHARE).parts) == pytest.approx(1.0)
    assert LOGNORMAL.with_slow(SLOW_SHARE).parts[-1] == replace(LOGNORMAL.parts[-1], share=SLOW_SHARE)
    assert LOGNORMAL.with_slower_tail(1.5).mean - LOGNORMAL.mean == pytest.approx(0.5 * 0.03 * 160_000 * np.exp(0.125))


@pytest.mark.parametrize("law", SPREADS, ids=lambda law: law.name)
def test_servers_differ_by_the_spread_of_their_world(law):
    logs = np.log([mean_latency(server) for server in servers_of(law)])
    assert logs.std() == pytest.approx(law.fixed_latency, rel=0.15, abs=0.003)


def test_stable_has_the_same_servers_in_the_history_and_in_the_watch():
    one = watch(Cell(BY_NAME["spread 10 %"], 2000.0, ALIKE), 1, 0)
    (_, others, pod), (_, last_others, last_pod) = one.history[0], one.history[-1]
    counted = {**last_others.servers, **last_pod.servers}, {**others.servers, **pod.servers}
    then = [mean_of(counted[0][str(i)], counted[1][str(i)]) for i in range(10)]
    now = [mean_latency(server) for server in one.stable]
    assert np.log(then).std() > 0.03
    assert np.log(np.divide(then, now)).std() < 0.003


def mean_of(last: ReplaySample, first: ReplaySample) -> float:
    return (last.lat_sum - first.lat_sum) / (last.ok - first.ok)


def test_one_server_in_twenty_is_slow():
    conditions = many(BY_NAME["slow servers"]).conditions
    slow = [one.shape.parts[-1].share == SLOW_SHARE for one in conditions]
    assert 4 <= sum(slow) <= 18


def test_servers_drift_apart_over_hours():
    law = BY_NAME["drift over hours"]
    latency = np.array([one.latency for one in many(law).conditions])[:, 10:]
    own = latency - latency.mean(axis=0)
    assert own.std() == pytest.approx(law.drift, rel=0.15)
    assert np.corrcoef(own[:, 0], own[:, -1])[0, 1] == pytest.approx(np.exp(-(own.shape[1] - 1) * 60 / 7200), abs=0.15)
    assert np.corrcoef(own[:, 0], own[:, 1])[0, 1] > 0.95


def test_a_new_server_is_slow_until_its_cache_is_full_and_stable_is_not():
    one = watch(Cell(BY_NAME["cold caches"], 20_000.0, ALIKE, poll=60.0), 1, 0)
    (canary,), stable = one.canary, one.stable[0]
    slower = [mean_latency(canary, slice(i, i + 1)) / mean_latency(stable, slice(i, i + 1)) for i in range(1, 7)]
    assert slower == pytest.approx([1 + 0.5 * part for part in (0.7, 0.5, 0.3, 0.1, 0.0, 0.0)], rel=0.04)


def test_a_server_of_stable_that_starts_again_counts_from_0_and_is_cold():
    law = replace(CALM, name="restarting", restarts=0.5, cold_cache=0.5)
    one = watch(Cell(law, 20_000.0, ALIKE, poll=60.0), 1, 0)
    which, when = (int(where[0]) for where in np.nonzero([server.started for server in one.stable]))
    samples = [stable.servers for _, stable, _ in one.polls() if stable.up]
    assert min(now[str(which)].ok - then[str(which)].ok for then, now in itertools.pairwise(samples)) < 0
    there, beside = one.stable[which], one.stable[which - 1]
    assert mean_latency(there, slice(when, when + 1)) > 1.3 * mean_latency(beside, slice(when, when + 1))


def test_requests_come_in_bursts():
    plain, bursts = (servers_of(law) for law in (CALM, replace(CALM, name="calm in bursts", burst=20.0)))
    for servers, dispersion in ((plain, 1.0), (bursts, 2 * 20.0 - 1)):
        counted = np.array([server.ok + server.err for server in servers])
        assert (counted.var(axis=0) / counted.mean(axis=0)).mean() == pytest.approx(dispersion, rel=0.15)


def test_a_track_counts_what_its_servers_count_and_a_seed_names_every_number():
    cell = Cell(BY_NAME["all of it"], 200.0, SLOWER, ramp=QUARTER, servers=4)
    polls, again = (list(watch(cell, 1, 0).polls()) for _ in range(2))
    assert [len(polls[0][track].servers) for track in (1, 2)] == [10, 4]
    for (_, *tracks), (_, *others) in zip(polls, again, strict=True):
        for track, other in zip(tracks, others, strict=True):
            if track.up:
                servers = track.servers.values()
                assert sum(one.ok for one in servers) == track.ok == other.ok
                assert np.sum([one.lat for one in servers], axis=0) == pytest.approx(track.lat)
                assert sum(one.lat_sum for one in servers) == pytest.approx(track.lat_sum, rel=1e-5)
                assert track.lat_sum == other.lat_sum


def test_a_sum_of_latencies_is_printed_with_six_digits():
    *_, (_, stable, _) = watch(Cell(CALM, 2000.0, ALIKE), 1, 0).polls()
    assert all(one.lat_sum > 1e9 and one.lat_sum == float(f"{one.lat_sum:.6g}") for one in stable.servers.values())


def test_the_oracle_adds_up_what_the_servers_of_the_canary_say():
    alone, four = (Cell(BY_NAME["spread 5 %"], 20.0, SLOWER, ramp=ramp, servers=n) for n, ramp in ((1, Cell.ramp), (4, QUARTER)))
    assert oracle.rollback_time(watch(four, 1, 0)) < oracle.rollback_time(watch(alone, 1, 0))


def test_our_judge_names_the_servers_that_it_needs_where_they_differ_by_ten_percent():
    outcome = judge_watch(watch(Cell(BY_NAME["spread 10 %"], 2000.0, ALIKE, poll=60.0), 1, 0), OURS)
    assert (outcome.answer, outcome.needs_servers) == ("continue", True)


class Undecided:
    def calibrate(self, history):
        pass

    def update(self, t, baseline, canary):
        return "continue"


def test_a_judge_that_gives_no_reasons_names_no_servers():
    entry = JudgeEntry("undecided", "undecided", Undecided)
    assert not judge_watch(watch(Cell(CALM, 200.0, ALIKE, poll=60.0), 1, 0), entry).needs_servers


def found(cell: Cell, **words: int) -> CellResult:
    """A cell with so many outcomes of each kind; `named` is undecided and names the servers needed."""
    outcomes = [
        WatchOutcome("continue" if word == "named" else word, 60.0, 1.0, word == "named")
        for word, number in words.items()
        for _ in range(number)
    ]
    return CellResult(cell, {OURS.key: outcomes, "flagger": outcomes}, [30.0], [60.0])


def bar(title: str, *cells: CellResult) -> bars.BarResult:
    return next(result for result in bars.bar_results(cells) if result.title == title)


PEAKED, WIDE = BY_NAME["shape: peak"], BY_NAME["spread 10 %"]


def test_the_bars_notice_what_breaks_a_promise_in_one_world():
    on_margin, healthy = Cell(PEAKED, 2000.0, SLOWER), Cell(WIDE, 2000.0, ALIKE)
    assert bar("exactly on a margin promoted, shape: peak, worst cell", found(on_margin, promote=20, rollback=80)).missed
    assert bar("healthy rolled back, spread 10 %, worst cell", found(healthy, rollback=14, named=86)).missed
    assert bar("beyond a margin promoted, all", found(replace(on_margin, fault=TWICE_AS_SLOW), promote=8, rollback=92)).missed
    slow = bar("latency x2, shape: peak", replace_seconds(found(replace(on_margin, fault=TWICE_AS_SLOW), rollback=20), 600.0))
    assert (slow.missed, slow.limit) == (True, "<= 188 s")


def replace_seconds(result: CellResult, seconds: float) -> CellResult:
    outcomes = {key: [replace(one, seconds=seconds) for one in every] for key, every in result.outcomes.items()}
    return replace(result, outcomes=outcomes)


def test_a_bar_is_missed_only_where_its_interval_which_is_shown_excludes_it():
    near = bar("exactly on a margin promoted, shape: peak, worst cell", found(Cell(PEAKED, 2000.0, SLOWER), promote=2, rollback=18))
    low, high = measures.interval(measures.Rate(2, 20), measures.CONFIDENCE)
    assert (near.missed, near.beside) == (False, True)
    assert near.reached == f"10.00 %, 2 of 20 ({100 * low:.1f}-{100 * high:.1f})"


def test_a_healthy_canary_may_be_undecided_where_the_servers_needed_are_named_and_only_there():
    title, cell = "healthy promoted or the servers needed named, spread 10 %, worst cell", Cell(WIDE, 2000.0, ALIKE)
    assert not bar(title, found(cell, named=20)).missed
    assert bar(title, found(cell, named=10)).reached.startswith("100.00 %")
    assert bar(title, found(replace(cell, rate=200.0), named=30), found(cell, **{"continue": 30})).missed
    assert bar("servers needed named where servers are alike", found(Cell(PEAKED, 2000.0, ALIKE), named=20)).missed


def test_the_tables_show_every_world_for_every_judge_with_what_is_missed_in_bold():
    slow = found(Cell(PEAKED, 2000.0, TWICE_AS_SLOW), rollback=20)
    text = tables.worlds([found(Cell(PEAKED, 2000.0, SLOWER), promote=20), found(Cell(WIDE, 2000.0, ALIKE), promote=20), slow])
    assert f"| service | {ENTRIES['flagger'].title} | **tfcanary** |" in text
    assert "| shape: peak | **100.0 % (83.2-100.0)** | **100.0 % (83.2-100.0)** |" in text
    assert "| spread 10 % | 0.0 % (0.0-16.8) | 0.0 % (0.0-16.8) |" in text
    assert "| shape: peak | 100.0 % (83.2-100.0), 60 s | 100.0 % (83.2-100.0), 60 s |" in text
