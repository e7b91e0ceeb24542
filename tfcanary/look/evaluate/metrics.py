"""Samples the metrics of both tracks, for each poll of a watch or for one evaluation on its own.

The watch loop calls `poll`. `evaluate` is for users' own pipelines: it moves no traffic and records nothing. The judge's state
begins and ends with it, so that alpha is spent on this evaluation alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from tfcanary.core.domain import COMPARED, Look, Sample, Track, Traffic
from tfcanary.core.errors import Diverted, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.ports import MetricSource, Platform
from tfcanary.decide.judge import Judge, Poll

log = logging.getLogger("tfcanary.adapters.metrics")


@dataclass(frozen=True, slots=True)
class InForce:
    """What a look at the router found."""

    traffic: Traffic | None = None
    """The traffic; None where it is unknown."""
    diverted: str = ""
    """How users' requests go elsewhere than to the tracks, in one sentence; empty where they do not, or the router is unavailable."""


def poll(platform: Platform, began: datetime, now: datetime, traffic: Traffic | None, baseline: bool = False) -> Poll:
    """Sample both tracks at the same time, with `baseline` its track, too; `weight` is the canary's weight in percent that was last read back.

    `began` is the time from which the poll counts its seconds.
    """
    found = samples(platform.metrics, platform.model, (*COMPARED, *((Track.BASELINE,) if baseline else ())), now)
    return Poll(
        t=(now - began).total_seconds(),
        stable=found[Track.STABLE],
        canary=found[Track.CANARY],
        weight=traffic.canary if traffic else None,
        baseline=found.get(Track.BASELINE),
    )


def samples(source: MetricSource, model: str, tracks: Sequence[Track], now: datetime) -> Mapping[Track, Sample]:
    """Sample tracks at the same time. A source that is unavailable hides all of them, so that it does not look like a fault of one."""

    def sample(track: Track) -> Sample:
        try:
            return source.sample(track, now)
        except Unavailable as error:
            log.warning("%s: %s", model, error)
            return Sample(track=track, up=False)

    with ThreadPoolExecutor(len(tracks)) as threads:
        return dict(zip(tracks, threads.map(sample, tracks), strict=True))


def history(source: MetricSource, model: str, now: datetime) -> Iterator[tuple[float, Sample]]:
    """The earlier samples of the stable track, each with its time in seconds; empty where the source keeps none or is unavailable."""
    try:
        yield from source.history(Track.STABLE, now)
    except Unavailable as error:
        log.warning("%s: %s", model, error)


def in_force(platform: Platform) -> InForce:
    """The traffic that the router reports to be in force."""
    try:
        return InForce(platform.router.traffic())
    except Unavailable as error:
        log.warning("%s: %s", platform.model, error)
        return InForce(diverted=str(error) if isinstance(error, Diverted) else "")


def evaluate(platform: Platform, plan: Plan, lasts: timedelta) -> Look:
    """Poll both tracks for the time `lasts` and return the judge's evidence."""
    began = platform.clock.now()
    judge = Judge.begin(plan.judge, "one look", history(platform.metrics, platform.model, began))
    while True:
        now = platform.clock.now()
        verdict = judge.poll(poll(platform, began, now, in_force(platform).traffic))
        if now - began >= lasts:
            return Look("metrics", verdict.evidence, verdict.absent)
        platform.clock.sleep(plan.stage.poll.total_seconds())
