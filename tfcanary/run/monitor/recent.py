"""The records that a guard has read lately: its page of metrics shows these, and asks the API server for none of its own.

A guard's beat is answered with the record as it stands, several times a minute.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tfcanary.core.ports import Clock, Platform, Records, Stored
from tfcanary.core.record import Beat, Record

LATELY = timedelta(seconds=45)
"""How old a record may be on a page: longer than a guard waits between two beats with the plan's default times."""


@dataclass(slots=True)
class RecentRecords:
    """The newest record of each model, with the time at which it was read or written."""

    _newest: dict[str, tuple[datetime, Record]] = field(default_factory=dict)

    def noting(self, platform: Platform) -> Platform:
        """The platform, with records that are noted here whenever they are read or written."""
        return replace(platform, records=_NotedRecords(platform.records, platform.model, platform.clock, self._newest))

    def of(self, model: str, now: datetime) -> tuple[datetime, Record] | None:
        """The newest record of a model and its time; None where none was noted lately."""
        newest = self._newest.get(model)
        return newest if newest and now - newest[0] <= LATELY else None


@dataclass(frozen=True, slots=True)
class _NotedRecords:
    """`ports.Records` that notes what passes."""

    inner: Records
    model: str
    clock: Clock
    newest: dict[str, tuple[datetime, Record]]

    def read(self) -> Stored | None:
        stored = self.inner.read()
        if stored:
            self._note(stored.record)
        return stored

    def swap(self, record: Record, generation: int) -> int:
        written = self.inner.swap(record, generation)
        self._note(record)
        return written

    def beat(self, run_id: str, beat: Beat) -> Stored:
        stored = self.inner.beat(run_id, beat)
        self._note(stored.record)
        return stored

    def _note(self, record: Record) -> None:
        self.newest[self.model] = self.clock.now(), record
