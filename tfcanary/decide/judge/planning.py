"""How long will it take? The judge's own sums on expected counts, before any traffic moves.

The first poll at which the judge would stop on expected counts is about the median of the time that it takes; one
release of ten takes twice as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfcanary.core.plan import Direction, JudgePlan, Plan
from tfcanary.decide.judge.expected_counts import Baseline, Expected, Regression
from tfcanary.decide.stats.logarithms import Array, log_sum_exp

HORIZON = 30 * 86400.0
"""Seconds: what takes more than a month is called never."""
HEALTHY = Regression()
NAMED = (
    Regression("errors x2", errors=2.0),
    Regression("errors x10", errors=10.0),
    Regression("p50 +10 %", latency=1.1),
    Regression("p99 +50 %", tail=1.5),
    Regression("quality -1 %", quality=0.99),
)
BETTER = (10, 25, 50)
"""Weights that are suggested instead of one that is too small; beyond half, stable becomes the track that hears too little."""


def named(plan: JudgePlan) -> tuple[Regression, ...]:
    """NAMED, and each gating objective of the user's at its margin."""
    gating = sorted((name, one) for name, one in (plan.objectives or {}).items() if one.gating)
    factors = {name: 1 - one.margin if one.direction is Direction.HIGHER else 1 + one.margin for name, one in gating}
    own = (Regression(f"{name} {100 * (factor - 1):+.3g} %", objectives={name: factor}) for name, factor in factors.items())
    return (*NAMED, *own)


@dataclass(frozen=True, slots=True)
class Outcome:
    """When the judge would stop; nothing where it never would."""

    seconds: float | None
    requests: float | None
    """The canary's until then."""


NEVER = Outcome(None, None)


@dataclass(frozen=True, slots=True)
class Part:
    """So long at one weight."""

    weight: int
    """The canary's, in percent."""
    seconds: float = 0.0
    """Of the last part of a schedule it does not matter: it goes on."""


@dataclass(frozen=True, slots=True)
class StageForecast:
    """One stage: how long it would take if the whole release were watched at its weight, and what that means."""

    weight: int
    promote: Outcome
    rollback: Mapping[str, Outcome]
    """By the name of the regression; what the plan cannot see is left out."""
    minimum: float
    maximum: float
    """Seconds that the plan gives it."""
    decides: bool
    """It can do in its time what it is there for: find something, and at the last stage promote a healthy canary."""
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Forecast:
    """A release, as long as it will probably take."""

    baseline: Baseline
    stages: tuple[StageForecast, ...]
    promote: Outcome
    """Of a healthy canary along the stages of the plan, each left after its minimum time."""
    rollback: Mapping[str, Outcome]
    """Of each named regression along the stages; what is not found before the release ends is there without a time."""
    seconds: float
    """The longest that the release is watched before it ends undecided."""
    unseen: tuple[str, ...]
    """Named regressions that the plan, or stable's metrics, cannot see."""

    @property
    def decides(self) -> bool:
        """Every stage can decide in its time."""
        return all(stage.decides for stage in self.stages)


class Forecaster:
    """Expected times to a decision along a schedule of weights."""

    def __init__(self, plan: JudgePlan, baseline: Baseline, poll: float) -> None:
        self.rate = baseline.rate
        self._plan, self._poll = plan, poll
        self.expected = Expected(plan, baseline, poll)

    def rollback(self, schedule: Sequence[Part], regression: Regression, horizon: float = HORIZON) -> Outcome:
        """When such a canary would be rolled back, at `horizon` seconds at the latest."""
        criteria = self.expected.criteria(_shares(schedule), regression)
        bound = -math.log(self._plan.alpha)

        def convicts(polls: int) -> bool:
            sums = [math.log(one.weight) + one.scores(self._counted(schedule, one.starts, polls))[0] for one in criteria]
            return bool(log_sum_exp(np.array(sums)) >= bound)

        return self._first(schedule, convicts, horizon)

    def promote(self, schedule: Sequence[Part], least: float = 0.0, horizon: float = HORIZON) -> Outcome:
        """When a canary exactly like stable would be promoted; not before `least` seconds, and at `horizon` at the latest."""
        criteria = self.expected.criteria(_shares(schedule), HEALTHY)
        bound = -math.log(self._plan.alpha_promote)
        earliest = max(self._plan.minimum_time.total_seconds(), least)

        def passes(polls: int) -> bool:
            ripe = polls * self._poll >= earliest and self._requests(schedule, polls) >= self._plan.minimum_requests
            return ripe and all(one.scores(self._counted(schedule, one.starts, polls))[1] >= bound for one in criteria)

        return NEVER if self.expected.missing else self._first(schedule, passes, horizon)

    def _first(self, schedule: Sequence[Part], stops: Callable[[int], bool], horizon: float) -> Outcome:
        low, high = 0, math.floor(horizon / self._poll)
        if high < 1 or not stops(high):
            return NEVER
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if stops(middle) else (middle, high)
        return Outcome(high * self._poll, self._requests(schedule, high))

    def _requests(self, schedule: Sequence[Part], polls: int) -> float:
        return float(self._counted(schedule, 0.0, polls) @ _shares(schedule)) * self._poll * self.rate

    def _counted(self, schedule: Sequence[Part], starts: float, polls: int) -> Array:
        """Windows of each part that a criterion counts, after so many polls."""
        ends = np.cumsum([round(part.seconds / self._poll) for part in schedule[:-1]])
        edges = np.clip(np.array([0, *np.minimum(ends, polls), polls]), math.ceil(starts / self._poll), max(polls, 1))
        counted: Array = np.maximum(np.diff(edges), 0).astype(float)
        return counted


def _shares(schedule: Sequence[Part]) -> Array:
    return np.array([part.weight / 100 for part in schedule])


def forecast(plan: Plan, baseline: Baseline) -> Forecast:
    """What to expect of a plan, with stable and the traffic as they are."""
    forecaster = Forecaster(plan.judge, baseline, max(plan.stage.poll.total_seconds(), baseline.every))
    every = named(plan.judge)
    seen = [regression for regression in every if forecaster.expected.shows(regression)]
    minimum, maximum = plan.stage.minimum.total_seconds(), plan.stage.maximum.total_seconds()
    ramp = [Part(weight, minimum) for weight in plan.weights]
    whole = minimum * (len(ramp) - 1) + maximum
    promote = forecaster.promote(ramp, least=minimum * len(ramp))
    rollback = {one.name: forecaster.rollback(ramp, one, whole) for one in seen}
    stages = tuple(_stage(forecaster, plan, number, seen, promote, rollback) for number in range(len(ramp)))
    unseen = tuple(one.name for one in every if one not in seen)
    return Forecast(baseline, stages, promote, rollback, whole, unseen)


def _stage(
    forecaster: Forecaster, plan: Plan, number: int, seen: Sequence[Regression], promote: Outcome, rollback: Mapping[str, Outcome]
) -> StageForecast:
    alone = [Part(plan.weights[number])]
    times = {one.name: forecaster.rollback(alone, one) for one in seen}
    minimum, maximum = plan.stage.minimum.total_seconds(), plan.stage.maximum.total_seconds()
    last = plan.is_last(number)
    wrong = list(_late(forecaster, plan, promote) if last else _blind(forecaster, plan, number, times, rollback))
    missed = [name for name, found in rollback.items() if found.seconds is None]
    told = [f"not found before the release ends, more often than not: {', '.join(missed)}"] if last and missed else []
    return StageForecast(
        plan.weights[number], forecaster.promote(alone), times, minimum, maximum, decides=not wrong, sentences=(*wrong, *told)
    )


def _late(forecaster: Forecaster, plan: Plan, promote: Outcome) -> Iterator[str]:
    """What is said where the last stage cannot promote a healthy canary in its time."""
    before = plan.stage.minimum.total_seconds() * (len(plan.weights) - 1)
    left = plan.stage.maximum.total_seconds()
    where = f"at {forecaster.rate:g} requests/s and {plan.weights[-1]} %"
    if forecaster.expected.missing:
        yield f"stable exports no {' and no '.join(forecaster.expected.missing)}, which the plan asks for: no canary can be promoted"
    elif promote.seconds is None:
        yield f"{where} no canary would be promoted within a month{_instead(forecaster, plan.weights[-1], left)}"
    elif promote.seconds > before + left:
        needs = f"{where} this needs {said(promote.seconds - before)} to promote a healthy canary, and ends after {said(left)}"
        yield f"{needs}{_instead(forecaster, plan.weights[-1], left)}, or raise stage.maximum"


def _blind(forecaster: Forecaster, plan: Plan, number: int, times: Mapping[str, Outcome], rollback: Mapping[str, Outcome]) -> Iterator[str]:
    """What is said where an earlier stage is left before any named regression could show."""
    weight, minimum = plan.weights[number], plan.stage.minimum.total_seconds()
    if weight == 0 or any(found.seconds is not None and found.seconds <= minimum * (number + 1) for found in rollback.values()):
        return
    first = min(((found.seconds, name) for name, found in times.items() if found.seconds is not None), default=None)
    soonest = f"the first, {first[1]}, needs {said(first[0])}" if first else "none would within a month"
    yield (
        f"at {forecaster.rate:g} requests/s and {weight} % none of the regressions shows before this stage advances after "
        f"{said(minimum)}: {soonest}; raise the weight or stage.minimum"
    )


def _instead(forecaster: Forecaster, weight: int, left: float) -> str:
    """The least of the larger weights at which a healthy canary is promoted in the time, or the best of them."""
    times = {more: forecaster.promote([Part(more)]).seconds for more in BETTER if more > weight}
    known = {more: seconds for more, seconds in times.items() if seconds is not None}
    enough = [more for more, seconds in known.items() if seconds <= left]
    compare = "compare predictions with the same requests"
    if not known:
        return f"; {compare}"
    more = enough[0] if enough else min(known, key=lambda one: known[one])
    return f"; use {more} % ({said(known[more])}), or {compare}"


def said(seconds: float) -> str:
    """A time in two digits or so: 40 s, 5 min, 1.5 h, 3 d."""
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length or (unit != "d" and seconds >= length):
            return f"{float(f'{seconds / length:.2g}'):g} {unit}"
    return f"{seconds:.0f} s"
