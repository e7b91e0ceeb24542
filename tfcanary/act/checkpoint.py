"""ACT: the judge's state and the timeline, in the bucket at every poll.

Each poll writes under the next number, and only where that does not exist: of two processes that both believe to watch,
one learns at once that it is not alone. The record names the last state that its holder knew of when it renewed; later
numbers go on from there, so that a poll costs no write to the record, and a kill at any moment loses no poll.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field

from tfcanary.act.poll_log import Tape
from tfcanary.core import codec
from tfcanary.core.domain import Verdict
from tfcanary.core.errors import Conflict, Refused
from tfcanary.core.ports import Blob, Platform
from tfcanary.core.record import Judged, Release
from tfcanary.core.timeline import Timeline

TRIES = 5
"""A state that is replaced between the listing and the reading has a successor: five times in a row is no race any more."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that the next process needs to go on judging."""

    judge: str
    """The judge's own JSON."""
    timeline: Timeline
    """What was seen at every poll."""
    verdict: Verdict
    """What the judge said at the last poll."""
    tape: Tape = field(default_factory=Tape)
    """What it was told at the last polls."""


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
    folder = f"{platform.model}/releases/{run_id}/"
    last = max(platform.storage.list(folder), key=lambda blob: blob.name, default=None)
    return _read(platform, Judged(last.name, last.generation)) if last else None


def save(platform: Platform, release: Release, before: Judged | None, checkpoint: Checkpoint) -> Judged:
    """Write the state that follows `before`. Raises Conflict where somebody else wrote it: read again what he saw."""
    name = f"{_folder(platform, release)}{_number(before) + 1:08}.json"
    blob = platform.storage.write(name, codec.dumps(checkpoint).encode(), if_generation=0)
    if before:
        platform.storage.delete(before.name)
    return Judged(blob.name, blob.generation)


def _folder(platform: Platform, release: Release) -> str:
    return f"{platform.model}/releases/{release.run_id}/"


def _number(judged: Judged | None) -> int:
    return int(judged.name.rpartition("/")[2].removesuffix(".json")) if judged else 0


def _newest(platform: Platform, release: Release) -> Judged | None:
    folder, named = _folder(platform, release), release.judged
    last: Blob | None = max(platform.storage.list(folder), key=lambda blob: blob.name, default=None)
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
