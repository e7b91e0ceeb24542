"""The bench of the judge: that its watches are what they are said to be, and that its bars notice a bad judge."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from bench import judge_adapter
from bench.judge import bars, document, measures, oracle
from bench.judge.contestants import ENTRIES, OURS
from bench.judge.noise import batched, wander
from bench.judge.picture import draw
from bench.judge.rivals import textbook
from bench.judge.rivals.kayenta import is_shifted
from bench.judge.runner import CellResult, WatchOutcome, judge_watch, run
from bench.judge.scenarios import ALIKE, CRASH, OUTAGE, SLOWER, TWICE_AS_SLOW, Cell, cells, quick_cells
from bench.judge.traffic import requests, watch
from bench.judge.worlds import CALM, NOISY, WORLDS
from bench.judge_adapter import make
from tfcanary.core.domain import Track

BUSY = Cell(CALM, 200.0, ALIKE)


def test_there_are_208_cells_of_noise_and_8_of_each_world_with_names_of_their_own():
    every = cells()
    assert len(every) == len({cell.name for cell in every}) == 208 + 8 * len(WORLDS)
    assert sum(cell.size for cell in every if not cell.in_world) == 21_200


def test_the_quick_form_holds_healthy_and_bad_canaries_of_all_noises_and_worlds():
    chosen = quick_cells()
    assert {cell.law.name for cell in chosen} == {"calm", "noisy", "harsh", *(law.name for law in WORLDS)}
    assert {cell.fault.is_good for cell in chosen if cell.in_world} == {True, False}


def test_a_watch_is_named_by_seed_cell_and_number():
    one, again, other = (watch(BUSY, 1, number).canary[0].ok.tolist() for number in (0, 0, 1))
    assert one == again != other


def test_the_traffic_is_divided_as_configured_and_the_errors_have_their_rate():
    counted = [watch(replace(BUSY, base=0.01), 1, number) for number in range(6)]
    canary, stable = (sum(float(requests(getattr(one, track)).sum()) for one in counted) for track in ("canary", "stable"))
    assert canary / (canary + stable) == pytest.approx(0.05, rel=0.05)
    assert sum(float(server.err.sum()) for one in counted for server in one.stable) / stable == pytest.approx(0.01, rel=0.15)


def test_wander_has_its_deviation_and_its_memory():
    series = wander(np.random.default_rng(1), np.full(400, 0.3), 100, 0.8)
    assert series.std() == pytest.approx(0.3, rel=0.05)
    assert (series[:, 1:] * series[:, :-1]).mean() / series.var() == pytest.approx(0.8, abs=0.03)


def test_batches_have_their_mean_and_what_comes_in_them_is_dispersed():
    numbers, batches = batched(np.random.default_rng(1), np.full(100_000, 40.0), 5.0)
    assert numbers.mean() == pytest.approx(40.0, rel=0.02)
    assert batches.mean() == pytest.approx(8.0, rel=0.02)
    assert numbers.var() / numbers.mean() == pytest.approx(2 * 5.0 - 1, rel=0.05)


def test_a_scrape_that_fails_shows_no_number_and_no_server():
    crashed = list(watch(replace(BUSY, fault=CRASH), 1, 0).polls())
    assert all(math.isnan(canary.ok) and not canary.up and not canary.servers for _, _, canary in crashed)


def test_the_oracle_knows_an_outage_at_once_and_waits_for_latency():
    assert oracle.rollback_time(watch(replace(BUSY, fault=OUTAGE), 1, 0)) == 30
    slower = watch(replace(BUSY, rate=2000.0, fault=SLOWER), 1, 0)
    assert oracle.rollback_time(slower, waiting=False) < 120 < oracle.rollback_time(slower)


def test_the_oracle_of_a_healthy_canary_needs_more_time_where_there_is_less_traffic():
    much, little = (oracle.promote_time(watch(replace(BUSY, rate=rate), 1, 0)) for rate in (2000.0, 200.0))
    assert 120 < much < little


@pytest.mark.parametrize("key", ENTRIES)
def test_every_judge_answers_with_the_three_words_and_the_adapter_with_hold_as_continue(key):
    outcome = judge_watch(watch(replace(BUSY, law=NOISY, poll=60.0), 1, 0), ENTRIES[key])
    assert outcome.answer in ("continue", "promote", "rollback")
    assert outcome.exposed > 0


def test_our_judge_rolls_an_outage_back_at_its_first_window_and_needs_no_history():
    judge = make()
    words = [judge.update(t, stable, canary) for t, stable, canary in list(watch(replace(BUSY, fault=OUTAGE), 1, 0).polls())[:3]]
    assert words == ["continue", "rollback", "rollback"]


def test_the_adapter_takes_what_is_not_exported_and_an_unknown_share():
    judge = make()
    for t, stable, canary in list(watch(BUSY, 1, 0).polls())[:5]:
        bare = [replace(seen, share=math.nan, q_sumsq=math.nan, lat=None, pred=None, q_sum=None, servers={}) for seen in (stable, canary)]
        assert judge.update(t, *bare) == "continue"


def test_flaggers_rule_promotes_after_ten_good_minutes_and_rolls_back_after_five_bad_ones():
    good, silent = (judge_watch(watch(replace(BUSY, fault=fault), 1, 0), ENTRIES["flagger"]) for fault in (ALIKE, CRASH))
    assert (good.answer, good.seconds) == ("promote", 120 + 10 * 60)
    assert (silent.answer, silent.seconds) == ("rollback", 120 + 5 * 60)


def test_kayentas_metric_is_shifted_where_the_ranks_are_apart_in_the_bad_direction():
    control = np.random.default_rng(1).normal(1.0, 0.1, 30)
    assert is_shifted(control + 0.5, control, 1)
    assert not is_shifted(control + 0.5, control, -1)
    assert not is_shifted(control, control, 1)


def test_the_bounds_of_the_group_sequential_test_hold_its_level():
    walks = np.cumsum(np.random.default_rng(2).standard_normal((200_000, textbook.LOOKS)), axis=1) / math.sqrt(textbook.LOOKS)
    assert float((walks.max(axis=1) >= textbook.OF_SIX).mean()) == pytest.approx(0.05 / 3, rel=0.06)


def found(cell: Cell, *words: str, seconds: float = 60.0) -> CellResult:
    return CellResult(cell, {OURS.key: [WatchOutcome(answer, seconds, 1.0) for answer in words]}, [30.0], [60.0])


def test_the_bars_notice_a_judge_that_rolls_healthy_canaries_back_and_forgive_one_by_chance():
    bad, unlucky = (
        bars.bar_results([found(replace(BUSY, law=NOISY), *["rollback"] * k, *["promote"] * (100 - k), seconds=700.0)]) for k in (30, 2)
    )
    pooled = "healthy rolled back, noisy"
    assert next(result for result in bad if result.title == pooled).missed
    one = next(result for result in unlucky if result.title == pooled)
    assert (one.missed, one.beside) == (False, True)


def test_the_bars_notice_an_outage_that_is_not_rolled_back_or_too_late():
    cell = replace(BUSY, fault=OUTAGE)
    blind = bars.bar_results([found(cell, *["rollback"] * 19, "continue")])
    assert next(result for result in blind if "outage, crash" in result.title).missed
    late = bars.bar_results([found(cell, *["rollback"] * 20, seconds=300.0)])
    assert next(result for result in late if result.title == "outage, errors, calm, 200/s").missed


def test_chance_is_the_binomial_one():
    assert measures.binomial_tail(2, 3, 0.5) == pytest.approx(0.5)
    assert measures.binomial_tail(0, 3, 0.0) == 1.0
    assert measures.binomial_tail(1, 3, 0.0) == 0.0


def test_a_run_gives_every_judge_every_watch_and_is_written_between_its_marks(tmp_path):
    few = [
        replace(BUSY, fault=OUTAGE, size=2),
        replace(BUSY, rate=2000.0, poll=60.0, size=1),
        Cell(WORLDS[0], 2000.0, TWICE_AS_SLOW, size=1),
    ]
    outcomes = run(few, (OURS.key, "flagger"), seed=1, workers=1, report=lambda _: None)
    assert [len(cell.outcomes["flagger"]) for cell in outcomes] == [2, 1, 1]
    page = tmp_path / "judge.md"
    page.write_text("before\n<!-- bench.judge writes from here -->\nold\n<!-- bench.judge wrote until here -->\nafter\n")
    document.write(outcomes, bars.bar_results(outcomes), "`command` on a day", tmp_path)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "\nold\n" not in text
    assert "| **tfcanary** |" in text
    assert "| spread 0 %, 2000/s | 1 at 5 % | latency x2 |" in text
    assert (tmp_path / "judge-rates.svg").read_text() == draw(outcomes, "command on a day")


def test_servers_that_a_sample_names_are_judged_one_by_one():
    _, stable, canary = next(watch(BUSY, 1, 0).polls())
    named = SimpleNamespace(up=True, share=0.95, servers={"a": stable, "b": stable})
    assert list(judge_adapter.sample_of(Track.STABLE, named).servers) == ["stable-a", "stable-b"]
    assert list(judge_adapter.sample_of(Track.CANARY, replace(canary, servers={})).servers) == ["canary-0"]
    assert not judge_adapter.sample_of(Track.STABLE, SimpleNamespace(up=False, servers={"a": stable})).servers
    assert list(judge_adapter.history_sample(named, replace(stable, servers={})).servers) == ["one", "others/a", "others/b"]
