"""Records in files: one for each model, swapped under a lock and replaced as a whole."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from tfcanary.adapters.record_checks import check_writer, with_heartbeat
from tfcanary.adapters.routing.atomic_files import write_aside
from tfcanary.core import codec
from tfcanary.core.errors import Conflict, Refused, Unavailable
from tfcanary.core.ports import Stored
from tfcanary.core.record import Record

log = logging.getLogger("tfcanary.local")

PATIENCE = 10.0
"""Seconds for a lock that is held for one write: whoever holds it longer was stopped in the middle."""


@dataclass(frozen=True, slots=True)
class FileRecords:
    """The record of one model, as `{"generation": n, "record": {...}}`."""

    path: Path

    def read(self) -> Stored | None:
        """What was last written; None where nothing was. Refused where another version of tfcanary wrote it, or it is no record."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"{self.path}: cannot be read ({error.strerror})") from error
        try:
            said = json.loads(text)
            generation, record = int(said["generation"]), dict(said["record"])
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(f"{self.path}: is no record ({error!r})") from error
        check_writer(record, str(self.path))
        return Stored(record=codec.decode(Record, record, at=str(self.path)), generation=generation)

    def swap(self, record: Record, generation: int) -> int:
        """Write over `generation` and return the new one; raises Conflict where somebody wrote first, Refused where another version did."""
        if record.model != self.path.stem:
            raise Refused(f"record of {record.model!r}: {self.path} is the record of {self.path.stem!r}")
        with self._locked():
            stored = self.read()
            present = stored.generation if stored else 0
            if present != generation:
                raise Conflict(f"{self.path}: generation {generation} was to be written over, but it is {present} by now")
            self._write(Stored(_beat_kept(record, stored), generation + 1))
        _tell(record, stored)
        return generation + 1

    def beat(self, run_id: str, at: datetime) -> Stored:
        """Write the guard's heartbeat under the generation that stands; raises Refused where there is no record."""
        with self._locked():
            stored = self.read()
            if stored is None:
                raise Refused(f"{self.path}: there is no record, and so no release {run_id!r} to guard")
            after = replace(stored, record=with_heartbeat(stored.record, run_id, at))
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
    def _locked(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Beside the record, for the record's own file is another one after each write.
        handle = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + PATIENCE
        try:
            while not _lock(handle):
                if time.monotonic() > deadline:
                    raise Unavailable(f"{self.path}: another process has held its lock for {PATIENCE:.0f} s")
                time.sleep(random.uniform(0.001, 0.005))
            yield
        finally:
            os.close(handle)


def _beat_kept(record: Record, stored: Stored | None) -> Record:
    """A beat that came between this writer's read and its write is not undone: beats do not change the generation."""
    before = stored.record.release if stored else None
    return with_heartbeat(record, before.run_id, before.guard_seen) if before and before.guard_seen else record


def _tell(record: Record, stored: Stored | None) -> None:
    """What happened, in the log: what Events are on a cluster."""
    release, before = record.release, stored.record.release if stored else None
    known = len(before.events) if release and before and before.run_id == release.run_id else 0
    for event in release.events[known:] if release else ():
        log.info("%s: %s", record.model, event.what)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
