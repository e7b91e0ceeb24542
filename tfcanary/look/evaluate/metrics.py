"""Looking at the metrics of both tracks: what every poll samples, and one look on its own.

`poll` is what the watch loop asks for each time. `evaluate` is for pipelines of other people's making: no traffic is moved
and nothing is recorded; the judge's state begins and ends with it, so alpha is spent on this look alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from tfcanary.core.domain import Look, Sample, Track, Traffic
from tfcanary.core.errors import Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform
from tfcanary.decide.judge import Judge, Poll

log = logging.getLogger("tfcanary.adapters.metrics")


def poll(platform: Platform, began: datetime, now: datetime, in_force: Traffic | None) -> Poll:
    """Both tracks, asked at the same time, and the traffic that was last read back. A source that cannot be asked hides both, and so blames neither."""
    with ThreadPoolExecutor(2) as threads:
        stable, canary = threads.map(lambda track: _sample(platform, track, now), (Track.STABLE, Track.CANARY))
    return Poll(t=(now - began).total_seconds(), stable=stable, canary=canary, weight=in_force.canary if in_force else None)


def history(platform: Platform, now: datetime) -> Iterator[tuple[float, Sample]]:
    """What the stable track counted before; nothing where the source keeps none, or cannot be asked."""
    try:
        yield from platform.metrics.history(Track.STABLE, now)
    except Unavailable as error:
        log.warning("%s: %s", platform.model, error)


def traffic(platform: Platform) -> Traffic | None:
    """The traffic in force; None where nobody says."""
    try:
        return platform.router.traffic()
    except Unavailable as error:
        log.warning("%s: %s", platform.model, error)
        return None


def evaluate(platform: Platform, plan: Plan, lasts: timedelta) -> Look:
    """Poll both tracks for so long and say what the judge makes of it."""
    began = platform.clock.now()
    judge = Judge.begin(plan.judge, "one look", history(platform, began))
    while True:
        now = platform.clock.now()
        verdict = judge.poll(poll(platform, began, now, traffic(platform)))
        if now - began >= lasts:
            return Look("metrics", verdict.evidence, verdict.absent)
        platform.clock.sleep(plan.stage.poll.total_seconds())


def _sample(platform: Platform, track: Track, now: datetime) -> Sample:
    try:
        return platform.metrics.sample(track, now)
    except Unavailable as error:
        log.warning("%s: %s", platform.model, error)
        return Sample(track=track, up=False)
