"""Measures the stable track for planning: its request rate, error rate and latency, and how much these vary.

The figures come from the history of the metric source where it keeps one, else from two samples. What cannot be measured is
assumed, and a note names each assumption.
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
"""Seconds between the two samples where there is no history: about one scrape interval."""
ASSUMED_ERRORS = 0.001
ASSUMED_LATENCY = ((0.97, 40.0, 0.45), (0.03, 160.0, 0.50))
"""Lognormal parts of the assumed latency: share of requests, median in milliseconds, and standard deviation of the logarithm.

The judge compares ratios, so that only the spread matters.
"""
ASSUMED_QUALITY = (0.7, 0.04)
"""Assumed mean and variance of the quality of an answer."""
ASSUMED_EVENTS = ObjectiveLevel(0.05)
"""Assumed level of an objective that counts events: one event in twenty requests."""
ASSUMED_VALUES = ObjectiveLevel(1.0, variance=1.0)
"""Assumed level of an objective that is a mean: one value for each request, with a standard deviation as large as the mean."""
FEWEST_LATENCIES = 100
"""Smallest number of requests whose latency histogram is used."""


@dataclass(frozen=True, slots=True)
class PlanningBaseline:
    """The level of the stable track for planning, with notes about its source and its assumptions."""

    baseline: Baseline
    notes: tuple[str, ...]


def assume(plan: JudgePlan, rate: float, error_rate: float | None) -> PlanningBaseline:
    """The baseline from a given rate in requests per second and, where it is known, an error rate; the rest is assumed."""
    assumptions = ["no noise beyond chance", *(["latency spread like a usual model's"] if plan.latency else ())]
    assumptions += ["a per-request value of 0.7 with deviation 0.2"] if plan.quality else []
    assumptions += [f"{100 * ASSUMED_ERRORS:g} % errors"] if error_rate is None else []
    assumptions += (
        ["objectives of 5 events in 100 requests, means of values with a deviation as large as the mean"] if plan.objectives else []
    )
    kinds = {name: one.kind for name, one in (plan.objectives or {}).items()}
    baseline = Baseline(
        rate=rate,
        error_rate=ASSUMED_ERRORS if error_rate is None else error_rate,
        latency=_usual_latency() if plan.latency else (),
        latency_mean=_usual_mean() if plan.latency else None,
        quality=ASSUMED_QUALITY if plan.quality else None,
        objectives={name: ASSUMED_VALUES if kind is ObjectiveKind.MEAN else ASSUMED_EVENTS for name, kind in kinds.items()},
    )
    return PlanningBaseline(baseline, (f"assumed: {'; '.join(assumptions)}",))


def measure(platform: Platform, plan: Plan) -> PlanningBaseline:
    """The baseline from the stable track's own counters. Raises Unavailable where stable has counted no request."""
    now = platform.clock.now()
    history = list(metrics.history(platform.metrics, platform.model, now))
    counted, seconds = _over(history)
    if counted.requests > 0 and seconds > 0:
        calibration, _ = calibrate(history, plan.judge)
        notes = [f"stable's last {seconds / 3600:.2g} h: {counted.requests:,.0f} requests"]
        notes += [f"{calibration.lacking}; the judge's own assumptions of noise apply"] if calibration.lacking else []
        every = max(sample.every for _, sample in history)
        servers = max(len(history[-1][1].servers), 1)
        base = _baseline(counted, counted, seconds, calibration.noise)
        return PlanningBaseline(replace(base, every=every, servers=servers, spread=calibration.spread), tuple(notes))
    first = _sample(platform)
    platform.clock.sleep(BETWEEN)
    later = platform.clock.now()
    second = _sample(platform)
    counted, seconds = _over([(0.0, first), ((later - now).total_seconds(), second)])
    level = total(read(second) or {})
    if not counted.requests > 0:
        raise Unavailable(f"{platform.model}: stable counted no request in {BETWEEN:.0f} s: give the rate with --rate")
    note = f"two samples of stable, {seconds:.0f} s apart; there is no history, so the judge's own assumptions of noise apply"
    base = replace(_baseline(counted, level, seconds, {}), servers=max(len(second.servers), 1), spread={})
    return PlanningBaseline(base, (note,))


def _sample(platform: Platform) -> Sample:
    return platform.metrics.sample(Track.STABLE, platform.clock.now())


def _over(samples: Sequence[tuple[float, Sample]]) -> tuple[TrackCounts, float]:
    """The counts between the first and the last sample, and the seconds between them; samples without counters are left out."""
    readings = [(t, reading) for t, sample in samples if (reading := read(sample)) is not None and math.isfinite(t)]
    steps = [(after[0] - before[0], change(before[1], after[1]).counts) for before, after in pairwise(readings) if after[0] > before[0]]
    return add_up(counts for _, counts in steps), sum(seconds for seconds, _ in steps)


def _baseline(counted: TrackCounts, level: TrackCounts, seconds: float, noise: Mapping[str, Noise]) -> Baseline:
    """The baseline with the rate from the counts of so many seconds, and everything else from the counts `level`."""
    latency = tuple(level.latency.dense().tolist()) if level.latency else ()
    return Baseline(
        rate=counted.requests / seconds,
        error_rate=(level.failed + 0.5) / (level.requests + 1.0),
        latency=latency if sum(latency) >= FEWEST_LATENCIES else (),
        latency_mean=level.latency_mean,
        quality=_quality(level),
        noise=noise,
        objectives={name: one for name, sums in level.objectives.items() if (one := _level(sums, max(level.ok, 1.0))) is not None},
    )


def _level(sums: Sequence[float], answered: float) -> ObjectiveLevel | None:
    """The level of an objective from its sums; without a sum of squares the deviation is assumed as large as the mean."""
    total, number, *squares = sums
    if not (total > 0 and number > 0):
        return None
    mean = total / number
    spread = squares[0] / number - mean**2 if squares else 0.0
    return ObjectiveLevel(mean, number / answered, spread if spread > 0 else mean**2)


def _quality(level: TrackCounts) -> tuple[float, float] | None:
    """Mean and variance of the quality; without a sum of squares the variance of a yes or no, else the square of the mean."""
    if level.quality is None or not level.quality[2] > 0 or level.quality[0] == 0:
        return None
    summed, squares, number = level.quality
    mean = summed / number
    spread = squares / number - mean**2 if squares is not None else 0.0
    return mean, spread if spread > 0 else (mean * (1 - mean) if 0 < mean < 1 else mean**2)


def _usual_mean() -> float:
    """The mean of the assumed latency in microseconds."""
    return sum(share * 1000 * median * math.exp(spread**2 / 2) for share, median, spread in ASSUMED_LATENCY)


def _usual_latency() -> tuple[float, ...]:
    below = [
        sum(share * NormalDist(math.log(1000 * median), spread).cdf(math.log(bound)) for share, median, spread in ASSUMED_LATENCY)
        for bound in LATENCY_BOUNDS
    ]
    return tuple(1e6 * (high - low) for low, high in pairwise([0.0, *below, 1.0]))
