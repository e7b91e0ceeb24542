"""Measures the spread between stable's servers: each is compared with all the others, block by block of the history.

A block is about as long as a watch. So both a constant difference and a drift over hours count as spread; noise that wanders for minutes
does not, because the dispersion has it already. What chance and that noise make of the differences is subtracted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge import latency_mean
from tfcanary.decide.judge.counted_windows import ServerReadings, TrackCounts, add_up, change
from tfcanary.decide.judge.dispersion import PROMOTE, Noise, ScoreSeries
from tfcanary.decide.judge.latency_mean import LatencyMeanAccumulator
from tfcanary.decide.judge.latency_row import LatencyAccumulator
from tfcanary.decide.judge.means import MeanAccumulator, mean_rows
from tfcanary.decide.judge.rate_rows import RowKind, count, rows
from tfcanary.decide.judge.spread import Spread
from tfcanary.decide.judge.stable_level import StableLevel
from tfcanary.decide.judge.standing import NO_EVENTS
from tfcanary.decide.judge.watch_windows import Window
from tfcanary.decide.stats.logarithms import Array

BLOCK = 1800.0
"""Seconds of a block."""
HALF = 0.5
"""Events added to a count before its logarithm is taken."""


@dataclass(frozen=True, slots=True)
class _Deviations:
    """How far each server is from all the others, in one criterion; arrays over the windows that say something."""

    level: Array
    """Log ratio to the others, or difference relative to the level."""
    chance: Array
    """Its variance by chance alone."""
    size: Array
    """Effective exposure."""
    where: npt.NDArray[np.intp]
    """Index of the window."""


def measure_spread(
    samples: Sequence[tuple[float, ServerReadings]], plan: JudgePlan, stable_level: StableLevel, noise: Mapping[str, Noise]
) -> dict[str, Spread]:
    """Return the spread of each criterion from seconds and readings of stable; empty where there were never two servers."""
    blocks = [windows for windows in _blocks(samples) if len(windows) > 1]
    windows = [window for block in blocks for window in block]
    of_block = np.repeat(np.arange(len(blocks)), [len(block) for block in blocks])
    if not windows:
        return {}
    found = {}
    for name, deviations in _deviations(windows, plan, stable_level):
        seconds = np.array([window.until - window.since for window in windows])[deviations.where]
        variance = deviations.chance * _inflation(noise.get(name), deviations.size / np.maximum(seconds, 1.0))
        spread = _spread(deviations.level, variance, of_block[deviations.where])
        if spread is not None:
            found[name] = spread
    return found


def _blocks(samples: Sequence[tuple[float, ServerReadings]]) -> Iterator[list[Window]]:
    """Yield, block by block, a window of each server as if it were the canary and the others stable."""
    if not samples:
        return
    start, *later = samples
    last = later[-1][0] if later else start[0]
    for sample in later:
        # The rest of a history that is not a whole number of blocks belongs to the last block.
        ends = sample[0] - start[0] >= BLOCK and last - sample[0] >= BLOCK
        if ends or sample[0] == last:
            yield _windows(start, sample)
            start = sample


def _windows(before: tuple[float, ServerReadings], now: tuple[float, ServerReadings]) -> list[Window]:
    if not now[0] > before[0]:
        return []
    own = {}
    for name in now[1].keys() & before[1].keys():
        changed = change({name: before[1][name]}, {name: now[1][name]})
        if changed.whole:
            own[name] = changed.counts
    names = sorted(own)
    return [_window(before[0], now[0], own[name], add_up(own[other] for other in names if other != name), len(names)) for name in names]


def _window(since: float, until: float, own: TrackCounts, others: TrackCounts, servers: int) -> Window:
    return Window(since, until, 1.0 / servers, settled=True, warm=True, frozen=True, stable=others, canary=own)


def _deviations(windows: Sequence[Window], plan: JudgePlan, stable_level: StableLevel) -> Iterator[tuple[str, _Deviations]]:
    yield from _rate_deviations(windows, plan, stable_level)
    unweighted = Noise((0.0, 0.0), (0.0, 0.0), 0.0, 0.0)
    averaged: list[tuple[str, float, LatencyAccumulator | LatencyMeanAccumulator | MeanAccumulator]] = [
        (row.name, abs(row.level), MeanAccumulator(plan, row, {})) for row in mean_rows(plan, stable_level)
    ]
    if plan.latency and stable_level.latency:
        averaged.append(("latency", 1.0, LatencyAccumulator(plan, plan.latency, stable_level, {"latency": unweighted})))
    if plan.latency and stable_level.latency_mean is not None:
        mean = stable_level.latency_mean
        averaged.append((latency_mean.NAME, mean, LatencyMeanAccumulator(plan, plan.latency, mean, {})))
    for name, scale, accumulator in averaged:
        for window in windows:
            accumulator.add(window)
        yield name, _of_series(accumulator.series(), scale)


def _of_series(series: ScoreSeries, scale: float) -> _Deviations:
    information = series.information[0]
    where = np.flatnonzero(information > 0)
    counted = information[where]
    total = max(float(counted.sum()), 1e-300)
    variance, size = float(series.chance[0]) / total, float(series.size[0]) * len(where) / total
    return _Deviations(series.residuals[0][where] / counted / scale, variance / counted / scale**2, size * counted, where)


def _rate_deviations(windows: Sequence[Window], plan: JudgePlan, stable_level: StableLevel) -> Iterator[tuple[str, _Deviations]]:
    # How many requests one server of stable gets is no luck of a canary's: the route divides the requests between the tracks.
    every = tuple(row for row in rows(plan, stable_level) if row.kind is not RowKind.TRAFFIC)
    raw = np.array([[events or NO_EVENTS for events in count(every, window, stable_level)] for window in windows]).transpose(1, 2, 0)
    for row, (events_c, n_c, events_b, n_b) in zip(every, raw, strict=True):
        where = np.flatnonzero((n_c > 0) & (n_b > 0))
        x_c, m_c, x_b, m_b = events_c[where], n_c[where], events_b[where], n_b[where]
        rare = 1.0 - np.minimum((x_c + x_b) / (m_c + m_b), 1.0) if row.burst != 1.0 else 1.0
        level = np.log((x_c + HALF) / m_c) - np.log((x_b + HALF) / m_b)
        chance = (1.0 / (x_c + HALF) + 1.0 / (x_b + HALF)) * rare
        yield row.name, _Deviations(level, chance, m_c * m_b / (m_c + m_b), where)


def _inflation(noise: Noise | None, size: Array) -> Array:
    """Return the factor of the variance by chance that the noise of minutes makes; `size` is the effective exposure in a second."""
    if noise is None or not noise.size > 0:
        return np.ones(len(size))
    weighted: Array = (1.0 + noise.excess[PROMOTE]) * np.maximum(size / noise.size, 1.0)
    return weighted


def _spread(level: Array, variance: Array, of_block: npt.NDArray[np.intp]) -> Spread | None:
    """Return the spread that is left when chance and the noise of minutes are subtracted, and one standard error of them.

    Without this error every second service whose servers are alike would seem to have a spread. A smaller spread does not show in two
    hours of a server's whole traffic, so that it cannot decide about a canary either.
    """
    squares, freedom, noise, most = 0.0, 0, 0.0, 0
    for block in np.unique(of_block).tolist():
        mine = of_block == block
        servers = int(mine.sum())
        if servers < 2:
            continue
        # Against the others a server deviates by R/(R - 1) times as much as against the mean of all.
        shrink = (1.0 - 1.0 / servers) ** 2
        squares += shrink * float(np.sum((level[mine] - level[mine].mean()) ** 2))
        noise += shrink * float(variance[mine].sum())
        freedom += servers - 1
        most = max(most, servers)
    if freedom == 0:
        return None
    beyond = (squares - noise * (1.0 + math.sqrt(2.0 / freedom))) / freedom
    return Spread(math.sqrt(max(beyond, 0.0)), most)
