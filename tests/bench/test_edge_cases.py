"""Hours in which something is odd, through the replay protocol: each ends in a word that makes sense, whatever the counters say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from bench.judge.scenarios import ALIKE, QUALITY_5, SILENT, SLOWER, CanaryFault, Cell
from bench.judge.traffic import ReplaySample, watch
from bench.judge.worlds import CALM
from bench.judge_adapter import make

Look = tuple[float, ReplaySample, ReplaySample]
"""Seconds, stable, canary."""
Oddity = Callable[[Iterator[Look]], Iterable[Look]]

BUSY = Cell(CALM, 200.0, ALIKE)
COUNTERS = ("ok", "err", "lat_sum", "q_sum", "q_sumsq", "q_count")


def answer(oddity: Oddity = iter, cell: Cell = BUSY, number: int = 0) -> str:
    """The first answer that is final, or continue; there is no history, and the samples name no servers."""
    judge = make()
    whole = ((t, replace(stable, servers={}), replace(canary, servers={})) for t, stable, canary in watch(cell, 4, number).polls())
    for t, stable, canary in oddity(whole):
        said = judge.update(t, stable, canary)
        assert said in ("continue", "promote", "rollback")
        if said != "continue":
            return said
    return "continue"


def down(seen: ReplaySample) -> ReplaySample:
    """A scrape that failed: no number is one."""
    nothing = dict.fromkeys(COUNTERS, math.nan)
    return replace(seen, up=False, share=math.nan, lat=seen.lat * math.nan, pred=seen.pred * math.nan, **nothing)


def lost(when: Callable[[float], bool], stable: bool = True, canary: bool = True) -> Oddity:
    """Scrapes of a track that fail at some times."""
    return lambda looks: ((t, down(s) if when(t) and stable else s, down(c) if when(t) and canary else c) for t, s, c in looks)


def each(change: Callable[[ReplaySample], ReplaySample], stable: bool = True, canary: bool = True) -> Oddity:
    """Every sample of a track, changed."""
    return lambda looks: ((t, change(s) if stable else s, change(c) if canary else c) for t, s, c in looks)


def half_failed(seen: ReplaySample) -> ReplaySample:
    return replace(seen, ok=seen.ok / 2, err=seen.ok / 2 + seen.err, lat=seen.lat / 2, lat_sum=seen.lat_sum / 2)


def older(looks: Iterator[Look]) -> Iterator[Look]:
    """A stable that has answered a trillion requests before, like its first ones."""
    before: ReplaySample | None = None
    for t, stable, canary in looks:
        before = before or minus(stable, stable, -1e12 / stable.ok)
        yield t, minus(stable, before, -1.0) if stable.up else stable, canary


def minus(seen: ReplaySample, begun: ReplaySample, times: float = 1.0) -> ReplaySample:
    """As if it had begun to count then."""
    numbers = {name: math.floor(getattr(seen, name) - times * getattr(begun, name)) for name in COUNTERS}
    return replace(seen, lat=np.floor(seen.lat - times * begun.lat), pred=np.floor(seen.pred - times * begun.pred), **numbers)


def restarting(looks: Iterator[Look]) -> Iterator[Look]:
    """A canary that begins afresh every 90 s."""
    begun: ReplaySample | None = None
    for t, stable, canary in looks:
        begun = canary if begun is None or (t % 90 == 0 and canary.up) else begun
        yield t, stable, minus(canary, begun) if canary.up else canary


def frozen(looks: Iterator[Look]) -> Iterator[Look]:
    """A canary whose exporter shows for ever what it showed first."""
    first: ReplaySample | None = None
    for t, stable, canary in looks:
        first = first or canary
        yield t, stable, first


def fresh_control(looks: Iterator[Look]) -> Iterator[Look]:
    """A control that begins with the canary: its first scrape is empty."""
    first: ReplaySample | None = None
    for t, stable, canary in looks:
        first = first or stable
        yield t, minus(stable, first) if stable.up else stable, canary


def twice(looks: Iterator[Look]) -> Iterator[Look]:
    for look in looks:
        yield from (look, look)


def late_share(looks: Iterator[Look]) -> Iterator[Look]:
    """A share of 0 for ten minutes, then 5 %: what the canary counted before it did not."""
    first: ReplaySample | None = None
    for t, stable, canary in looks:
        first = canary if t <= 600 and canary.up else first
        share = 0.0 if t <= 600 else 0.05
        counted = minus(canary, first) if first and canary.up else canary
        yield t, replace(stable, share=1 - share), replace(counted, share=share)


def without(**parts: object) -> Oddity:
    return each(lambda seen: replace(seen, **parts))  # type: ignore[arg-type]


NAN_34, NAN_10 = np.full(34, math.nan), np.full(10, math.nan)


@pytest.mark.parametrize(
    ("oddity", "words", "cell"),
    [
        pytest.param(lost(lambda t: t > 0), {"continue"}, BUSY, id="the metrics source is down all hour"),
        pytest.param(lost(lambda _: True, canary=False), {"continue"}, BUSY, id="stable is unreachable"),
        pytest.param(lost(lambda t: 600 <= t < 1200), {"promote"}, BUSY, id="the metrics source is down for ten minutes"),
        pytest.param(lost(lambda t: t < 150), {"promote"}, BUSY, id="the first five scrapes are missing"),
        pytest.param(lost(lambda t: t < 120, stable=False), {"promote"}, BUSY, id="the canary appears after two minutes"),
        pytest.param(iter, {"promote"}, BUSY, id="no history"),
        pytest.param(without(q_sum=math.nan, q_sumsq=math.nan, q_count=math.nan), {"continue"}, BUSY, id="no quality, which is asked for"),
        pytest.param(without(pred=NAN_10), {"continue"}, BUSY, id="no classes, which are asked for"),
        pytest.param(without(lat=NAN_34, lat_sum=math.nan), {"continue"}, BUSY, id="no latency histogram, which is asked for"),
        pytest.param(late_share, {"promote", "continue"}, BUSY, id="a share of 0 for ten minutes"),
        pytest.param(without(share=math.nan), {"promote"}, BUSY, id="the share is unknown"),
        pytest.param(twice, {"promote"}, BUSY, id="every poll twice"),
        pytest.param(each(half_failed, canary=False), {"promote", "continue"}, BUSY, id="half of stable's requests fail"),
        pytest.param(each(half_failed), {"promote", "continue"}, BUSY, id="both fail alike"),
        pytest.param(restarting, {"continue", "rollback"}, BUSY, id="the canary restarts every 90 s"),
        pytest.param(iter, {"continue"}, replace(BUSY, rate=1 / 3), id="a request a minute"),
        pytest.param(fresh_control, {"rollback"}, replace(BUSY, rate=2000.0, fault=SLOWER), id="fresh control, slower canary"),
        pytest.param(fresh_control, {"rollback"}, replace(BUSY, rate=2000.0, fault=QUALITY_5), id="fresh control, worse canary"),
        pytest.param(without(q_sumsq=math.nan), {"rollback"}, replace(BUSY, fault=QUALITY_5), id="quality -5 % without squares"),
        pytest.param(frozen, {"rollback"}, BUSY, id="the canary's exporter is frozen"),
        pytest.param(iter, {"rollback"}, replace(BUSY, base=0.0, fault=CanaryFault("2 %", more_errors=0.02)), id="2 % errors against none"),
        pytest.param(iter, {"rollback"}, replace(BUSY, fault=SILENT), id="no traffic"),
        pytest.param(older, {"promote"}, BUSY, id="counters near a trillion"),
        pytest.param(iter, {"promote"}, replace(BUSY, rate=2000.0, base=0.0), id="no errors at all"),
    ],
)
def test_an_odd_hour_ends_in_a_word_that_makes_sense(oddity: Oddity, words: set[str], cell: Cell) -> None:
    assert answer(oddity, cell) in words


NUMBERS = (math.nan, math.inf, -math.inf, -1.0, 0.0, 1e300)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("track", ["stable", "canary"])
def test_a_track_whose_counters_are_all_one_odd_number_neither_raises_nor_passes(track: str, number: float) -> None:
    parts = {**dict.fromkeys(COUNTERS, number), "lat": np.full(34, number), "pred": np.full(10, number)}
    odd = each(lambda seen: replace(seen, **parts), stable=track == "stable", canary=track == "canary")  # type: ignore[arg-type]
    assert answer(lambda looks: (look for look in odd(looks) if look[0] <= 1800)) != "promote"


def test_clocks_that_step_back_stand_still_or_are_none_neither_raise_nor_convict() -> None:
    def clock(looks: Iterator[Look]) -> Iterator[Look]:
        for t, stable, canary in looks:
            yield (t - 300.0 if t > 900 else 600.0 if 600 <= t < 700 else math.nan if t == 300 else t), stable, canary

    assert answer(clock) == "promote"


def test_a_window_of_a_day_is_one_window_and_no_proof() -> None:
    def far_apart(looks: Iterator[Look]) -> Iterable[Look]:
        first, *_, last = looks
        return [first, (86_400.0, *last[1:])]

    assert answer(far_apart) == "continue"


def test_counters_that_fall_and_jump_back_bring_no_old_requests() -> None:
    """Stable's counters are gone for one poll and back at the next: no window is mostly history."""

    def jumping(looks: Iterator[Look]) -> Iterator[Look]:
        for t, stable, canary in looks:
            gone = t in (900.0, 1500.0)
            yield t, minus(stable, stable) if gone and stable.up else stable, canary

    assert answer(jumping, number=1) == "promote"
