"""What every poll of a release saw: the watcher extends it and stores an outline with the judge's state; pages draw all of it, thinned."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tfcanary.core.domain import Evidence, Finding, Interval, Sample, Track, Verdict

MOST = 360
"""Points kept: an hour at ten seconds. Beyond that, every second one of the older half goes."""
MOST_GONE = 200
"""Servers whose counts are kept although the last poll did not see them: they may be back. Where more are gone, the first ones are forgotten."""


@dataclass(frozen=True, slots=True)
class Point:
    """What one poll of a release saw."""

    at: datetime
    weight: int
    """In force at this poll, in percent."""
    stable_requests: float
    """Requests to the stable version since the first poll, answered or failed."""
    canary_requests: float
    findings: Mapping[str, Finding] = field(default_factory=dict)
    """Each gating criterion's finding, by its id."""
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    """Each gating criterion's interval, where all three numbers are finite."""
    stage: int = 0
    blind: float = 0.0
    """Seconds since the first poll in which the counters of a track could not be seen."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The polls of a release, oldest first: all of them, a thinned selection, or the outline."""

    points: tuple[Point, ...] = ()
    blind_since: datetime | None = None
    """When the counters of both tracks were last seen, where they are not seen now."""
    counted: Mapping[str, float] = field(default_factory=dict)
    """What each server had counted at the last poll that reached it: `<track>/<server>` to requests."""


def extend(seen: Timeline, stable: Sample, canary: Sample, verdict: Verdict, baseline: Sample | None = None) -> Timeline:
    """With one more poll, at the verdict's instant; a verdict without one adds nothing. The baseline's requests count as the stable version's."""
    if verdict.at is None:
        return seen
    now = {
        f"{s.track.value}/{name}": c.ok + c.failed
        for s in (stable, canary, *([baseline] if baseline else []))
        for name, c in s.servers.items()
    }
    last = seen.points[-1] if seen.points else None
    gating = [e for e in verdict.evidence if e.gating]
    is_blind, since = not (stable.up and canary.up), last.at if last else verdict.at
    point = Point(
        at=verdict.at,
        weight=verdict.weight,
        stable_requests=(last.stable_requests if last else 0.0)
        + _gained(seen.counted, now, Track.STABLE)
        + _gained(seen.counted, now, Track.BASELINE),
        canary_requests=(last.canary_requests if last else 0.0) + _gained(seen.counted, now, Track.CANARY),
        findings={e.about: e.finding for e in gating},
        intervals={e.about: short for e in gating if (short := _short(e)) is not None},
        stage=verdict.stage,
        blind=(last.blind if last else 0.0) + ((verdict.at - since).total_seconds() if is_blind else 0.0),
    )
    blind_since = (seen.blind_since or since) if is_blind else None
    return Timeline(points=thinned((*seen.points, point)), blind_since=blind_since, counted=_counted(seen.counted, now))


def outline(seen: Timeline) -> Timeline:
    """The first and the last point of each stage and weight, and only the last one with findings: enough to go on, whatever the length."""
    *before, last = seen.points
    edges = [
        one for i, one in enumerate(before) if i == 0 or _place(one) != _place(before[i - 1]) or _place(one) != _place(seen.points[i + 1])
    ]
    return replace(seen, points=(*(replace(one, findings={}, intervals={}) for one in edges), last))


def filled(seen: Timeline, points: Iterable[Point]) -> Timeline:
    """The timeline with these points, thinned, in place of its outline."""
    kept: tuple[Point, ...] = ()
    for point in points:
        kept = thinned((*kept, point))
    return replace(seen, points=kept)


def blind_for(seen: Timeline, now: datetime) -> timedelta:
    """For how long the counters of a track have not been seen by now; zero where the last poll saw both."""
    return now - seen.blind_since if seen.blind_since else timedelta(0)


def blind_time_since(seen: Timeline, began: datetime) -> timedelta:
    """How much of the time after `began` passed without counters of both tracks."""
    before = [p.blind for p in seen.points if p.at <= began]
    return timedelta(seconds=seen.points[-1].blind - (before[-1] if before else 0.0)) if seen.points else timedelta(0)


def canary_requests_since(seen: Timeline, began: datetime) -> float:
    """Canary requests that were counted after the last poll at or before `began`."""
    before = [p.canary_requests for p in seen.points if p.at <= began]
    return seen.points[-1].canary_requests - (before[-1] if before else 0.0) if seen.points else 0.0


def thinned(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """At most `MOST` points: the newer half as it is, of the older one every second point and each first and last of a stage."""
    if len(points) <= MOST:
        return points
    half = len(points) // 2
    edges = (i for i in range(1, half + 1) if _place(points[i]) != _place(points[i - 1]))
    kept = {*range(0, half, 2), *(at for i in edges for at in (i - 1, i))}
    return (*(points[i] for i in sorted(kept - {half})), *points[half:])


def _place(point: Point) -> tuple[int, int]:
    return point.stage, point.weight


def _counted(before: Mapping[str, float], now: Mapping[str, float]) -> Mapping[str, float]:
    """The counts of the servers that were seen now, after those of the servers that were seen before, oldest first."""
    gone = [(name, count) for name, count in before.items() if name not in now]
    return {**dict(gone[-MOST_GONE:]), **now}


def _gained(before: Mapping[str, float], now: Mapping[str, float], track: Track) -> float:
    """Requests since the last poll. A server seen for the first time adds nothing, for it may have counted for days; one that counts from 0 again has restarted."""
    known = ((now[name], before[name]) for name in now if name in before and name.startswith(f"{track.value}/"))
    return sum(count - last if count >= last else count for count, last in known)


def _short(evidence: Evidence) -> Interval | None:
    """The interval with six significant digits: a picture needs no more, and the timeline is written at every poll."""
    if evidence.interval is None:
        return None
    low, estimate, high = (float(f"{v:.6g}") for v in (evidence.interval.low, evidence.interval.estimate, evidence.interval.high))
    return replace(evidence.interval, low=low, estimate=estimate, high=high) if all(map(math.isfinite, (low, estimate, high))) else None
