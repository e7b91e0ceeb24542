"""What the judge keeps of a watch besides the counts: time, who answers, restarts and silence; and when a window closes.

The judge's own time never runs backward. Where a clock steps back, no time passes at that poll, the counters are counted all the
same, and time goes on from there. A poll that repeats the last one changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tfcanary.core.domain import Sample
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge.counted_windows import ServerReadings, TrackChange, TrackCounts, change, read

EARLY = 0.9
"""Part of the time between two counts of the servers after which a poll is late enough: clocks are not exact."""
LONGEST_INTERVAL = 120.0
"""Seconds: the longest time between two counts for which a poll is postponed."""


@dataclass(frozen=True, slots=True)
class Poll:
    """The samples of the tracks at one time."""

    t: float
    """Seconds since the first canary traffic; the first poll has t = 0."""
    stable: Sample
    canary: Sample
    weight: int | None
    """The canary's configured share in percent, as read back from the router; None where it is unknown."""
    baseline: Sample | None = None
    """The sample of the baseline; None where no baseline has a share of the requests."""


@dataclass(frozen=True, slots=True)
class Window:
    """What both tracks counted between two polls at which both could be counted."""

    since: float
    """Start of the window in the judge's seconds."""
    until: float
    """End of the window in the judge's seconds."""
    share: float | None
    """The canary's configured share, 0 to 1, during the whole window.

    None where it is unknown or changed during the window, or where a server was added, removed or restarted.
    """
    settled: bool
    """The window began after the canary's first half minute (`judge.settle`)."""
    warm: bool
    """The window began after the canary's warm-up, so that its latency counts."""
    frozen: bool
    """The window began after stable's level was taken."""
    stable: TrackCounts
    """What all servers of the stable version counted, those of a baseline included."""
    canary: TrackCounts
    baseline: TrackCounts | None = None
    """What the baseline's servers counted, nothing where they did not answer; None where no baseline has a share of the requests."""
    stable_servers: int = 1
    """Number of the servers that the canary is compared with, the baseline's where there is one, that counted during the whole window."""
    canary_servers: int = 1
    """Number of the canary's servers that counted during the whole window, at least 1."""
    half_warm: bool = True
    """The window began after half of the canary's warm-up: its latency shows whether it is still falling."""
    warm_limit: float = 0.0
    """The time in the judge's seconds from which on a cold canary is no excuse any more (`judge.warmup_maximum`)."""

    @property
    def latency_control(self) -> TrackCounts:
        """What the canary's latency is compared with: the baseline, whose servers are as old and as busy; without one the stable track."""
        return self.stable if self.baseline is None else self.baseline


@dataclass(frozen=True, slots=True)
class Course:
    """What the judge keeps of the polls besides the windows."""

    now: float = 0.0
    """The judge's own time in seconds."""
    late: float = 0.0
    """Seconds by which the judge's time is ahead of the polls' clock, which has stepped back by so much."""
    seen: float | None = None
    """The last time at which the canary answered, or at which stable did not answer either; None before the first poll."""
    born: float | None = None
    """The time at which the canary first answered."""
    warm_from: float = 0.0
    """The time from which windows count for latency."""
    closed: float | None = None
    """The last time at which both tracks were counted. The present window began then, with the readings and the weight below."""
    weight: int | None = None
    stable: ServerReadings = field(default_factory=dict)
    canary: ServerReadings = field(default_factory=dict)
    baseline: ServerReadings = field(default_factory=dict)
    """Empty where no baseline has a share of the requests, or its servers did not answer."""
    answered: float = 0.0
    """Number of requests that stable's and the baseline's servers had answered since they started, at the last poll at which stable was up."""
    stable_up: bool = False
    canary_up: bool = False
    fresh: bool = False
    """The last poll closed a window, so that there is something new to decide on."""
    stable_restarts: Mapping[str, int] = field(default_factory=dict)
    canary_restarts: Mapping[str, int] = field(default_factory=dict)
    stable_fallen: ServerReadings = field(default_factory=dict)
    canary_fallen: ServerReadings = field(default_factory=dict)
    baseline_fallen: ServerReadings = field(default_factory=dict)
    """Readings, before their decrease, of the servers that counted less at the end of the last window: they may jump back."""
    silent: float = 0.0
    """Seconds of windows with a known split in which the canary has counted no request, since its last request."""
    expected: float = 0.0
    """Number of requests that the canary should have counted in these seconds."""


def is_repeat(course: Course, poll: Poll) -> bool:
    """Return whether the poll is the last one delivered again: no time has passed and nothing was counted."""
    counted = (read(poll.stable), read(poll.canary), read_baseline(poll))
    return _clock(course, poll.t)[0] == course.closed and counted == (course.stable, course.canary, course.baseline)


def is_too_soon(course: Course, poll: Poll) -> bool:
    """Return whether both tracks answer, but some server cannot have been counted again since the window began.

    Such a window would hold new counts of some servers and none of others.
    """
    every = max(sample.every for sample in (poll.stable, poll.canary, poll.baseline) if sample is not None)
    if course.closed is None or not (math.isfinite(every) and every > 0):
        return False
    since = _clock(course, poll.t)[0] - course.closed
    return since < EARLY * min(every, LONGEST_INTERVAL) and read(poll.stable) is not None and read(poll.canary) is not None


def take_poll(course: Course, poll: Poll, plan: JudgePlan, frozen: bool) -> tuple[Course, Window | None]:
    """Return the course after a poll, and the window that the poll closes, if it closes one.

    `frozen` says whether stable's level has been taken.
    """
    stable, canary, baseline = read(poll.stable), read(poll.canary), read_baseline(poll)
    course = _with_poll(course, poll, stable is not None, canary is not None, plan)
    if stable is not None:
        course = replace(course, answered=sum(reading.ok for reading in (*stable.values(), *baseline.values())))
    if stable is None or canary is None:
        return course, None
    start, before = course.closed, course
    course = replace(course, closed=course.now, weight=_weight(poll.weight), stable=stable, canary=canary, baseline=baseline)
    if start is None:
        return course, None
    stable_change, canary_change = change(before.stable, stable, before.stable_fallen), change(before.canary, canary, before.canary_fallen)
    baseline_change = change(before.baseline, baseline, before.baseline_fallen)
    whole = stable_change.whole and canary_change.whole and baseline_change.whole and (poll.baseline is None or bool(baseline))
    course = _with_restarts(course, stable_change, canary_change, baseline_change, plan)
    course = replace(
        course,
        stable_fallen={name: before.stable[name] for name in stable_change.decreased},
        canary_fallen={name: before.canary[name] for name in canary_change.decreased},
        baseline_fallen={name: before.baseline[name] for name in baseline_change.decreased},
    )
    window = Window(
        since=start,
        until=course.now,
        share=_share(before.weight, course.weight) if whole else None,
        settled=start >= (course.born or 0.0) + plan.settle.total_seconds(),
        warm=start >= course.warm_from,
        frozen=frozen,
        stable=stable_change.counts.plus(baseline_change.counts),
        canary=canary_change.counts,
        baseline=None if poll.baseline is None else baseline_change.counts,
        stable_servers=max((stable_change if poll.baseline is None else baseline_change).servers, 1),
        canary_servers=max(canary_change.servers, 1),
        half_warm=start >= course.warm_from - 0.5 * plan.warmup.total_seconds(),
        # A baseline is as new as the canary, so that beside it being new is no excuse.
        warm_limit=course.warm_from + (plan.warmup_maximum - plan.warmup).total_seconds() * (poll.baseline is None),
    )
    return _with_silence(replace(course, fresh=True), window), window


def read_baseline(poll: Poll) -> ServerReadings:
    """Return the readings of the baseline's servers; none where no baseline has a share of the requests, or it cannot be counted."""
    return (read(poll.baseline) or {}) if poll.baseline is not None else {}


def _with_poll(course: Course, poll: Poll, stable_up: bool, canary_up: bool, plan: JudgePlan) -> Course:
    now, late = _clock(course, poll.t)
    first_answer = canary_up and course.born is None
    return replace(
        course,
        now=now,
        late=late,
        seen=now if canary_up or not stable_up or course.seen is None else course.seen,
        born=now if first_answer else course.born,
        warm_from=now + plan.warmup.total_seconds() if first_answer else course.warm_from,
        stable_up=stable_up,
        canary_up=canary_up,
        fresh=False,
    )


def _clock(course: Course, t: float) -> tuple[float, float]:
    """Return the judge's own time at a poll, and by how many seconds it is ahead of the poll's clock."""
    own = t + course.late if math.isfinite(t) else course.now
    return max(own, course.now), course.late + max(course.now - own, 0.0)


def _weight(weight: int | None) -> int | None:
    return weight if weight is not None and 0 <= weight <= 100 else None


def _share(before: int | None, after: int | None) -> float | None:
    """Return the configured share of a window; None where a shift of traffic within it mixes two splits."""
    return after / 100 if after is not None and before == after else None


def _with_restarts(course: Course, stable: TrackChange, canary: TrackChange, baseline: TrackChange, plan: JudgePlan) -> Course:
    cold = bool(canary.restarted or canary.joined or baseline.restarted or baseline.joined)
    return replace(
        course,
        stable_restarts=_count_restarts(course.stable_restarts, stable.restarted),
        canary_restarts=_count_restarts(course.canary_restarts, canary.restarted),
        warm_from=max(course.warm_from, course.now + plan.warmup.total_seconds()) if cold else course.warm_from,
    )


def _count_restarts(restarts: Mapping[str, int], names: tuple[str, ...]) -> Mapping[str, int]:
    return {**restarts, **{name: restarts.get(name, 0) + 1 for name in names}}


def _with_silence(course: Course, window: Window) -> Course:
    """Return the course with the canary's silence up to date.

    Any request ends the silence. A window in which the expected number of requests is unknown neither ends nor prolongs it.
    """
    if window.canary.requests > 0:
        return replace(course, silent=0.0, expected=0.0)
    share = window.share
    if share is None or not 0 < share < 1:
        return course
    expected = window.stable.requests * share / (1 - share)
    return replace(course, silent=course.silent + window.until - window.since, expected=course.expected + expected)
