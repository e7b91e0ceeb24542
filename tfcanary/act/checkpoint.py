"""ACT: the judge's state, the last verdict and an outline of the timeline, in the bucket at every poll.

Each poll writes under the next number, and only where that does not exist: of two processes that both believe to watch,
one learns at once that it is not alone. The record names the last state that its holder knew of when it renewed; later
numbers go on from there, so that a poll costs no write to the record, and a kill at any moment loses no poll.

What grows with every poll, the judge's windows and the points of the timeline, is appended to a tape (`act/tape.py`): so a state is
as large after a day as after ten minutes.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field

from tfcanary.act import tape
from tfcanary.act.tape import Tape
from tfcanary.core import codec, timeline
from tfcanary.core.domain import Verdict
from tfcanary.core.errors import Conflict, Refused
from tfcanary.core.ports import Blob, Platform
from tfcanary.core.record import Judged, Release
from tfcanary.core.timeline import Point, Timeline
from tfcanary.decide.judge import Window

LINES = 60
"""Polls in a reel of the trace: ten minutes at ten seconds. The more, the fewer reads of whoever goes on and the larger each state."""
TRIES = 5
"""A state that is replaced between the listing and the reading has a successor: five times in a row is no race any more."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that the next process needs to go on judging."""

    judge: str
    """The judge's own JSON, without its windows."""
    timeline: Timeline
    """The outline of what was seen; `read_timeline` reads all of it."""
    verdict: Verdict
    """What the judge said at the last poll."""
    polls: Tape = field(default_factory=Tape)
    """What the judge was told at the last polls (`act/poll_log.py`)."""
    trace: Tape = field(default_factory=Tape)
    """What the last polls added to the judge's windows and to the timeline."""


@dataclass(frozen=True, slots=True)
class TraceLine:
    """What one poll adds."""

    point: Point
    windows: tuple[Window, ...] = ()
    """The window that the poll closed, if it closed one."""


def load(platform: Platform, release: Release) -> Checkpoint | None:
    """The newest state of the release; None before the first poll. Raises Refused or Conflict where the bucket no longer holds what the record names."""
    found = latest(platform, release)
    return found[0] if found else None


def latest(platform: Platform, release: Release) -> tuple[Checkpoint, Judged] | None:
    """The newest state, and where it lies."""
    for attempt in range(TRIES):
        newest = _newest(platform, release)
        if newest is None:
            return None
        try:
            return _read(platform, newest), newest
        except Refused:
            if attempt == TRIES - 1:
                raise
    raise AssertionError


def last_of(platform: Platform, run_id: str) -> Checkpoint | None:
    """The last state of a release that has ended, which no record names any more; None where it never polled."""
    last = max(platform.storage.list(folder(platform, run_id)), key=lambda blob: blob.name, default=None)
    return _read(platform, Judged(last.name, last.generation)) if last else None


def save(platform: Platform, release: Release, before: Judged | None, checkpoint: Checkpoint) -> Judged:
    """Write the state that follows `before`. Raises Conflict where somebody else wrote it: read again what he saw."""
    name = f"{folder(platform, release.run_id)}{_number(before) + 1:08}.json"
    blob = platform.storage.write(name, codec.dumps(checkpoint).encode(), if_generation=0)
    if before:
        platform.storage.delete(before.name)
    return Judged(blob.name, blob.generation)


def traced(platform: Platform, run_id: str, trace: Tape, line: TraceLine) -> Tape:
    """The trace of the last checkpoint with what one more poll added; what was full becomes a reel."""
    return tape.add(tape.wind(platform.storage, trace_folder(platform, run_id), trace, LINES), codec.dumps(line))


def read_trace(platform: Platform, run_id: str, kept: Checkpoint) -> tuple[TraceLine, ...]:
    """What each poll of a release added, oldest first. Raises Refused where a reel is missing or is none."""
    at = trace_folder(platform, run_id)
    return tuple(codec.loads(TraceLine, line, at=at) for line in tape.read(platform.storage, platform.bucket_uri, at, kept.trace))


def read_timeline(platform: Platform, run_id: str, kept: Checkpoint) -> Timeline:
    """The timeline with all its points, as a page draws it. Raises Refused where a reel is missing or is none."""
    return timeline.filled(kept.timeline, (line.point for line in read_trace(platform, run_id, kept)))


def folder(platform: Platform, run_id: str) -> str:
    """Where the states of a release lie."""
    return f"{platform.model}/releases/{run_id}/"


def trace_folder(platform: Platform, run_id: str) -> str:
    """Where the reels of a release's trace lie."""
    return f"{platform.model}/traces/{run_id}/"


def _number(judged: Judged | None) -> int:
    return int(judged.name.rpartition("/")[2].removesuffix(".json")) if judged else 0


def _newest(platform: Platform, release: Release) -> Judged | None:
    named = release.judged
    last: Blob | None = max(platform.storage.list(folder(platform, release.run_id)), key=lambda blob: blob.name, default=None)
    if named and (last is None or last.name < named.name):
        raise Refused(f"{platform.bucket_uri}/{named.name}: the judge's state is missing; the record names it")
    if named and last and last.name == named.name and last.generation != named.generation:
        raise Conflict(f"{platform.bucket_uri}/{named.name}: is generation {last.generation}, the record names {named.generation}")
    return Judged(last.name, last.generation) if last else None


def _read(platform: Platform, judged: Judged) -> Checkpoint:
    into = io.BytesIO()
    platform.storage.read(judged.name, into, generation=judged.generation)
    checkpoint: Checkpoint = codec.loads(Checkpoint, into.getvalue(), at=judged.name)
    return checkpoint
