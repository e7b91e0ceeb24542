"""What stable's own last two hours say about noise: one server against the others, judged as if it were a canary.

It is a comparison of a version with itself on real traffic: nothing else tells how much two healthy servers of
this service differ. Without it the assumptions of the rows apply, and false rollbacks are likelier.
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
from tfcanary.decide.judge import latency_row
from tfcanary.decide.judge.counted_windows import Counts, Readings, add_up, change, read
from tfcanary.decide.judge.dispersion import Noise, Series, lags, observed
from tfcanary.decide.judge.latency_row import Shift
from tfcanary.decide.judge.means import Means, mean_rows
from tfcanary.decide.judge.rate_rows import LATENCY_WANDER, Kind, Row, count, rows
from tfcanary.decide.judge.stable_level import Frozen, freeze
from tfcanary.decide.judge.standing import NOTHING
from tfcanary.decide.judge.watch_windows import Window
from tfcanary.decide.stats.binomial import SMALLEST_EXPOSURE, down_weight
from tfcanary.decide.stats.logarithms import Array

FEWEST_WINDOWS = 19
"""Twenty samples; fewer say nothing about minutes."""
LEAST_EXCESS = 0.05
"""No history proves that there is no noise at all."""
LEAST_WANDER = 0.25
"""Of the wander that is assumed without history: no history proves that there is none."""
WELL_KNOWN = 50.0
"""Events from which on a row's own excess is believed; with fewer, the bursts of the many others' are."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the history has shown, by criterion; empty where it could show nothing."""

    noise: Mapping[str, Noise] = field(default_factory=dict)
    windows: int = 0
    lacking: str = ""
    """Why there is none."""


@dataclass(frozen=True, slots=True)
class _Past:
    """One step of the history: the chosen server against all others, and stable as a whole."""

    since: float
    until: float
    share: float | None
    """Of the chosen server in the traffic; None: a server came, went or restarted."""
    chosen: Counts
    others: Counts
    both: bool
    """The chosen server and at least one other can be compared."""


def calibrate(history: Iterable[tuple[float, Sample]], plan: JudgePlan) -> tuple[Calibration, Frozen | None]:
    """The noise and stable's level from the history of stable; neither where it is too short."""
    past = _steps([(t, readings) for t, sample in history if (readings := read(sample)) is not None and math.isfinite(t)])
    frozen = freeze(add_up(counts for step in past for counts in (step.chosen, step.others)), plan)
    if not past:
        return Calibration(lacking="there is no history of stable"), None
    if frozen is None:
        return Calibration(lacking=f"stable's history holds fewer than {plan.freeze_requests:,} requests"), None
    windows = [_window(step) for step in past if step.both]
    if len(windows) < FEWEST_WINDOWS:
        why = (
            "stable has one server: nothing to compare it with"
            if not windows
            else f"stable's history has {len(windows)} windows; {FEWEST_WINDOWS} are needed"
        )
        return Calibration(lacking=why), frozen
    return Calibration(noise=_noise(windows, plan, frozen), windows=len(windows)), frozen


def _steps(samples: Sequence[tuple[float, Readings]]) -> list[_Past]:
    """Differences between neighbours; the server is chosen by how often and under which name it is there, never by its numbers."""
    present = Counter(name for _, readings in samples for name in readings)
    chosen = min(present, key=lambda name: (-present[name], name), default="")
    return [_step(chosen, before, now) for before, now in pairwise(samples) if now[0] > before[0]]


def _step(chosen: str, before: tuple[float, Readings], now: tuple[float, Readings]) -> _Past:
    one, rest = (
        tuple({n: r for n, r in readings.items() if (n == chosen) is mine} for _, readings in (before, now)) for mine in (True, False)
    )
    ours, theirs = change(*one), change(*rest)
    both = bool(one[0] and one[1] and rest[0] and rest[1]) and not ours.restarted
    share = 1.0 / len(now[1]) if ours.whole and theirs.whole else None
    return _Past(since=before[0], until=now[0], share=share, chosen=ours.counts, others=theirs.counts, both=both)


def _window(step: _Past) -> Window:
    return Window(step.since, step.until, step.share, settled=True, warm=True, frozen=True, stable=step.others, canary=step.chosen)


def _noise(windows: Sequence[Window], plan: JudgePlan, frozen: Frozen) -> dict[str, Noise]:
    step = max(sum(window.until - window.since for window in windows) / len(windows), 1.0)
    found = _of_rates(windows, step, plan, frozen)
    if plan.latency and frozen.latency:
        found |= _of_latency(windows, plan, plan.latency, frozen, step)
    for row in mean_rows(plan, frozen):
        found |= _of_one(row.name, _added(windows, Means(plan, row, {})), step, row.wander)
    return found


def _of_latency(windows: Sequence[Window], plan: JudgePlan, latency: LatencyPlan, frozen: Frozen, step: float) -> dict[str, Noise]:
    """Weighed twice: how much a window may weigh depends on the wander that the windows show."""
    unweighted = {latency_row.NAME: Noise((0.0, 0.0), (0.0, 0.0), 0.0, 0.0)}
    wander = float(_wander(_added(windows, Shift(plan, latency, frozen, unweighted)), LATENCY_WANDER)[0])
    known = {latency_row.NAME: Noise((0.0, 0.0), (0.0, 0.0), 0.0, wander)}
    return _of_one(latency_row.NAME, _added(windows, Shift(plan, latency, frozen, known)), step, wander)


def _added(windows: Sequence[Window], row: Shift | Means) -> Series:
    for window in windows:
        row.add(window)
    return row.series()


def _of_one(name: str, series: Series, step: float, wander: float) -> dict[str, Noise]:
    if series.windows[0] < FEWEST_WINDOWS:
        return {}
    first, second = _excess(series, step)[:, 0].tolist()
    return {name: Noise(excess=(first, second), fixed=(0.0, 0.0), size=float(series.size[0]) / step, wander=wander)}


def _wander(series: Series, assumed: Any) -> Array:
    """Shape (criteria,): from windows that all weigh 1, by how much more their scores vary than chance, rounded up by half a standard error."""
    squares = np.maximum(np.sum(series.information**2, axis=1), SMALLEST_EXPOSURE)
    beyond = np.maximum(np.sum(series.residuals**2, axis=1) - series.chance, 0.0)
    doubt = 0.5 * series.chance * np.sqrt(2.0 / np.maximum(series.windows, 1))
    result: Array = np.clip(np.sqrt((beyond + doubt) / squares), LEAST_WANDER * assumed, assumed)
    return result


def _of_rates(windows: Sequence[Window], step: float, plan: JudgePlan, frozen: Frozen) -> dict[str, Noise]:
    every = rows(plan, frozen)
    by_window = [count(every, window, frozen) for window in windows]
    counted = np.array([[quadruple is not None for quadruple in one] for one in by_window]).T
    raw = np.array([[quadruple or NOTHING for quadruple in one] for one in by_window]).transpose(2, 1, 0)
    assumed = np.array([row.wander for row in every])
    routed = np.array([row.kind is Kind.TRAFFIC for row in every])  # by a router that the history knows nothing of
    wander = np.where(routed, assumed, _wander(Series.of_rates(raw, counted), assumed))
    series = Series.of_rates(raw * down_weight(raw[0] + raw[2], raw[1], raw[3], wander[:, None]), counted)
    excess = _excess(series, step)
    return {
        row.name: _of_rate(row, raw[:, i, counted[i]], excess[:, i], series, i, float(wander[i]), step)
        for i, row in enumerate(every)
        if series.windows[i] >= FEWEST_WINDOWS
    }


def _of_rate(row: Row, counted: Array, pair: Array, series: Series, i: int, wander: float, step: float) -> Noise:
    """Measured where there were events enough, else bounded from above by the bursts of the other servers' events."""
    known = min(float(series.chance[i]) / WELL_KNOWN, 1.0)
    burst = _burst(row, counted)
    first, second = (known * excess + (1.0 - known) * max(burst, excess) for excess in pair.tolist())
    # Bursts of errors do not grow with a window's exposure; rates that wander do.
    bursts = burst if row.kind in (Kind.ERRORS, Kind.OUTAGE) else 0.0
    fixed = (float(np.clip(bursts, 0.0, first)), float(np.clip(bursts, 0.0, second)))
    return Noise(excess=(first, second), fixed=fixed, size=float(series.size[i]) / step, wander=wander)


def _excess(series: Series, step: float) -> Array:
    """Shape (2, criteria): the measured variance beyond chance, made larger by half its own relative standard error."""
    there = series.chance > 0
    ratio = np.where(there, observed(series, step) / np.where(there, series.chance, 1.0), 1.0)
    error = np.array([[math.sqrt((4 * lag / 3 + 1) / max(windows, 1)) for windows in series.windows.tolist()] for lag in lags(step)])
    result: Array = np.maximum((ratio - 1.0) * (1.0 + 0.5 * error), LEAST_EXCESS)
    return result


def _burst(row: Row, counted: Array) -> float:
    """By how much the other servers' events vary from window to window beyond chance: the shared rate only adds to it."""
    events, exposure = counted[:2] if row.swapped else counted[2:]
    there = (exposure[:-1] > 0) & (exposure[1:] > 0)
    if not there.any():
        return max(row.burst, 1.0) - 1.0
    before, after = events[:-1][there], events[1:][there]
    growth = exposure[1:][there] / exposure[:-1][there]
    index = float(np.sum((after - growth * before) ** 2) / max(np.sum(after + growth**2 * before), 1.0))
    return index - 1.0 if events.sum() >= WELL_KNOWN else max(index, row.burst) - 1.0
