"""Looking at the metrics of both tracks: what every poll samples, and one look on its own.

`poll` is what the watch loop asks for each time. `evaluate` is for pipelines of other people's making: no traffic is moved
and nothing is recorded; the judge's state begins and ends with it, so alpha is spent on this look alone.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from tfcanary.domain import Look, Sample, Track
from tfcanary.errors import Unavailable
from tfcanary.judge import Judge, Poll
from tfcanary.plan import Plan
from tfcanary.ports import Platform

log = logging.getLogger("tfcanary.metrics")


def poll(platform: Platform, began: datetime, now: datetime) -> Poll:
    """Both tracks and the weight in force. A metric source that cannot be asked hides both tracks, and so blames neither."""
    stable, canary = (_sample(platform, track, now) for track in (Track.STABLE, Track.CANARY))
    return Poll(t=(now - began).total_seconds(), stable=stable, canary=canary, weight=_weight(platform))


def evaluate(platform: Platform, plan: Plan, lasts: timedelta) -> Look:
    """Poll both tracks for so long and say what the judge makes of it."""
    began = platform.clock.now()
    judge = Judge.begin(plan.judge, "one look", platform.metrics.history(Track.STABLE, began))
    while True:
        now = platform.clock.now()
        verdict = judge.poll(poll(platform, began, now))
        if now - began >= lasts:
            return Look("metrics", verdict.evidence, verdict.absent)
        platform.clock.sleep(plan.stage.poll.total_seconds())


def _sample(platform: Platform, track: Track, now: datetime) -> Sample:
    try:
        return platform.metrics.sample(track, now)
    except Unavailable as error:
        log.warning("%s: %s", platform.model, error)
        return Sample(track=track, up=False)


def _weight(platform: Platform) -> int | None:
    try:
        return platform.router.split().canary
    except Unavailable as error:
        log.warning("%s: %s", platform.model, error)
        return None
