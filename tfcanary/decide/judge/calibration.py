"""Measures noise from stable's own last two hours: one server is judged against the others as if it were a canary.

This compares a version with itself on real traffic: nothing else tells how much two healthy servers of this service differ. Without a
history the rows' assumptions apply, and false rollbacks are likelier.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from tfcanary.core.domain import Sample
from tfcanary.core.plan import JudgePlan, LatencyPlan
from tfcanary.decide.judge import latency_mean, latency_row
from tfcanary.decide.judge.counted_windows import ServerReadings, TrackCounts, add_up, change, read
from tfcanary.decide.judge.dispersion import Noise, ScoreSeries, lags, observed_variance
from tfcanary.decide.judge.latency_mean import LatencyMeanAccumulator
from tfcanary.decide.judge.latency_row import LatencyAccumulator
from tfcanary.decide.judge.means import MeanAccumulator, mean_rows
from tfcanary.decide.judge.measured_spread import measure_spread
from tfcanary.decide.judge.rate_rows import LATENCY_WANDER, RateRow, RowKind, count, rows
from tfcanary.decide.judge.spread import Spread
from tfcanary.decide.judge.stable_level import StableLevel, freeze
from tfcanary.decide.judge.standing import NO_EVENTS
from tfcanary.decide.judge.watch_windows import Window
from tfcanary.decide.stats.binomial import SMALLEST_EXPOSURE, down_weight
from tfcanary.decide.stats.logarithms import Array

FEWEST_WINDOWS = 19
"""Least number of windows, that is of twenty samples: fewer say nothing about noise that wanders for minutes."""
LEAST_EXCESS = 0.05
"""Least variance beyond chance that is used: no history proves that there is no noise at all."""
LEAST_WANDER = 0.25
"""Least wander that is used, as a part of what is assumed without history: no history proves that there is none."""
WELL_KNOWN = 50.0
"""Number of events from which on a row's own excess variance is used alone; with fewer, the bursts of the many other servers count too."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the history shows of noise, by criterion."""

    noise: Mapping[str, Noise] = field(default_factory=dict)
    """Noise by the name of the criterion; empty where the history shows nothing."""
    spread: Mapping[str, Spread] = field(default_factory=dict)
    """The spread between stable's servers by the name of the criterion; empty where the history has one server."""
    windows: int = 0
    """Number of windows of the history."""
    lacking: str = ""
    """Why there is no calibration; empty where there is one."""


@dataclass(frozen=True, slots=True)
class _HistoryStep:
    """Two neighbouring samples of the history: the chosen server, and all others."""

    since: float
    until: float
    share: float | None
    """The chosen server's share of the traffic; None where a server was added, removed or restarted."""
    chosen: TrackCounts
    others: TrackCounts
    comparable: bool
    """The chosen server and at least one other can be compared."""


def calibrate(history: Iterable[tuple[float, Sample]], plan: JudgePlan) -> tuple[Calibration, StableLevel | None]:
    """Return the noise and stable's level from seconds and samples of stable, oldest first.

    Where the history is too short, `Calibration.lacking` says why; the level is None where stable answered too few requests.
    """
    samples = [(t, readings) for t, sample in history if (readings := read(sample)) is not None and math.isfinite(t)]
    steps = _steps(samples)
    stable_level = freeze(add_up(counts for step in steps for counts in (step.chosen, step.others)), plan)
    if not steps:
        return Calibration(lacking="there is no history of stable"), None
    if stable_level is None:
        return Calibration(lacking=f"stable's history holds fewer than {plan.freeze_requests:,} requests"), None
    windows = [_window(step) for step in steps if step.comparable]
    if len(windows) < FEWEST_WINDOWS:
        why = (
            "stable has one server: nothing to compare it with"
            if not windows
            else f"stable's history has {len(windows)} windows; {FEWEST_WINDOWS} are needed"
        )
        return Calibration(lacking=why), stable_level
    noise = _noise(windows, plan, stable_level)
    return Calibration(noise, measure_spread(samples, plan, stable_level, noise), len(windows)), stable_level


def _steps(samples: Sequence[tuple[float, ServerReadings]]) -> list[_HistoryStep]:
    """Return the differences between neighbouring samples.

    The server is chosen by how often it is there and by its name, never by its numbers.
    """
    present = Counter(name for _, readings in samples for name in readings)
    chosen = min(present, key=lambda name: (-present[name], name), default="")
    return [_step(chosen, before, now) for before, now in pairwise(samples) if now[0] > before[0]]


def _step(chosen: str, before: tuple[float, ServerReadings], now: tuple[float, ServerReadings]) -> _HistoryStep:
    one, rest = (
        tuple({n: r for n, r in readings.items() if (n == chosen) is mine} for _, readings in (before, now)) for mine in (True, False)
    )
    own_change, others_change = change(*one), change(*rest)
    comparable = bool(one[0] and one[1] and rest[0] and rest[1]) and not own_change.restarted
    share = 1.0 / len(now[1]) if own_change.whole and others_change.whole else None
    return _HistoryStep(
        since=before[0], until=now[0], share=share, chosen=own_change.counts, others=others_change.counts, comparable=comparable
    )


def _window(step: _HistoryStep) -> Window:
    return Window(step.since, step.until, step.share, settled=True, warm=True, frozen=True, stable=step.others, canary=step.chosen)


def _noise(windows: Sequence[Window], plan: JudgePlan, stable_level: StableLevel) -> dict[str, Noise]:
    step = max(sum(window.until - window.since for window in windows) / len(windows), 1.0)
    noise = _rate_noise(windows, step, plan, stable_level)
    if plan.latency and stable_level.latency:
        noise |= _latency_noise(windows, plan, plan.latency, stable_level, step)
        if stable_level.latency_mean is not None:
            series = _series_of(windows, LatencyMeanAccumulator(plan, plan.latency, stable_level.latency_mean, {}))
            noise |= _row_noise(latency_mean.NAME, series, step, LATENCY_WANDER)
    for row in mean_rows(plan, stable_level):
        noise |= _row_noise(row.name, _series_of(windows, MeanAccumulator(plan, row, {})), step, row.wander)
    return noise


def _latency_noise(
    windows: Sequence[Window], plan: JudgePlan, latency: LatencyPlan, stable_level: StableLevel, step: float
) -> dict[str, Noise]:
    """Return the noise of the latency row.

    The windows are weighted twice, because the weight of a window depends on the wander that the windows show.
    """
    unweighted = {latency_row.NAME: Noise((0.0, 0.0), (0.0, 0.0), 0.0, 0.0)}
    wander = float(_measured_wander(_series_of(windows, LatencyAccumulator(plan, latency, stable_level, unweighted)), LATENCY_WANDER)[0])
    weighted = {latency_row.NAME: Noise((0.0, 0.0), (0.0, 0.0), 0.0, wander)}
    return _row_noise(latency_row.NAME, _series_of(windows, LatencyAccumulator(plan, latency, stable_level, weighted)), step, wander)


def _series_of(windows: Sequence[Window], row: LatencyAccumulator | LatencyMeanAccumulator | MeanAccumulator) -> ScoreSeries:
    for window in windows:
        row.add(window)
    return row.series()


def _row_noise(name: str, series: ScoreSeries, step: float, wander: float) -> dict[str, Noise]:
    if series.windows[0] < FEWEST_WINDOWS:
        return {}
    first, second = _excess_variance(series, step)[:, 0].tolist()
    return {name: Noise(excess=(first, second), fixed=(0.0, 0.0), size=float(series.size[0]) / step, wander=wander)}


def _measured_wander(series: ScoreSeries, assumed: Any) -> Array:
    """Return by how much each criterion wanders, shape (criteria,), from windows that all have weight 1.

    It is the square root of the variance of the scores beyond chance, rounded up by half a standard error.
    """
    squares = np.maximum(np.sum(series.information**2, axis=1), SMALLEST_EXPOSURE)
    beyond = np.maximum(np.sum(series.residuals**2, axis=1) - series.chance, 0.0)
    doubt = 0.5 * series.chance * np.sqrt(2.0 / np.maximum(series.windows, 1))
    result: Array = np.clip(np.sqrt((beyond + doubt) / squares), LEAST_WANDER * assumed, assumed)
    return result


def _rate_noise(windows: Sequence[Window], step: float, plan: JudgePlan, stable_level: StableLevel) -> dict[str, Noise]:
    every = rows(plan, stable_level)
    by_window = [count(every, window, stable_level) for window in windows]
    counted = np.array([[events is not None for events in one] for one in by_window]).T
    raw = np.array([[events or NO_EVENTS for events in one] for one in by_window]).transpose(2, 1, 0)
    assumed = np.array([row.wander for row in every])
    routed = np.array([row.kind is RowKind.TRAFFIC for row in every])  # the history knows nothing of the router's noise
    wander = np.where(routed, assumed, _measured_wander(ScoreSeries.of_rates(raw, counted), assumed))
    series = ScoreSeries.of_rates(raw * down_weight(raw[0] + raw[2], raw[1], raw[3], wander[:, None]), counted)
    excess = _excess_variance(series, step)
    return {
        row.name: _one_rate_noise(row, raw[:, i, counted[i]], excess[:, i], series, i, float(wander[i]), step)
        for i, row in enumerate(every)
        if series.windows[i] >= FEWEST_WINDOWS
    }


def _one_rate_noise(row: RateRow, counted: Array, pair: Array, series: ScoreSeries, i: int, wander: float, step: float) -> Noise:
    """Return the noise of one row: measured where there are events enough, else bounded from above by the bursts of the other servers."""
    confidence = min(float(series.chance[i]) / WELL_KNOWN, 1.0)
    burst = _burst_excess(row, counted)
    first, second = (confidence * excess + (1.0 - confidence) * max(burst, excess) for excess in pair.tolist())
    # The excess of bursts of errors does not grow with a window's exposure; that of rates that wander does.
    bursts = burst if row.kind in (RowKind.ERRORS, RowKind.OUTAGE) else 0.0
    fixed = (float(np.clip(bursts, 0.0, first)), float(np.clip(bursts, 0.0, second)))
    return Noise(excess=(first, second), fixed=fixed, size=float(series.size[i]) / step, wander=wander)


def _excess_variance(series: ScoreSeries, step: float) -> Array:
    """Return the variance beyond chance, shape (2, criteria), increased by half its own relative standard error."""
    there = series.chance > 0
    ratio = np.where(there, observed_variance(series, step) / np.where(there, series.chance, 1.0), 1.0)
    error = np.array([[math.sqrt((4 * lag / 3 + 1) / max(windows, 1)) for windows in series.windows.tolist()] for lag in lags(step)])
    result: Array = np.maximum((ratio - 1.0) * (1.0 + 0.5 * error), LEAST_EXCESS)
    return result


def _burst_excess(row: RateRow, counted: Array) -> float:
    """Return the variance from window to window, beyond chance, of the other servers' events; changes of the shared rate only add to it."""
    events, exposure = counted[:2] if row.swapped else counted[2:]
    there = (exposure[:-1] > 0) & (exposure[1:] > 0)
    if not there.any():
        return max(row.burst, 1.0) - 1.0
    before, after = events[:-1][there], events[1:][there]
    growth = exposure[1:][there] / exposure[:-1][there]
    index = float(np.sum((after - growth * before) ** 2) / max(np.sum(after + growth**2 * before), 1.0))
    return index - 1.0 if events.sum() >= WELL_KNOWN else max(index, row.burst) - 1.0
