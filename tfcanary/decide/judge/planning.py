"""Forecasts how long a release takes: the judge's own sums on expected counts, before any traffic moves.

The first poll at which the judge would stop on expected counts is about the median of the time that it takes; one release of ten takes
twice as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tfcanary.core.plan import Direction, JudgePlan, Plan
from tfcanary.decide.judge.expected_counts import Baseline, ExpectedCriteria, Regression
from tfcanary.decide.judge.spread import chance_alpha
from tfcanary.decide.stats.logarithms import Array, log_sum_exp

HORIZON = 30 * 86400.0
"""Seconds: what takes longer than this month is reported as never."""
HEALTHY = Regression()
"""A canary exactly like stable."""
NAMED_REGRESSIONS = (
    Regression("errors x2", errors=2.0),
    Regression("errors x10", errors=10.0),
    Regression("p50 +10 %", latency=1.1),
    Regression("p99 +50 %", tail=1.5),
    Regression("quality -1 %", quality=0.99),
)
"""The regressions for which every plan is forecast."""
SERVERS = (1, 2, 4, 8, 16)
"""Numbers of canary servers for which the time to a promotion is forecast."""
BETTER = (10, 25, 50)
"""Weights that are suggested instead of one that is too small; above half, stable becomes the track with too little traffic."""

ASSUMED = "the spread between servers is assumed"


def named_regressions(plan: JudgePlan) -> tuple[Regression, ...]:
    """Return NAMED_REGRESSIONS, and each of the user's gating objectives at its margin."""
    gating = sorted((name, one) for name, one in (plan.objectives or {}).items() if one.gating)
    factors = {name: 1 - one.margin if one.direction is Direction.HIGHER else 1 + one.margin for name, one in gating}
    own = (Regression(f"{name} {100 * (factor - 1):+.3g} %", objectives={name: factor}) for name, factor in factors.items())
    return (*NAMED_REGRESSIONS, *own)


@dataclass(frozen=True, slots=True)
class ExpectedStop:
    """When the judge would stop; both fields are None where it never would."""

    seconds: float | None
    """Seconds since the first canary traffic."""
    requests: float | None
    """Number of the canary's requests until then."""


NEVER = ExpectedStop(None, None)


@dataclass(frozen=True, slots=True)
class SchedulePart:
    """A part of a schedule: one weight for some time."""

    weight: int
    """The canary's weight in percent."""
    seconds: float = 0.0
    """Duration of the part; the last part of a schedule has no end, whatever stands here."""


@dataclass(frozen=True, slots=True)
class StageForecast:
    """One stage: how long it would take if the whole release were watched at its weight, and what that means."""

    weight: int
    promote: ExpectedStop
    rollback: Mapping[str, ExpectedStop]
    """Time to rollback by the name of the regression, without those that the plan cannot detect."""
    minimum: float
    maximum: float
    """Minimum and maximum time that the plan gives the stage, in seconds."""
    decides: bool
    """Whether the stage can do its task in its time: detect something, and at the last stage promote a healthy canary."""
    sentences: tuple[str, ...]
    """What people should know of the stage; the first ones say why it cannot decide."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """How long a release will probably take."""

    baseline: Baseline
    stages: tuple[StageForecast, ...]
    promote: ExpectedStop
    """Time to the promotion of a healthy canary along the stages of the plan, each of which ends after its minimum time."""
    rollback: Mapping[str, ExpectedStop]
    """Time to rollback of each named regression along the stages; without a time where it is not found before the release ends."""
    seconds: float
    """The longest time that the release is watched before it ends undecided."""
    undetectable: tuple[str, ...]
    """Names of the regressions that the plan, or stable's metrics, cannot detect."""
    by_servers: Mapping[int, ExpectedStop] = field(default_factory=dict)
    """Time to the promotion of a healthy canary along the stages, by the number of its servers; empty where the spread is not known."""

    @property
    def decides(self) -> bool:
        """Whether every stage can decide in its time."""
        return all(stage.decides for stage in self.stages)


class Forecaster:
    """Computes expected times to a decision along a schedule of weights."""

    def __init__(self, plan: JudgePlan, baseline: Baseline, poll: float, even: bool = False, servers: int = 1) -> None:
        """`servers` is the number of the canary's servers; `even` as in `ExpectedCriteria`."""
        self.rate = baseline.rate
        self._plan, self._poll = plan, poll
        self.expected = ExpectedCriteria(plan, baseline, poll, even, servers)

    def rollback(self, schedule: Sequence[SchedulePart], regression: Regression, horizon: float = HORIZON) -> ExpectedStop:
        """Return when a canary with this regression would be rolled back, NEVER where not within `horizon` seconds."""
        convicting = [one for one in self.expected.criteria(_shares(schedule), regression) if one.alpha_part > 0]
        bound = -math.log(chance_alpha(self._plan.alpha))

        def rolls_back(polls: int) -> bool:
            sums = [math.log(one.alpha_part) + one.scores(self._counted(schedule, one.starts, polls))[0] for one in convicting]
            return bool(log_sum_exp(np.array(sums)) >= bound)

        return self._first(schedule, rolls_back, horizon)

    def promote(self, schedule: Sequence[SchedulePart], least: float = 0.0, horizon: float = HORIZON) -> ExpectedStop:
        """Return when a canary exactly like stable would be promoted, not before `least` seconds; NEVER where not within `horizon` seconds."""
        criteria = self.expected.criteria(_shares(schedule), HEALTHY)
        bound = -math.log(chance_alpha(self._plan.alpha_promote))
        earliest = max(self._plan.minimum_time.total_seconds(), least)

        def passes(polls: int) -> bool:
            ripe = polls * self._poll >= earliest and self._requests(schedule, polls) >= self._plan.minimum_requests
            return ripe and all(one.scores(self._counted(schedule, one.starts, polls))[1] >= bound for one in criteria)

        return NEVER if self.expected.missing else self._first(schedule, passes, horizon)

    def _first(self, schedule: Sequence[SchedulePart], stops: Callable[[int], bool], horizon: float) -> ExpectedStop:
        low, high = 0, math.floor(horizon / self._poll)
        if high < 1 or not stops(high):
            return NEVER
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if stops(middle) else (middle, high)
        return ExpectedStop(high * self._poll, self._requests(schedule, high))

    def _requests(self, schedule: Sequence[SchedulePart], polls: int) -> float:
        return float(self._counted(schedule, 0.0, polls) @ _shares(schedule)) * self._poll * self.rate

    def _counted(self, schedule: Sequence[SchedulePart], starts: float, polls: int) -> Array:
        """Return how many windows of each part a criterion counts after so many polls, shape (parts,)."""
        ends = np.cumsum([round(part.seconds / self._poll) for part in schedule[:-1]])
        edges = np.clip(np.array([0, *np.minimum(ends, polls), polls]), math.ceil(starts / self._poll), max(polls, 1))
        counted: Array = np.maximum(np.diff(edges), 0).astype(float)
        return counted


def _shares(schedule: Sequence[SchedulePart]) -> Array:
    return np.array([part.weight / 100 for part in schedule])


def forecast(plan: Plan, baseline: Baseline) -> Forecast:
    """Return the forecast of a plan, given stable and the traffic, with one canary server."""
    poll = max(plan.stage.poll.total_seconds(), baseline.every)
    forecaster = Forecaster(plan.judge, baseline, poll, plan.deploy.baseline)
    every = named_regressions(plan.judge)
    detectable = [regression for regression in every if forecaster.expected.can_detect(regression)]
    ramp = [SchedulePart(weight, plan.times(number).minimum.total_seconds()) for number, weight in enumerate(plan.weights)]
    whole = _seconds_before(plan, len(ramp) - 1) + plan.times(len(ramp) - 1).maximum.total_seconds()
    least = _seconds_before(plan, len(ramp))
    promote = forecaster.promote(ramp, least)
    more = SERVERS if baseline.spread is not None else ()
    by_servers = {servers: Forecaster(plan.judge, baseline, poll, plan.deploy.baseline, servers).promote(ramp, least) for servers in more}
    rollback = {one.name: forecaster.rollback(ramp, one, whole) for one in detectable}
    stages = tuple(_stage(forecaster, plan, number, detectable, promote, rollback) for number in range(len(ramp)))
    undetectable = tuple(one.name for one in every if one not in detectable)
    return Forecast(baseline, stages, promote, rollback, whole, undetectable, by_servers)


def _seconds_before(plan: Plan, number: int) -> float:
    """The minimum times of all stages before this one together, in seconds."""
    return sum(plan.times(earlier).minimum.total_seconds() for earlier in range(number))


def _stage(
    forecaster: Forecaster,
    plan: Plan,
    number: int,
    detectable: Sequence[Regression],
    promote: ExpectedStop,
    rollback: Mapping[str, ExpectedStop],
) -> StageForecast:
    alone = [SchedulePart(plan.weights[number])]
    times = {one.name: forecaster.rollback(alone, one) for one in detectable}
    minimum, maximum = plan.times(number).minimum.total_seconds(), plan.times(number).maximum.total_seconds()
    last = plan.is_last(number)
    wrong = list(_late_sentences(forecaster, plan, promote) if last else _blind_sentences(forecaster, plan, number, times, rollback))
    unfound = [name for name, stop in rollback.items() if stop.seconds is None]
    note = [f"not found before the release ends, more often than not: {', '.join(unfound)}"] if last and unfound else []
    return StageForecast(
        plan.weights[number], forecaster.promote(alone), times, minimum, maximum, decides=not wrong, sentences=(*wrong, *note)
    )


def _late_sentences(forecaster: Forecaster, plan: Plan, promote: ExpectedStop) -> Iterator[str]:
    """Yield what to say where the last stage cannot promote a healthy canary in its time."""
    last = len(plan.weights) - 1
    before, left = _seconds_before(plan, last), plan.times(last).maximum.total_seconds()
    where = f"at {forecaster.rate:g} requests/s and {plan.weights[-1]} %"
    if forecaster.expected.missing:
        yield f"stable exports no {' and no '.join(forecaster.expected.missing)}, which the plan asks for: no canary can be promoted"
    elif promote.seconds is None:
        yield f"{where} no canary would be promoted within a month{_alternative(forecaster, plan.weights[-1], left)}"
    elif promote.seconds > before + left:
        needs = f"{where} this needs {duration_text(promote.seconds - before)} to promote a healthy canary, and ends after {duration_text(left)}"
        yield f"{needs}{_alternative(forecaster, plan.weights[-1], left)}, or raise stage.maximum"


def _blind_sentences(
    forecaster: Forecaster, plan: Plan, number: int, times: Mapping[str, ExpectedStop], rollback: Mapping[str, ExpectedStop]
) -> Iterator[str]:
    """Yield what to say where an earlier stage ends before any named regression could show."""
    weight, minimum = plan.weights[number], plan.times(number).minimum.total_seconds()
    if weight == 0 or any(stop.seconds is not None and stop.seconds <= _seconds_before(plan, number + 1) for stop in rollback.values()):
        return
    first = min(((stop.seconds, name) for name, stop in times.items() if stop.seconds is not None), default=None)
    soonest = f"the first, {first[1]}, needs {duration_text(first[0])}" if first else "none would within a month"
    yield (
        f"at {forecaster.rate:g} requests/s and {weight} % none of the regressions shows before this stage advances after "
        f"{duration_text(minimum)}: {soonest}; raise the weight or stage.minimum"
    )


def servers_sentence(forecast: Forecast) -> str:
    """Return the time to the promotion of a healthy canary by the number of its servers; empty where the spread is not known."""
    times = [
        f"{servers} {duration_text(stop.seconds) if stop.seconds is not None else 'never'}" for servers, stop in forecast.by_servers.items()
    ]
    if not times:
        return ""
    latency = (forecast.baseline.spread or {}).get("latency")
    differ = f"stable's {latency.servers} servers differ by {100 * latency.deviation:.2g} % in latency" if latency else ASSUMED
    return f"a healthy canary is promoted by number of its servers after: {', '.join(times)} ({differ})"


def _alternative(forecaster: Forecaster, weight: int, left: float) -> str:
    """Return the end of a sentence: the smallest larger weight at which a healthy canary is promoted in the time, or the fastest one."""
    times = {more: forecaster.promote([SchedulePart(more)]).seconds for more in BETTER if more > weight}
    possible = {more: seconds for more, seconds in times.items() if seconds is not None}
    enough = [more for more, seconds in possible.items() if seconds <= left]
    compare = "compare predictions with the same requests"
    if not possible:
        return f"; {compare}"
    more = enough[0] if enough else min(possible, key=lambda one: possible[one])
    return f"; use {more} % ({duration_text(possible[more])}), or {compare}"


def duration_text(seconds: float) -> str:
    """Return a time in about two digits: 40 s, 5 min, 1.5 h, 3 d."""
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length or (unit != "d" and seconds >= length):
            return f"{float(f'{seconds / length:.2g}'):g} {unit}"
    return f"{seconds:.0f} s"
