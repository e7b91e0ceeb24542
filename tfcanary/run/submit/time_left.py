"""How long a release will still take, as far as anybody can know: bounds from the plan, and a forecast from the traffic so far. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from tfcanary.core import codec, timeline
from tfcanary.core.plan import Plan
from tfcanary.core.record import Release, State
from tfcanary.core.timeline import Timeline
from tfcanary.decide.judge.planning import Forecaster, SchedulePart
from tfcanary.look.evaluate import baseline
from tfcanary.report.numbers import duration

NONE, NEVER = timedelta(), timedelta.max
FEWEST = 3
"""Polls from which traffic has a rate."""


@dataclass(frozen=True, slots=True)
class Left:
    """Of the stage that is watched, and of the release."""

    least: timedelta
    """The stage is not left sooner, but for a rollback."""
    most: timedelta
    """It ends then at the latest, decided or not."""
    later: int
    """Stages after this one."""
    minimum: timedelta
    """Of each of them."""
    end: timedelta
    """The last stage ends then, where every earlier one is left as soon as it may be."""
    usual: timedelta | None
    """Until a canary exactly like stable is promoted, at the traffic so far; NEVER: not within a month; None: nobody knows."""
    waits: str
    """For what the stage waits when its least time is over."""


def left(release: Release, seen: Timeline | None, now: datetime) -> Left | None:
    """None where no stage is being watched: nobody knows how long a gate or a start takes."""
    over = any(verdict.stage == release.stage for verdict in release.watched)
    if release.state is not State.WATCHED or release.stage_began is None or release.stage < 0 or over:
        return None
    stage, spent, last = (
        release.plan.stage,
        max(now - release.stage_began - release.waiting(now), NONE),
        release.plan.is_last(release.stage),
    )
    bake = release.plan.judge.minimum_time - (now - (release.first_traffic or now)) if last else NONE
    least, most = max(stage.minimum - spent, bake, NONE), max(stage.maximum - spent, NONE)
    later = len(release.plan.weights) - 1 - release.stage
    end = most if last else least + (later - 1) * stage.minimum + stage.maximum
    usual = _usual(release, seen, now) if seen else None
    return Left(min(least, most), most, later, stage.minimum, end, usual, _waits(release, seen, last))


def _waits(release: Release, seen: Timeline | None, last: bool) -> str:
    if last:
        return "once every criterion is proven"
    heard = timeline.canary_requests_since(seen or Timeline(), release.stage_began or release.began)
    return "any moment now" if heard or release.weight == 0 else "once the canary hears a request"


def bounds(left: Left) -> str:
    """What is certain: `at least 2 min, at most 55 min; then 1 more stage of at least 5 min`."""
    sooner = f"at least {_said(left.least)}" if left.least > NONE else left.waits
    later = f"; then {left.later} more stage{'s' if left.later > 1 else ''} of at least {duration(left.minimum)}" if left.later else ""
    return f"{sooner}, at most {_said(left.most)}{later}"


def forecast(left: Left) -> str:
    """What is likely; empty where there was too little traffic to tell."""
    if left.usual is None:
        return ""
    if left.usual > left.end:
        return "at this traffic probably not in time, however good it is"
    sooner = left.least + left.later * left.minimum
    if left.usual <= NONE and sooner <= NONE:
        return "overdue: the traffic is noisier than a forecast assumes"
    return f"probably in {_said(max(left.usual, sooner))}, if it is as good as stable"


def _said(time: timedelta) -> str:
    """Whole seconds, from two minutes on ten: nobody reads more."""
    seconds = time.total_seconds()
    return duration(round(seconds) if seconds < 120 else 10 * round(seconds / 10))


def _usual(release: Release, seen: Timeline, now: datetime) -> timedelta | None:
    """Counted from the first traffic on, along the stages as they really were."""
    points = seen.points
    if len(points) < FEWEST or release.first_traffic is None or release.weight == 0:
        return None
    seconds = (points[-1].at - points[0].at).total_seconds()
    rate = (points[-1].stable_requests + points[-1].canary_requests) / seconds if seconds > 0 else 0.0
    if rate <= 0:
        return None
    begins = {point.stage: point.at for point in reversed(points)}
    lasted = tuple(round((later - sooner).total_seconds()) for sooner, later in pairwise(begins[stage] for stage in sorted(begins)))
    whole = _promoted(codec.dumps(release.plan), float(f"{rate:.2g}"), lasted)
    return NEVER if whole is None else max(timedelta(seconds=whole) - (now - release.first_traffic), NONE)


@lru_cache(maxsize=16)
def _promoted(document: str, rate: float, lasted: tuple[int, ...]) -> float | None:
    """Seconds from the first traffic to the promotion; None: not within a month. Remembered: it is a tenth of a second's work."""
    plan: Plan = codec.loads(Plan, document, at="plan")
    known = baseline.assume(plan.judge, rate, None).baseline
    forecaster = Forecaster(plan.judge, known, plan.stage.poll.total_seconds())
    minimum = plan.stage.minimum.total_seconds()
    spent = [*lasted, *(minimum for _ in plan.weights[len(lasted) :])]
    ramp = [SchedulePart(weight, time) for weight, time in zip(plan.weights, spent, strict=False)]
    return forecaster.promote(ramp, least=sum(part.seconds for part in ramp[:-1]) + minimum).seconds
