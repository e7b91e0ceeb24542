"""Records in files: one file for each model, swapped under a lock and replaced as a whole."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tfcanary.adapters.record_checks import check_schema, with_beat
from tfcanary.adapters.routing.atomic_files import write_aside, write_lock
from tfcanary.core import codec
from tfcanary.core.errors import Conflict, Refused, Unavailable
from tfcanary.core.ports import Stored
from tfcanary.core.record import Beat, Record

log = logging.getLogger("tfcanary.local")


@dataclass(frozen=True, slots=True)
class FileRecords:
    """The record of one model, as the document `{"generation": n, "record": {...}}`."""

    path: Path

    def read(self) -> Stored | None:
        """Return what was last written; None where nothing was. Raises Refused where the schema is unknown, or the file is no record."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"{self.path}: cannot be read ({error.strerror})") from error
        try:
            document = json.loads(text)
            generation, record = int(document["generation"]), dict(document["record"])
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(f"{self.path}: is no record ({error!r})") from error
        check_schema(record, str(self.path))
        return Stored(record=codec.decode(Record, record, at=str(self.path)), generation=generation)

    def swap(self, record: Record, generation: int) -> int:
        """Write over `generation` and return the new one; raises Conflict where somebody wrote first, Refused where the schema is unknown."""
        if record.model != self.path.stem:
            raise Refused(f"record of {record.model!r}: {self.path} is the record of {self.path.stem!r}")
        with self._write_lock():
            stored = self.read()
            present = stored.generation if stored else 0
            if present != generation:
                raise Conflict(f"{self.path}: generation {generation} was to be written over, but it is {present} by now")
            self._write(Stored(_with_newer_beat(record, stored), generation + 1))
        _log_events(record, stored)
        return generation + 1

    def beat(self, run_id: str, beat: Beat) -> Stored:
        """Write the guard's beat under the generation that stands, and return the record; raises Refused where there is no record."""
        with self._write_lock():
            stored = self.read()
            if stored is None:
                raise Refused(f"{self.path}: there is no record, and so no release {run_id!r} to guard")
            after = replace(stored, record=with_beat(stored.record, run_id, beat))
            if after != stored:
                self._write(after)
        return after

    def _write(self, stored: Stored) -> None:
        document = {"generation": stored.generation, "record": codec.encode(stored.record)}
        try:
            write_aside(self.path, json.dumps(document, allow_nan=False), durable=True)
        except OSError as error:
            raise Unavailable(f"{self.path}: cannot be written ({error.strerror})") from error

    @contextmanager
    def _write_lock(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"{self.path}: cannot be written ({error.strerror})") from error
        with write_lock(self.path):
            yield


def _with_newer_beat(record: Record, stored: Stored | None) -> Record:
    """The record with a beat that came between this writer's read and its write: beats do not change the generation."""
    before = stored.record.release if stored else None
    return with_beat(record, before.run_id, before.beat) if before and before.beat else record


def _log_events(record: Record, stored: Stored | None) -> None:
    """Log the new events of the release: what Kubernetes Events are on a cluster."""
    release, before = record.release, stored.record.release if stored else None
    known = len(before.events) if release and before and before.run_id == release.run_id else 0
    for event in release.events[known:] if release else ():
        log.info("%s: %s", record.model, event.what)
