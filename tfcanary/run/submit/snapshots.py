"""Where a release stands, read from its model's record: once, or again and again until the release has ended.

Neither a pipeline nor a KFP host is asked: the record says the same whoever submitted the release.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

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
    """The last poll's verdict and the timeline of all polls; None before the first poll, and where the judge's state is missing."""

    @property
    def timeline(self) -> Timeline | None:
        """What every poll so far measured; None where there is no checkpoint."""
        return self.checkpoint.timeline if self.checkpoint else None


def read_snapshot(platform: Platform) -> Snapshot | None:
    """Read where the record's release stands; None where the model never had a release. Raises Unavailable.

    A state of the judge that is missing is read again with the record. It never hides where the release stands.
    """
    for attempt in range(TRIES):
        record = ledger.read(platform)
        if (release := record.release) is None:
            return None
        try:
            return Snapshot(record, release, checkpoint.load(platform, release))
        except (Refused, Conflict) as error:
            LOG.debug("%s", error)
            if attempt == TRIES - 1:
                return Snapshot(record, release, None)
    raise AssertionError


def follow_record(platform: Platform) -> Iterator[Snapshot]:
    """Yield the record's release about once a second until it has ended, whoever submitted it. Raises Unavailable."""
    while (snapshot := read_snapshot(platform)) is not None:
        yield snapshot
        if snapshot.release.state.ended:
            return
        platform.clock.sleep(REFRESH)
