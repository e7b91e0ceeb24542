"""What a release waits for at the moment, since when, and until when at the latest. This module is pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tfcanary.core.record import Holder, Pause, Release, State
from tfcanary.core.timeline import Timeline
from tfcanary.report.numbers import moment
from tfcanary.run.submit.time_left import time_left


@dataclass(frozen=True, slots=True)
class Wait:
    """What is waited for."""

    what: str
    since: datetime
    until: datetime | None
    """When the wait is over at the latest, and what happens then is the release's end or its next step; None where nothing bounds it."""
    then: str = ""
    """What happens at that time; empty where it is the end of the stage."""

    def __str__(self) -> str:
        latest = f", until {moment(self.until)} at the latest{f': {self.then}' if self.then else ''}" if self.until else ""
        return f"{self.what}, since {moment(self.since)}{latest}"


def wait(release: Release, polls: Timeline | None, now: datetime) -> Wait | None:
    """Return what the release waits for; None once it has ended. `polls` is the outline of the polls so far, None before the first one."""
    if release.state.ended:
        return None
    if release.pause:
        return _for_pause(release, release.pause)
    left = time_left(release, polls, now)
    if left and release.stage_began:
        what = f"the least time of stage {release.stage}" if left.least > timedelta(0) else f"stage {release.stage} to end {left.waits}"
        return Wait(what, release.stage_began, now + left.most)
    if release.state is State.ROLLING_BACK:
        return Wait("traffic, tracks and servers to be put back", _last_event(release), None)
    return _for_step(release.holder, _last_event(release))


def _for_pause(release: Release, pause: Pause) -> Wait:
    if pause.until:
        return Wait("its window, in which weights may rise", pause.since, pause.until, "a weight may rise")
    what = f"a person to approve stage {release.stage}" if pause.approval else "a person to resume it"
    return Wait(what, pause.since, pause.since + release.plan.times(release.stage).patience, "it ends undecided")


def _for_step(holder: Holder | None, since: datetime) -> Wait:
    if holder is None:
        return Wait("the guard to end it", since, None)
    step = holder.name.partition(": ")[2] or holder.name
    if holder.between_steps:
        return Wait(f"the next step of the pipeline, {step}", since, holder.until, "the guard rolls it back")
    return Wait(f"the step `{step}` to end", since, holder.until, "the guard rolls it back, unless the step says before that it goes on")


def _last_event(release: Release) -> datetime:
    return release.events[-1].at if release.events else release.began
