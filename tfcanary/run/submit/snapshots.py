"""Where a release stands, read from its model's record: once, or again and again until the release has ended.

Neither a pipeline nor a KFP host is asked: the record says the same whoever submitted the release.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tfcanary.act import checkpoint, ledger
from tfcanary.act.checkpoint import Checkpoint
from tfcanary.core.ports import Platform
from tfcanary.core.record import Record, Release
from tfcanary.core.timeline import Timeline

REFRESH = 1.0
"""Seconds between two reads of the record."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where a release stands at one instant: the record, its release, and the last poll of its watch."""

    record: Record
    release: Release
    checkpoint: Checkpoint | None
    """The last poll's verdict and the timeline of all polls; None before the first poll."""

    @property
    def timeline(self) -> Timeline | None:
        """What every poll so far measured; None before the first poll."""
        return self.checkpoint.timeline if self.checkpoint else None


def read_snapshot(platform: Platform) -> Snapshot | None:
    """Read where the record's release stands; None where the model never had a release. Raises Unavailable."""
    record = ledger.read(platform)
    return Snapshot(record, record.release, checkpoint.load(platform, record.release)) if record.release else None


def follow_record(platform: Platform) -> Iterator[Snapshot]:
    """Yield the record's release about once a second until it has ended, whoever submitted it. Raises Unavailable."""
    while (snapshot := read_snapshot(platform)) is not None:
        yield snapshot
        if snapshot.release.state.ended:
            return
        platform.clock.sleep(REFRESH)
