"""Where a release stands, read from its model's record: once, or again and again until the release has ended.

Neither a pipeline nor a KFP host is asked: the record says the same whoever submitted the release.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from tfcanary.act import checkpoint, ledger
from tfcanary.act.checkpoint import Checkpoint
from tfcanary.core.errors import Conflict, Refused
from tfcanary.core.ports import Platform
from tfcanary.core.record import Record, Release
from tfcanary.core.timeline import Timeline

LOG = logging.getLogger(__name__)
REFRESH = 1.0
"""Seconds between two reads of the record."""
TRIES = 3
"""Reads of the record and the judge's state for one snapshot: each poll replaces the state, so one that the record names may be gone."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where a release stands at one instant: the record, its release, and the last poll of its watch."""

    record: Record
    release: Release
    checkpoint: Checkpoint | None
    """The last poll's verdict and the outline of all polls; None before the first poll, and where the judge's state is missing."""

    @property
    def outline(self) -> Timeline | None:
        """The outline of what the polls so far measured; None before the first poll."""
        return self.checkpoint.timeline if self.checkpoint else None


@dataclass(slots=True)
class SnapshotReader:
    """Reads where the record's release stands, again and again.

    The record is small and read each time; the judge's state is read where the record names another one, and once at the end.
    """

    platform: Platform
    _last: Snapshot | None = field(default=None, init=False)

    def read(self) -> Snapshot | None:
        """Read where the release stands now; None where the model never had a release. Raises Unavailable.

        A state of the judge that is missing is read again with the record. It never hides where the release stands.
        """
        found = None
        for _ in range(TRIES):
            record = ledger.read(self.platform)
            if (release := record.release) is None:
                return None
            try:
                found = self._last = Snapshot(record, release, self._checkpoint_of(release))
            except (Refused, Conflict) as error:
                LOG.debug("%s", error)
                found = Snapshot(record, release, None)
            else:
                break
        return found

    def _checkpoint_of(self, release: Release) -> Checkpoint | None:
        if self._last is not None and _names_the_same_state(self._last.release, release):
            return self._last.checkpoint
        return checkpoint.load(self.platform, release)


def _names_the_same_state(before: Release, now: Release) -> bool:
    return (before.run_id, before.judged, before.state.ended) == (now.run_id, now.judged, now.state.ended)


def read_snapshot(platform: Platform) -> Snapshot | None:
    """Read where the record's release stands; None where the model never had a release. Raises Unavailable."""
    return SnapshotReader(platform).read()


def read_timeline(platform: Platform, snapshot: Snapshot) -> Timeline | None:
    """Read what every poll until the snapshot measured, for a page; None before the first poll. Raises Unavailable."""
    kept = snapshot.checkpoint
    return checkpoint.read_timeline(platform, snapshot.release.run_id, kept) if kept else None


def follow_record(platform: Platform) -> Iterator[Snapshot]:
    """Yield the record's release about once a second until it has ended, whoever submitted it. Raises Unavailable."""
    reader = SnapshotReader(platform)
    while (snapshot := reader.read()) is not None:
        yield snapshot
        if snapshot.release.state.ended:
            return
        platform.clock.sleep(REFRESH)
