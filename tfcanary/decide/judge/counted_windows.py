"""Turns raw counters into what was counted between two polls: differences server by server, then summed.

No value that a server reports raises an exception. The rules:

* A server whose request counts are missing, negative, infinite or not a number has not answered. The whole track then counts as not
  up, and the window of the next good sample is longer instead: nothing is lost, nothing is guessed.
* A latency histogram, sum of latencies, quality value or class count that is not valid is treated as not exported by that server.
* A sum of latencies that its histogram contradicts, because it is of other requests or in another unit, is left out of that window.
* Two servers of one track with the same name cannot be told apart: the whole track counts as not up.
* A server that counts less than before was restarted: its counters are a new beginning, not an increment.
* A server that jumps back to its counts from before a decrease did not restart: it contributes nothing to that window either.
* One of the user's objectives that is not valid, or that decreases or jumps back while its server did not restart, contributes nothing
  to that window; all else of that server does.
* A server that was added or removed contributes nothing to that window.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from itertools import chain
from typing import TypeVar

import numpy as np

from tfcanary.core.domain import LATENCY_BOUNDS, LATENCY_SUM_ROUNDING, Counters, Sample
from tfcanary.decide.stats.logarithms import Array

T = TypeVar("T")

BUCKETS = len(LATENCY_BOUNDS) + 1
NOT_IN_A_NAME = re.compile(r"[^-A-Za-z0-9_.:/\[\]]")
"""Characters that are replaced in the name of a server."""
LARGEST = 1e30
"""A larger counter is not valid: the squares of larger numbers would leave the range of a double."""

FROM: Array = np.array([0.0, *LATENCY_BOUNDS])
"""Shape (BUCKETS,): the lower bound of each bucket."""

Quality = tuple[float, float | None, float]
"""Sum, sum of squares (None where it is not exported) and number of a per-request value."""

Objectives = Mapping[str, tuple[float, ...]]
"""Events and exposures of the user's objectives, by name; of a mean the sum and number of its values, and the sum of squares if known."""


@dataclass(frozen=True, slots=True)
class ServerReading:
    """The valid counters of one server since it started."""

    ok: float = 0.0
    failed: float = 0.0
    latency: tuple[float, ...] = ()
    """Cumulative counts over LATENCY_BOUNDS, BUCKETS numbers; empty where there is no valid histogram."""
    quality: Quality | None = None
    classes: tuple[float, ...] = ()
    objectives: Objectives = field(default_factory=dict)
    latency_sum: float | None = None
    """Sum of the latencies in the histogram; None where there is no valid sum, or no valid histogram."""


ServerReadings = Mapping[str, ServerReading]
"""The readings of the servers of one track, by name."""


def read(sample: Sample) -> ServerReadings | None:
    """Return the readings of a sample, or None where the track cannot be counted at this poll."""
    if not sample.up or not sample.servers:
        return None
    readings = {_plain(name): _reading(counters) for name, counters in sample.servers.items()}
    whole = {name: reading for name, reading in readings.items() if reading is not None}
    return whole if len(whole) == len(sample.servers) else None


def _plain(name: str) -> str:
    """Return a server's name without special characters: anybody may have written this label, and it ends up in sentences and documents."""
    return NOT_IN_A_NAME.sub("_", name)[:100]


def _reading(counters: Counters) -> ServerReading | None:
    if not _are_counts((counters.ok, counters.failed)):
        return None
    cumulative = tuple(map(float, counters.latency))
    latency = cumulative if len(cumulative) == BUCKETS and _are_counts(cumulative) else ()
    return ServerReading(
        ok=float(counters.ok),
        failed=float(counters.failed),
        latency=latency,
        quality=_quality(counters.quality),
        classes=tuple(map(float, counters.classes)) if _are_counts(counters.classes) else (),
        objectives={
            _plain(name): tuple(map(float, numbers))
            for name, numbers in counters.objectives.items()
            if 2 <= len(numbers) <= 3 and _are_counts(numbers)
        },
        latency_sum=_latency_sum(counters.latency_sum) if latency else None,
    )


def _latency_sum(value: float | None) -> float | None:
    return float(value) if value is not None and _are_counts((value,)) else None


def _are_counts(values: Iterable[float]) -> bool:
    return all(0 <= value <= LARGEST for value in values)


def _quality(quality: tuple[float, float, float] | None) -> Quality | None:
    if quality is None or not abs(quality[0]) <= LARGEST or not _are_counts(quality[2:]):
        return None
    summed, squares, number = map(float, quality)
    return summed, squares if 0 <= squares <= LARGEST else None, number


@dataclass(frozen=True, slots=True)
class Buckets:
    """Numbers of requests by latency bucket, without the empty buckets at both ends."""

    first: int
    """Index of the first bucket in `counts`."""
    counts: tuple[float, ...]

    @classmethod
    def of(cls, counts: Array) -> Buckets:
        """Build from the counts of all BUCKETS buckets."""
        filled = np.flatnonzero(counts)
        if len(filled) == 0:
            return cls(0, ())
        return cls(int(filled[0]), tuple(counts[filled[0] : filled[-1] + 1].tolist()))

    def dense(self) -> Array:
        """Return the counts of all BUCKETS buckets."""
        counts = np.zeros(BUCKETS)
        counts[self.first : self.first + len(self.counts)] = self.counts
        return counts


@dataclass(frozen=True, slots=True)
class LatencySum:
    """By how much the sum of the latencies has risen in a window, in microseconds."""

    risen: float
    before: float
    """The sum, over the servers that counted, at the beginning of the window; each server's is rounded by itself."""
    after: float
    """The sum at the end of the window."""

    @classmethod
    def between(cls, before: float, after: float) -> LatencySum:
        """Build from two readings of one server."""
        return cls(after - before, before, after)

    def plus(self, other: LatencySum) -> LatencySum:
        """Return the sum of both."""
        return LatencySum(self.risen + other.risen, self.before + other.before, self.after + other.after)

    def fits(self, counts: Array) -> bool:
        """Return whether requests in these buckets, shape (BUCKETS,), can have taken so long together, rounding included."""
        rounding = LATENCY_SUM_ROUNDING * (self.before + self.after)
        most = math.inf if counts[-1] > 0 else float(counts[:-1] @ FROM[1:])
        return float(counts @ FROM) - rounding <= self.risen <= most + rounding


@dataclass(frozen=True, slots=True)
class TrackCounts:
    """What one track counted in a window."""

    ok: float = 0.0
    failed: float = 0.0
    latency: Buckets | None = None
    """None where no server exported a histogram at both ends of the window."""
    quality: Quality | None = None
    classes: tuple[float, ...] = ()
    objectives: Objectives = field(default_factory=dict)
    latency_sum: LatencySum | None = None
    """None where a server exported a histogram and no sum with it: the mean of some servers is not the track's."""

    @property
    def requests(self) -> float:
        """Number of requests, answered and failed."""
        return self.ok + self.failed

    @property
    def latency_mean(self) -> float | None:
        """Mean latency in microseconds; None where it is not known."""
        answered = sum(self.latency.counts) if self.latency else 0.0
        return self.latency_sum.risen / answered if self.latency_sum and self.latency_sum.risen > 0 and answered > 0 else None

    def plus(self, other: TrackCounts) -> TrackCounts:
        """Return the sum of both; a part that only one of them has is taken from that one."""
        return TrackCounts(
            ok=self.ok + other.ok,
            failed=self.failed + other.failed,
            latency=_combine(self.latency, other.latency, lambda a, b: Buckets.of(a.dense() + b.dense())),
            quality=_combine(self.quality, other.quality, add_quality),
            classes=_combine(self.classes or None, other.classes or None, _add_classes) or (),
            objectives=_add_objectives(self.objectives, other.objectives),
            latency_sum=_add_latency_sums(self, other),
        )


def _combine(first: T | None, second: T | None, both: Callable[[T, T], T]) -> T | None:
    if first is None or second is None:
        return second if first is None else first
    return both(first, second)


def _add_latency_sums(first: TrackCounts, second: TrackCounts) -> LatencySum | None:
    sums = [one.latency_sum for one in (first, second) if one.latency is not None]
    known = [one for one in sums if one is not None]
    return reduce(LatencySum.plus, known) if known and len(known) == len(sums) else None


def add_quality(first: Quality, second: Quality) -> Quality:
    """Return the sum of two quality values; the squares are known where both know them."""
    squares = None if first[1] is None or second[1] is None else first[1] + second[1]
    return first[0] + second[0], squares, first[2] + second[2]


def _add_classes(first: tuple[float, ...], second: tuple[float, ...]) -> tuple[float, ...]:
    """Servers with different numbers of classes cannot be added up: neither is counted then."""
    return tuple(a + b for a, b in zip(first, second, strict=True)) if len(first) == len(second) else ()


def _add_objectives(first: Objectives, second: Objectives) -> Objectives:
    """The squares of a mean are known where both know them."""
    both = {name: tuple(a + b for a, b in zip(first[name], second[name], strict=False)) for name in first.keys() & second.keys()}
    return {**first, **second, **both}


def add_up(counts: Iterable[TrackCounts]) -> TrackCounts:
    """Return the sum of all counts."""
    return reduce(TrackCounts.plus, counts, TrackCounts())


def total(readings: ServerReadings) -> TrackCounts:
    """Return all that the servers have counted since they started."""
    return add_up(
        TrackCounts(
            ok=one.ok,
            failed=one.failed,
            latency=Buckets.of(_bucket_increases((0.0,) * BUCKETS, one.latency)) if one.latency else None,
            quality=one.quality,
            classes=one.classes,
            objectives=one.objectives,
            latency_sum=None if one.latency_sum is None else LatencySum.between(0.0, one.latency_sum),
        )
        for one in readings.values()
    )


@dataclass(frozen=True, slots=True)
class TrackChange:
    """What happened to a track between two polls."""

    counts: TrackCounts = field(default_factory=TrackCounts)
    restarted: tuple[str, ...] = ()
    """Names of the servers that counted less than before."""
    joined: tuple[str, ...] = ()
    """Names of the servers that were not there before."""
    whole: bool = True
    """Every server contributed, and none was removed."""
    decreased: tuple[str, ...] = ()
    """Names of the servers with any decrease: those that restarted, and those with an objective that decreased."""
    servers: int = 0
    """Number of the servers that contributed."""


def change(before: ServerReadings, now: ServerReadings, decreased: ServerReadings | None = None) -> TrackChange:
    """Return what each server counted between two readings of a track, summed over the servers.

    Servers that restarted, joined or jumped back contribute nothing. `decreased` holds the readings, before their decrease, of the servers
    that decreased at the last poll.
    """
    decreased = decreased or {}
    stayed = [name for name in now if name in before]
    restarted = tuple(name for name in stayed if _decreased(before[name], now[name]))
    back = {
        name
        for name, reading in decreased.items()
        if name in stayed and _decreased(reading, before[name]) and not _decreased(reading, now[name])
    }
    joined = tuple(name for name in now if name not in before)
    counted = [name for name in stayed if name not in restarted and name not in back]
    return TrackChange(
        counts=add_up(_difference(before[name], now[name], decreased.get(name)) for name in counted),
        restarted=restarted,
        joined=joined,
        whole=not restarted and not back and not joined and len(stayed) == len(before),
        decreased=tuple(name for name in stayed if name in restarted or _objectives_decreased(before[name], now[name])),
        servers=len(counted),
    )


def _decreased(before: ServerReading, now: ServerReading) -> bool:
    """Return whether any counter has decreased; a sum of quality values may do so, and a sum of latencies by its rounding."""
    pairs = chain(
        ((before.ok, now.ok), (before.failed, now.failed)),
        zip(before.latency, now.latency, strict=False),  # one may be empty
        zip(before.classes, now.classes, strict=True) if len(before.classes) == len(now.classes) else (),
        ((before.quality[2], now.quality[2]),) if before.quality and now.quality else (),
        ((before.latency_sum * (1 - 2 * LATENCY_SUM_ROUNDING), now.latency_sum),)
        if before.latency_sum is not None and now.latency_sum is not None
        else (),
    )
    return any(later < earlier for earlier, later in pairs)


def _objectives_decreased(before: ServerReading, now: ServerReading) -> bool:
    return any(_any_decrease(before.objectives[name], now.objectives[name]) for name in before.objectives.keys() & now.objectives.keys())


def _any_decrease(before: tuple[float, ...], now: tuple[float, ...]) -> bool:
    return any(later < earlier for earlier, later in zip(before, now, strict=False))  # one may know its squares, the other not


def _difference(before: ServerReading, now: ServerReading, decreased: ServerReading | None = None) -> TrackCounts:
    same_classes = len(before.classes) == len(now.classes)
    latency = _bucket_increases(before.latency, now.latency) if before.latency and now.latency else None
    return TrackCounts(
        ok=now.ok - before.ok,
        failed=now.failed - before.failed,
        latency=None if latency is None else Buckets.of(latency),
        quality=_subtract_quality(before.quality, now.quality),
        classes=tuple(b - a for a, b in zip(before.classes, now.classes, strict=True)) if same_classes else (),
        objectives=_objective_increases(before.objectives, now.objectives, decreased.objectives if decreased else {}),
        latency_sum=None if latency is None else _risen(before.latency_sum, now.latency_sum, latency),
    )


def _risen(before: float | None, now: float | None, counts: Array) -> LatencySum | None:
    if before is None or now is None:
        return None
    risen = LatencySum.between(before, now)
    return risen if risen.fits(counts) else None


def _objective_increases(before: Objectives, now: Objectives, decreased: Objectives) -> Objectives:
    """Return what each objective has counted, without those that decreased, and those that jumped back to before their decrease."""
    stayed = {name: (before[name], now[name]) for name in sorted(before.keys() & now.keys()) if not _any_decrease(before[name], now[name])}
    back = {
        name
        for name in stayed
        if name in decreased and _any_decrease(decreased[name], before[name]) and not _any_decrease(decreased[name], now[name])
    }
    return {name: tuple(y - x for x, y in zip(a, b, strict=False)) for name, (a, b) in stayed.items() if name not in back}


def _bucket_increases(before: tuple[float, ...], now: tuple[float, ...]) -> Array:
    """Return the counts of each bucket; an inconsistent cumulative histogram counts 0 where it falls."""
    risen = np.array(now) - np.array(before)
    counts: Array = np.maximum(np.diff(risen, prepend=0.0), 0.0)
    return counts


def _subtract_quality(before: Quality | None, now: Quality | None) -> Quality | None:
    if before is None or now is None:
        return None
    squares = None if before[1] is None or now[1] is None else now[1] - before[1]
    return now[0] - before[0], squares, now[2] - before[2]
