"""One look at the metrics of both tracks, for pipelines of other people's making: no traffic is moved, nothing is recorded.

The release's own watch keeps the judge's state from poll to poll and through all stages; here it begins and ends with
the look, so alpha is spent on this look alone.
"""

from __future__ import annotations

from datetime import timedelta

from tfcanary.domain import Look, Sample, Track
from tfcanary.errors import Unavailable
from tfcanary.judge import Judge, Poll
from tfcanary.plan import Plan
from tfcanary.ports import Platform


def evaluate(platform: Platform, plan: Plan, lasts: timedelta) -> Look:
    """Poll both tracks for so long and say what the judge makes of it. A metric source that is down is no data, and so inconclusive."""
    judge = Judge.begin(plan.judge, "one look", platform.metrics.history(Track.STABLE, platform.clock.now()))
    began = platform.clock.now()
    while True:
        spent = platform.clock.now() - began
        stable, canary = (_sample(platform, track) for track in (Track.STABLE, Track.CANARY))
        verdict = judge.poll(Poll(t=spent.total_seconds(), stable=stable, canary=canary, weight=_weight(platform)))
        if spent >= lasts:
            return Look("metrics", verdict.evidence, verdict.absent)
        platform.clock.sleep(plan.stage.poll.total_seconds())


def _sample(platform: Platform, track: Track) -> Sample:
    try:
        return platform.metrics.sample(track, platform.clock.now())
    except Unavailable:
        return Sample(track=track, up=False)


def _weight(platform: Platform) -> int | None:
    try:
        return platform.router.split().canary
    except Unavailable:
        return None
