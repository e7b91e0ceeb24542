"""What has happened to a watch apart from the counts: time, who answers, restarts, silence; and when a window closes.

The judge's own time never runs backward. Where a clock steps back no time passes at that poll, the counters are
counted all the same, and time goes on from there; a poll that repeats the last one changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tfcanary.core.domain import Sample
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge.counted_windows import Change, Counts, Readings, change, read

EARLY = 0.9
"""Of the time between two counts, after which a look is late enough: clocks are not exact."""
LONGEST_INTERVAL = 120.0
"""Seconds. Whoever counts more rarely than this is not waited for."""


@dataclass(frozen=True, slots=True)
class Poll:
    """One look at both tracks."""

    t: float
    """Seconds since the first canary traffic; the first poll has t = 0."""
    stable: Sample
    canary: Sample
    weight: int | None
    """The canary's configured share in percent as read back from the router; None: unknown."""


@dataclass(frozen=True, slots=True)
class Window:
    """What both tracks counted between two polls at which both could be counted."""

    since: float
    until: float
    share: float | None
    """The canary's configured share throughout; None: unknown, moved meanwhile, or a server came, went or restarted."""
    settled: bool
    """It began after the canary's first half minute."""
    warm: bool
    """It began after the canary's warm-up: latency counts."""
    frozen: bool
    """It began after stable's level was taken."""
    stable: Counts
    canary: Counts


@dataclass(frozen=True, slots=True)
class Course:
    """All that the judge remembers of the polls besides the windows."""

    now: float = 0.0
    """Its own time, in seconds."""
    late: float = 0.0
    """How far its own time is ahead of the polls' clock, which has stepped back by so much."""
    seen: float | None = None
    """When the canary last answered, or stable did not either."""
    born: float | None = None
    """When the canary first answered."""
    warm_from: float = 0.0
    closed: float | None = None
    """When both tracks were last counted: the present window began there, with these readings and at this weight."""
    weight: int | None = None
    stable: Readings = field(default_factory=dict)
    canary: Readings = field(default_factory=dict)
    answered: float = 0.0
    """Requests that stable had answered since its servers started, when it was last seen."""
    stable_up: bool = False
    canary_up: bool = False
    fresh: bool = False
    """The last poll closed a window: only then is there anything new to decide on."""
    stable_restarts: Mapping[str, int] = field(default_factory=dict)
    canary_restarts: Mapping[str, int] = field(default_factory=dict)
    stable_fallen: Readings = field(default_factory=dict)
    canary_fallen: Readings = field(default_factory=dict)
    """What servers that fell at the last window's end had counted before: they may jump back."""
    silent: float = 0.0
    """Seconds for which the canary, alone, has counted no request."""
    expected: float = 0.0
    """Requests that it should have counted in that time."""


def repeats(course: Course, poll: Poll) -> bool:
    """Whether the poll is the last one delivered again: no time has passed and nothing was counted."""
    return _clock(course, poll.t)[0] == course.closed and (read(poll.stable), read(poll.canary)) == (course.stable, course.canary)


def too_soon(course: Course, poll: Poll) -> bool:
    """Whether both tracks answer, but not every server can have been counted again since the window began: its counts would tear them apart."""
    every = max(poll.stable.every, poll.canary.every)
    if course.closed is None or not (math.isfinite(every) and every > 0):
        return False
    since = _clock(course, poll.t)[0] - course.closed
    return since < EARLY * min(every, LONGEST_INTERVAL) and read(poll.stable) is not None and read(poll.canary) is not None


def step(course: Course, poll: Poll, plan: JudgePlan, frozen: bool) -> tuple[Course, Window | None]:
    """The course after a poll, and the window that it closes, if it closes one."""
    stable, canary = read(poll.stable), read(poll.canary)
    course = _looked(course, poll, stable is not None, canary is not None, plan)
    if stable is not None:
        course = replace(course, answered=sum(reading.ok for reading in stable.values()))
    if stable is None or canary is None:
        return course, None
    began, base = course.closed, course
    course = replace(course, closed=course.now, weight=_weight(poll.weight), stable=stable, canary=canary)
    if began is None:
        return course, None
    ours, theirs = change(base.stable, stable, base.stable_fallen), change(base.canary, canary, base.canary_fallen)
    course = _restarted(course, ours, theirs, plan)
    course = replace(
        course,
        stable_fallen={name: base.stable[name] for name in ours.fallen},
        canary_fallen={name: base.canary[name] for name in theirs.fallen},
    )
    window = Window(
        since=began,
        until=course.now,
        share=_share(base.weight, course.weight) if ours.whole and theirs.whole else None,
        settled=began >= (course.born or 0.0) + plan.settle.total_seconds(),
        warm=began >= course.warm_from,
        frozen=frozen,
        stable=ours.counts,
        canary=theirs.counts,
    )
    return _silence(replace(course, fresh=True), window), window


def _looked(course: Course, poll: Poll, stable_up: bool, canary_up: bool, plan: JudgePlan) -> Course:
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
    """The judge's own time at a poll, and by how much it is ahead of the poll's."""
    own = t + course.late if math.isfinite(t) else course.now
    return max(own, course.now), course.late + max(course.now - own, 0.0)


def _weight(weight: int | None) -> int | None:
    return weight if weight is not None and 0 <= weight <= 100 else None


def _share(before: int | None, after: int | None) -> float | None:
    """A window across a shift mixes two splits: it tells nothing about either."""
    return after / 100 if after is not None and before == after else None


def _restarted(course: Course, stable: Change, canary: Change, plan: JudgePlan) -> Course:
    cold = bool(canary.restarted or canary.joined)
    return replace(
        course,
        stable_restarts=_count(course.stable_restarts, stable.restarted),
        canary_restarts=_count(course.canary_restarts, canary.restarted),
        warm_from=max(course.warm_from, course.now + plan.warmup.total_seconds()) if cold else course.warm_from,
    )


def _count(restarts: Mapping[str, int], names: tuple[str, ...]) -> Mapping[str, int]:
    return {**restarts, **{name: restarts.get(name, 0) + 1 for name in names}}


def _silence(course: Course, window: Window) -> Course:
    """Any request ends the silence; a window that cannot tell what was to be expected neither ends nor prolongs it."""
    if window.canary.requests > 0:
        return replace(course, silent=0.0, expected=0.0)
    share = window.share
    if share is None or not 0 < share < 1:
        return course
    expected = window.stable.requests * share / (1 - share)
    return replace(course, silent=course.silent + window.until - window.since, expected=course.expected + expected)
