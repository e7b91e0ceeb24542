"""Stable as it is, for planning: how many requests, how many fail, how long they take, and how much all that wanders.

From its history where the metric source keeps one, else from two looks; what nobody can say is assumed, and named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import NormalDist

from tfcanary.core.domain import LATENCY_BOUNDS, Sample, Track
from tfcanary.core.errors import Unavailable
from tfcanary.core.plan import JudgePlan, ObjectiveKind, Plan
from tfcanary.core.ports import Platform
from tfcanary.decide.judge.calibration import calibrate
from tfcanary.decide.judge.counted_windows import TrackCounts, add_up, change, read, total
from tfcanary.decide.judge.dispersion import Noise
from tfcanary.decide.judge.expected_counts import Baseline, ObjectiveLevel
from tfcanary.look.evaluate import metrics

BETWEEN = 10.0
"""Seconds between two looks where there is no history: a scrape interval or so."""
ASSUMED_ERRORS = 0.001
ASSUMED_LATENCY = ((0.97, 40.0, 0.45), (0.03, 160.0, 0.50))
"""Share, median in ms and spread of log latency: most requests, and a slow few. Only the spread matters: the judge compares ratios."""
ASSUMED_QUALITY = (0.7, 0.04)
"""Mean and variance."""
ASSUMED_EVENTS = ObjectiveLevel(0.05)
ASSUMED_VALUES = ObjectiveLevel(1.0, variance=1.0)
"""Of the user's objectives: an event in twenty, and values that vary as much as they are large; one for each request."""
FEWEST_LATENCIES = 100
"""Requests from which a histogram has a shape."""


@dataclass(frozen=True, slots=True)
class Known:
    """What stable is like, and where that comes from."""

    baseline: Baseline
    notes: tuple[str, ...]


def assumed(plan: JudgePlan, rate: float, error_rate: float | None) -> Known:
    """From numbers that somebody gave; everything else is an assumption."""
    told = ["no noise beyond chance", *(["latency spread like a usual model's"] if plan.latency else ())]
    told += ["a per-request value of 0.7 with deviation 0.2"] if plan.quality else []
    told += [f"{100 * ASSUMED_ERRORS:g} % errors"] if error_rate is None else []
    told += ["objectives of 5 events in 100 requests, means of values that vary as much as they are large"] if plan.objectives else []
    kinds = {name: one.kind for name, one in (plan.objectives or {}).items()}
    baseline = Baseline(
        rate=rate,
        error_rate=ASSUMED_ERRORS if error_rate is None else error_rate,
        latency=_usual_latency() if plan.latency else (),
        quality=ASSUMED_QUALITY if plan.quality else None,
        objectives={name: ASSUMED_VALUES if kind is ObjectiveKind.MEAN else ASSUMED_EVENTS for name, kind in kinds.items()},
    )
    return Known(baseline, (f"assumed: {'; '.join(told)}",))


def look(platform: Platform, plan: Plan) -> Known:
    """From the stable track itself. Raises Unavailable where it has counted nothing by which to plan."""
    now = platform.clock.now()
    history = list(metrics.history(platform, now))
    counted, seconds = _over(history)
    if counted.requests > 0 and seconds > 0:
        calibration, _ = calibrate(history, plan.judge)
        told = [f"stable's last {seconds / 3600:.2g} h: {counted.requests:,.0f} requests"]
        told += [f"{calibration.lacking}; the judge's own assumptions of noise apply"] if calibration.lacking else []
        every = max(sample.every for _, sample in history)
        return Known(replace(_baseline(counted, counted, seconds, calibration.noise), every=every), tuple(told))
    first = _sample(platform)
    platform.clock.sleep(BETWEEN)
    later = platform.clock.now()
    second = _sample(platform)
    counted, seconds = _over([(0.0, first), ((later - now).total_seconds(), second)])
    level = total(read(second) or {})
    if not counted.requests > 0:
        raise Unavailable(f"{platform.model}: stable counted no request in {BETWEEN:.0f} s: give the rate with --rate")
    told = [f"two looks at stable, {seconds:.0f} s apart; no history, so that the judge's own assumptions of noise apply"]
    return Known(_baseline(counted, level, seconds, {}), tuple(told))


def _sample(platform: Platform) -> Sample:
    return platform.metrics.sample(Track.STABLE, platform.clock.now())


def _over(samples: Sequence[tuple[float, Sample]]) -> tuple[TrackCounts, float]:
    """All that was counted between neighbouring samples, and in how many seconds."""
    readings = [(t, seen) for t, sample in samples if (seen := read(sample)) is not None and math.isfinite(t)]
    steps = [(after[0] - before[0], change(before[1], after[1]).counts) for before, after in pairwise(readings) if after[0] > before[0]]
    return add_up(counts for _, counts in steps), sum(seconds for seconds, _ in steps)


def _baseline(counted: TrackCounts, level: TrackCounts, seconds: float, noise: Mapping[str, Noise]) -> Baseline:
    """The rate from what was counted in so many seconds, the rest from the level."""
    latency = tuple(level.latency.dense().tolist()) if level.latency else ()
    return Baseline(
        rate=counted.requests / seconds,
        error_rate=(level.failed + 0.5) / (level.requests + 1.0),
        latency=latency if sum(latency) >= FEWEST_LATENCIES else (),
        quality=_quality(level),
        noise=noise,
        objectives={name: one for name, told in level.objectives.items() if (one := _level(told, max(level.ok, 1.0))) is not None},
    )


def _level(told: Sequence[float], answered: float) -> ObjectiveLevel | None:
    """Of an objective from what was counted; of a mean without squares the values are taken to vary as much as they are large."""
    total, number, *squares = told
    if not (total > 0 and number > 0):
        return None
    mean = total / number
    spread = squares[0] / number - mean**2 if squares else 0.0
    return ObjectiveLevel(mean, number / answered, spread if spread > 0 else mean**2)


def _quality(level: TrackCounts) -> tuple[float, float] | None:
    """Mean and variance; where squares are not exported, of a yes or no, or as large as the mean's own square."""
    if level.quality is None or not level.quality[2] > 0 or level.quality[0] == 0:
        return None
    summed, squares, number = level.quality
    mean = summed / number
    spread = squares / number - mean**2 if squares is not None else 0.0
    return mean, spread if spread > 0 else (mean * (1 - mean) if 0 < mean < 1 else mean**2)


def _usual_latency() -> tuple[float, ...]:
    below = [
        sum(share * NormalDist(math.log(1000 * median), spread).cdf(math.log(bound)) for share, median, spread in ASSUMED_LATENCY)
        for bound in LATENCY_BOUNDS
    ]
    return tuple(1e6 * (high - low) for low, high in pairwise([0.0, *below, 1.0]))
