"""How long a release will still take: bounds from the plan, and a forecast from the traffic so far. This module is pure."""

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
FEWEST = 2
"""Times `stage.poll` between the first and the last poll, from which on the traffic's rate is computed."""


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """The time that is left of the stage that is watched, and of the release."""

    least: timedelta
    """The time before which the stage does not end, except by a rollback."""
    most: timedelta
    """The time after which the stage ends, decided or not."""
    later: int
    """The number of stages after this one."""
    minimum: timedelta
    """The shortest minimum time of a later stage."""
    further: timedelta
    """The minimum times of all later stages together."""
    end: timedelta
    """The time until the last stage must end, where every earlier stage ends as soon as it may."""
    usual: timedelta | None
    """The time until a canary exactly like stable is promoted, at the traffic so far; NEVER: not within a month; None: unknown."""
    waits: str
    """What the stage waits for once its least time is over."""


def time_left(release: Release, polls: Timeline | None, now: datetime) -> TimeLeft | None:
    """Return how much time is left; None where no stage is being watched, because gates and starts take an unknown time."""
    over = any(verdict.stage == release.stage for verdict in release.watched)
    if release.state is not State.WATCHED or release.stage_began is None or release.stage < 0 or over:
        return None
    stage, last = release.plan.times(release.stage), release.plan.is_last(release.stage)
    spent = max(now - release.stage_began - release.standing(now), NONE)
    bake = release.plan.judge.minimum_time - (now - (release.first_traffic or now)) if last else NONE
    least, most = max(stage.minimum - spent, bake, NONE), max(stage.maximum - spent, NONE)
    later = [release.plan.times(number) for number in range(release.stage + 1, len(release.plan.weights))]
    further = sum((one.minimum for one in later), NONE)
    end = most if last else least + further - later[-1].minimum + later[-1].maximum
    usual = _usual(release, polls, now) if polls else None
    soonest = min((one.minimum for one in later), default=stage.minimum)
    return TimeLeft(min(least, most), most, len(later), soonest, further, end, usual, _waits(release, polls, last))


def _waits(release: Release, polls: Timeline | None, last: bool) -> str:
    if last:
        return "once every criterion is proven"
    requests = timeline.canary_requests_since(polls or Timeline(), release.stage_began or release.began)
    return "any moment now" if requests or release.weight == 0 else "once the canary gets a request"


def bounds(left: TimeLeft) -> str:
    """Return the certain bounds as text: `at least 2 min, at most 55 min; then 1 more stage of at least 5 min`."""
    sooner = f"at least {_rounded(left.least)}" if left.least > NONE else left.waits
    later = f"; then {left.later} more stage{'s' if left.later > 1 else ''} of at least {duration(left.minimum)}" if left.later else ""
    return f"{sooner}, at most {_rounded(left.most)}{later}"


def forecast(left: TimeLeft) -> str:
    """Return the probable time of the promotion as text; empty where there was too little traffic to forecast."""
    if left.usual is None:
        return ""
    if left.usual > left.end:
        return "at this traffic probably not in time, however good it is"
    sooner = left.least + left.further
    if left.usual <= NONE and sooner <= NONE:
        return "overdue: the traffic is noisier than a forecast assumes"
    return f"probably in {_rounded(max(left.usual, sooner))}, if it is as good as stable"


def _rounded(time: timedelta) -> str:
    """A time in whole seconds, in tens of seconds from two minutes on: more precision would be false."""
    seconds = time.total_seconds()
    return duration(round(seconds) if seconds < 120 else 10 * round(seconds / 10))


def _usual(release: Release, polls: Timeline, now: datetime) -> timedelta | None:
    """The field `usual` of TimeLeft: counted from the first traffic on, along the stages as they really were."""
    points = polls.points
    if not points or release.first_traffic is None or release.weight == 0:
        return None
    seen = points[-1].at - points[0].at
    if seen < FEWEST * release.plan.stage.poll:
        return None
    rate = (points[-1].stable_requests + points[-1].canary_requests) / seen.total_seconds()
    if rate <= 0:
        return None
    begins = {point.stage: point.at for point in reversed(points)}
    lasted = tuple(round((later - sooner).total_seconds()) for sooner, later in pairwise(begins[stage] for stage in sorted(begins)))
    whole = _promotion_time(codec.dumps(release.plan), float(f"{rate:.2g}"), lasted)
    return NEVER if whole is None else max(timedelta(seconds=whole) - (now - release.first_traffic), NONE)


@lru_cache(maxsize=16)
def _promotion_time(document: str, rate: float, lasted: tuple[int, ...]) -> float | None:
    """Seconds from the first traffic to the promotion, None where it takes more than a month.

    The results are cached, because one forecast takes a tenth of a second. So the plan comes as a document, which can be hashed.
    """
    plan: Plan = codec.loads(Plan, document, at="plan")
    assumed = baseline.assume(plan.judge, rate, None).baseline
    forecaster = Forecaster(plan.judge, assumed, plan.stage.poll.total_seconds(), plan.deploy.baseline)
    minimums = [plan.times(number).minimum.total_seconds() for number in range(len(plan.weights))]
    spent = [*lasted, *minimums[len(lasted) :]]
    ramp = [SchedulePart(weight, time) for weight, time in zip(plan.weights, spent, strict=False)]
    return forecaster.promote(ramp, least=sum(part.seconds for part in ramp[:-1]) + minimums[-1]).seconds
