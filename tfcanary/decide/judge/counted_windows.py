"""From raw counters to what was counted between two polls: server by server, then summed.

Whatever a server says, nothing here raises. The rules:

* A server whose request counts are missing, negative, infinite or no number has not answered: the whole track counts
  as not up, and the next good sample's window is longer instead. Nothing is lost, nothing is guessed.
* A latency histogram, quality value or class count that makes no sense is taken as not exported by that server.
* Two servers of one track that go by the same name cannot be told apart: the whole track counts as not up.
* A server that counts less than before was restarted: its counters are a new beginning, not an increment.
* A server that jumps back to where it was before it fell did not restart: it contributes nothing to that window either.
* An objective of the user's that makes no sense, or that falls or jumps back while its server did not restart, contributes
  nothing to that window; all else of that server does.
* A server that was not there before, or has gone, contributes nothing to that window.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from itertools import chain
from typing import TypeVar

import numpy as np

from tfcanary.core.domain import LATENCY_BOUNDS, Counters, Sample
from tfcanary.decide.stats.logarithms import Array

T = TypeVar("T")

BUCKETS = len(LATENCY_BOUNDS) + 1
NOT_IN_A_NAME = re.compile(r"[^-A-Za-z0-9_.:/\[\]]")
LARGEST = 1e30
"""No counter is larger: beyond this, arithmetic on squares would leave the range of a double."""

Quality = tuple[float, float | None, float]
"""Sum, sum of squares (None: not exported) and number of a per-request value."""

Objectives = Mapping[str, tuple[float, ...]]
"""Events and exposures of the user's objectives, by name; of a mean the sum and number of its values, and the sum of their squares if known."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One server's counters since it started, with everything left out that makes no sense."""

    ok: float = 0.0
    failed: float = 0.0
    latency: tuple[float, ...] = ()
    """Cumulative over the bounds, BUCKETS numbers, or none."""
    quality: Quality | None = None
    classes: tuple[float, ...] = ()
    objectives: Objectives = field(default_factory=dict)


Readings = Mapping[str, Reading]
"""Of the servers of one track, by name."""


def read(sample: Sample) -> Readings | None:
    """The sample's readings, or None where the track cannot be counted at this poll."""
    if not sample.up or not sample.servers:
        return None
    readings = {_plain(name): _reading(counters) for name, counters in sample.servers.items()}
    whole = {name: reading for name, reading in readings.items() if reading is not None}
    return whole if len(whole) == len(sample.servers) else None


def _plain(name: str) -> str:
    """A server's name is a label that anybody may have written: it ends up in sentences and documents."""
    return NOT_IN_A_NAME.sub("_", name)[:100]


def _reading(counters: Counters) -> Reading | None:
    if not _are_counts((counters.ok, counters.failed)):
        return None
    latency = tuple(map(float, counters.latency))
    return Reading(
        ok=float(counters.ok),
        failed=float(counters.failed),
        latency=latency if len(latency) == BUCKETS and _are_counts(latency) else (),
        quality=_read_quality(counters.quality),
        classes=tuple(map(float, counters.classes)) if _are_counts(counters.classes) else (),
        objectives={
            _plain(name): tuple(map(float, numbers))
            for name, numbers in counters.objectives.items()
            if 2 <= len(numbers) <= 3 and _are_counts(numbers)
        },
    )


def _are_counts(values: Iterable[float]) -> bool:
    return all(0 <= value <= LARGEST for value in values)


def _read_quality(quality: tuple[float, float, float] | None) -> Quality | None:
    if quality is None or not abs(quality[0]) <= LARGEST or not _are_counts(quality[2:]):
        return None
    summed, squares, number = map(float, quality)
    return summed, squares if 0 <= squares <= LARGEST else None, number


@dataclass(frozen=True, slots=True)
class Buckets:
    """Requests by latency bucket, without the empty buckets at both ends."""

    first: int
    counts: tuple[float, ...]

    @classmethod
    def of(cls, counts: Array) -> Buckets:
        """From all BUCKETS counts."""
        held = np.flatnonzero(counts)
        if len(held) == 0:
            return cls(0, ())
        return cls(int(held[0]), tuple(counts[held[0] : held[-1] + 1].tolist()))

    def dense(self) -> Array:
        """All BUCKETS counts."""
        counts = np.zeros(BUCKETS)
        counts[self.first : self.first + len(self.counts)] = self.counts
        return counts


@dataclass(frozen=True, slots=True)
class Counts:
    """What one track counted in a window."""

    ok: float = 0.0
    failed: float = 0.0
    latency: Buckets | None = None
    """None: no server exported a histogram at both ends of the window."""
    quality: Quality | None = None
    classes: tuple[float, ...] = ()
    objectives: Objectives = field(default_factory=dict)

    @property
    def requests(self) -> float:
        """Answered and failed requests."""
        return self.ok + self.failed

    def plus(self, other: Counts) -> Counts:
        """Both together; a part that only one of them has is that one's."""
        return Counts(
            ok=self.ok + other.ok,
            failed=self.failed + other.failed,
            latency=_either(self.latency, other.latency, lambda a, b: Buckets.of(a.dense() + b.dense())),
            quality=_either(self.quality, other.quality, add_quality),
            classes=_either(self.classes or None, other.classes or None, _add_classes) or (),
            objectives=_add_objectives(self.objectives, other.objectives),
        )


def _either(first: T | None, second: T | None, both: Callable[[T, T], T]) -> T | None:
    if first is None or second is None:
        return second if first is None else first
    return both(first, second)


def add_quality(first: Quality, second: Quality) -> Quality:
    """Both together; squares are known where both know them."""
    squares = None if first[1] is None or second[1] is None else first[1] + second[1]
    return first[0] + second[0], squares, first[2] + second[2]


def _add_classes(first: tuple[float, ...], second: tuple[float, ...]) -> tuple[float, ...]:
    """Servers that know another number of classes cannot be added up: neither counts then."""
    return tuple(a + b for a, b in zip(first, second, strict=True)) if len(first) == len(second) else ()


def _add_objectives(first: Objectives, second: Objectives) -> Objectives:
    """Squares are known where both know them."""
    both = {name: tuple(a + b for a, b in zip(first[name], second[name], strict=False)) for name in first.keys() & second.keys()}
    return {**first, **second, **both}


def add_up(counts: Iterable[Counts]) -> Counts:
    """All of them together."""
    return reduce(Counts.plus, counts, Counts())


def total(readings: Readings) -> Counts:
    """All that the servers have counted since they started."""
    return add_up(_since_start(reading) for reading in readings.values())


def _since_start(now: Reading) -> Counts:
    latency = Buckets.of(_by_bucket((0.0,) * BUCKETS, now.latency)) if now.latency else None
    return Counts(ok=now.ok, failed=now.failed, latency=latency, quality=now.quality, classes=now.classes, objectives=now.objectives)


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to a track between two polls."""

    counts: Counts = field(default_factory=Counts)
    restarted: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    whole: bool = True
    """Every server contributed, and none has gone."""
    fallen: tuple[str, ...] = ()
    """The servers of which anything fell: those that restarted, and those with an objective that did."""


def change(before: Readings, now: Readings, fallen: Readings | None = None) -> Change:
    """Difference server by server, then sum; what restarted, joined or jumped back contributes nothing.

    `fallen` is what the servers that fell at the last poll had counted before.
    """
    fallen = fallen or {}
    stayed = [name for name in now if name in before]
    restarted = tuple(name for name in stayed if _dropped(before[name], now[name]))
    back = {
        name for name, reading in fallen.items() if name in stayed and _dropped(reading, before[name]) and not _dropped(reading, now[name])
    }
    joined = tuple(name for name in now if name not in before)
    return Change(
        counts=add_up(
            _difference(before[name], now[name], fallen.get(name)) for name in stayed if name not in restarted and name not in back
        ),
        restarted=restarted,
        joined=joined,
        whole=not restarted and not back and not joined and len(stayed) == len(before),
        fallen=tuple(name for name in stayed if name in restarted or _objectives_fell(before[name], now[name])),
    )


def _dropped(before: Reading, now: Reading) -> bool:
    """Whether anything that can only rise has fallen; a sum of quality values may fall."""
    pairs = chain(
        ((before.ok, now.ok), (before.failed, now.failed)),
        zip(before.latency, now.latency, strict=False),  # one may be empty
        zip(before.classes, now.classes, strict=True) if len(before.classes) == len(now.classes) else (),
        ((before.quality[2], now.quality[2]),) if before.quality and now.quality else (),
    )
    return any(later < earlier for earlier, later in pairs)


def _objectives_fell(before: Reading, now: Reading) -> bool:
    return any(_fell(before.objectives[name], now.objectives[name]) for name in before.objectives.keys() & now.objectives.keys())


def _fell(before: tuple[float, ...], now: tuple[float, ...]) -> bool:
    return any(later < earlier for earlier, later in zip(before, now, strict=False))  # one may know its squares, the other not


def _difference(before: Reading, now: Reading, fallen: Reading | None = None) -> Counts:
    same_classes = len(before.classes) == len(now.classes)
    return Counts(
        ok=now.ok - before.ok,
        failed=now.failed - before.failed,
        latency=Buckets.of(_by_bucket(before.latency, now.latency)) if before.latency and now.latency else None,
        quality=_subtract_quality(before.quality, now.quality),
        classes=tuple(b - a for a, b in zip(before.classes, now.classes, strict=True)) if same_classes else (),
        objectives=_risen(before.objectives, now.objectives, fallen.objectives if fallen else {}),
    )


def _risen(before: Objectives, now: Objectives, fallen: Objectives) -> Objectives:
    """What each objective has counted, without those that fell, or jumped back to where they were before they did."""
    stayed = {name: (before[name], now[name]) for name in sorted(before.keys() & now.keys()) if not _fell(before[name], now[name])}
    back = {name for name in stayed if name in fallen and _fell(fallen[name], before[name]) and not _fell(fallen[name], now[name])}
    return {name: tuple(y - x for x, y in zip(a, b, strict=False)) for name, (a, b) in stayed.items() if name not in back}


def _by_bucket(before: tuple[float, ...], now: tuple[float, ...]) -> Array:
    """Counts of each bucket; a torn histogram, cumulative yet falling, counts 0 where it falls."""
    risen = np.array(now) - np.array(before)
    counts: Array = np.maximum(np.diff(risen, prepend=0.0), 0.0)
    return counts


def _subtract_quality(before: Quality | None, now: Quality | None) -> Quality | None:
    if before is None or now is None:
        return None
    squares = None if before[1] is None or now[1] is None else now[1] - before[1]
    return now[0] - before[0], squares, now[2] - before[2]
