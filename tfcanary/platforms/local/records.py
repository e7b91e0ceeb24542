"""Records in files: one for each model, swapped under a lock and replaced as a whole."""

from __future__ import annotations

import fcntl
import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tfcanary import __version__, codec
from tfcanary.errors import Conflict, Refused, Unavailable
from tfcanary.ports import Stored
from tfcanary.record import Record
from tfcanary.routing.files import write_aside

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
        self._check_writer(record.get("writer"))
        return Stored(record=codec.decode(Record, record, at=str(self.path)), generation=generation)

    def swap(self, record: Record, generation: int) -> int:
        """Write over `generation` and return the new one; raises Conflict where somebody wrote first, Refused where another version did."""
        self._check_writer(record.writer)
        if record.model != self.path.stem:
            raise Refused(f"record of {record.model!r}: {self.path} is the record of {self.path.stem!r}")
        with self._locked():
            stored = self.read()
            present = stored.generation if stored else 0
            if present != generation:
                raise Conflict(f"{self.path}: generation {generation} was to be written over, but it is {present} by now")
            document = {"generation": generation + 1, "record": codec.encode(record)}
            self._write(json.dumps(document, allow_nan=False))
        return generation + 1

    def _write(self, text: str) -> None:
        try:
            write_aside(self.path, text, durable=True)
        except OSError as error:
            raise Unavailable(f"{self.path}: cannot be written ({error.strerror})") from error

    def _check_writer(self, writer: object) -> None:
        if writer != __version__:
            raise Refused(
                f"{self.path}: tfcanary {writer} wrote this record, and this is tfcanary {__version__}; use that version, or end its release"
            )

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


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
