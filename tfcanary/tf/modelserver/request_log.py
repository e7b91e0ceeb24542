"""Writes a sample of requests and responses to files, for measuring drift and for comparing versions.

Parquet files have predict requests and their responses as JSON, also those that failed. TFRecord files have PredictionLog
messages, of every request that succeeded; a copy of such a file is a warm-up file. A thread of its own writes the files. A request only waits in a queue for it, and is dropped and counted where the queue is
full. A file gets its final name when it is complete, so no reader sees a part of one; the order of the names is the order
of time.
"""

from __future__ import annotations

import os
import random
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import count
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Thread
from typing import Any

QUEUE_LENGTH = 256
"""The most requests that wait to be written."""
MAX_BODY_SIZE = 256 << 10
"""The most bytes of a request or a response; longer ones are dropped."""
MAX_FILE_SIZE = 32 << 20
"""A file is complete, too, when its requests and responses have this number of bytes."""


@dataclass(slots=True)
class LogEntry:
    """One request and its response; the server fills in the fields while it handles the request."""

    id: str
    """The value of x-request-id, or empty."""
    model: str
    request: bytes = b""
    """The request's body as JSON, for a Parquet file."""
    response: bytes = b""
    """The response's body as JSON, for a Parquet file."""
    message: Any = None
    """The request and the response as a PredictionLog, for a TFRecord file; None where the request failed."""
    version: int | None = None
    """The version that served the request; None where none did."""
    signature: str = ""
    status: int = 200
    """The HTTP status."""
    at: float = field(default_factory=time.time)
    """The time of the request, in seconds since 1970."""

    @property
    def largest(self) -> int:
        """The bytes of the request or of the response, whichever has more."""
        return max(len(self.request), len(self.response), self.message.ByteSize() // 2 if self.message else 0)

    @property
    def size(self) -> int:
        """The bytes of the request and the response together."""
        return len(self.request) + len(self.response) + (self.message.ByteSize() if self.message else 0)


class LogFormat(StrEnum):
    """The format of the files, which is the end of their names."""

    PARQUET = "parquet"
    TFRECORD = "tfrecord"


CountOutcome = Callable[[str, str], None]
"""A function that is called for each request in the sample, with its model and its outcome.

The outcome is `OK` for a request that was written, `RESOURCE_EXHAUSTED` for one that was dropped because it is too long or
the disk too slow, and `INTERNAL` for one that was lost because its file could not be written.
"""


class RequestLogWriter:
    """Writes a share of the requests to files in `folder`; `close` writes those that still wait."""

    def __init__(
        self, folder: Path, share: float, rows: int, seconds: float, count_outcome: CountOutcome, form: LogFormat = LogFormat.PARQUET
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.form = form
        """The format of the files."""
        self._folder = folder
        self._share = share
        self._rows = rows
        self._seconds = seconds
        self._count_outcome = count_outcome
        self._numbers = count()
        self._queue: Queue[LogEntry | None] = Queue(QUEUE_LENGTH)
        self._writer = Thread(target=self._write, name="request-log", daemon=True)
        self._writer.start()

    def begin(self, identity: str, model: str) -> LogEntry | None:
        """Return the entry of a request that begins now; None where it is not in the sample."""
        return LogEntry(identity, model) if self.is_sampled(identity) else None

    def is_sampled(self, identity: str) -> bool:
        """Tell whether a request belongs to the sample.

        The answer depends on the id alone, so that a request and its mirrored copy are both logged or both not. A request
        without an id is drawn at random.
        """
        draw = zlib.crc32(identity.encode()) / 2**32 if identity else random.random()
        return draw < self._share

    def put(self, entry: LogEntry) -> None:
        """Hand over one request to be written; never waits. One that has no form in this format is left out."""
        if not (entry.message if self.form is LogFormat.TFRECORD else entry.request):
            return
        try:
            if entry.largest > MAX_BODY_SIZE:
                raise Full
            self._queue.put_nowait(entry)
        except Full:
            self._count_outcome(entry.model, "RESOURCE_EXHAUSTED")

    def close(self) -> None:
        """Write the requests that wait, and end the thread."""
        self._queue.put(None)
        self._writer.join()

    def _write(self) -> None:
        while batch := self._batch():
            entries = [entry for entry in batch if entry]
            if entries:
                self._save(entries)
            if len(entries) < len(batch):
                return

    def _batch(self) -> list[LogEntry | None]:
        """Return the requests of the next file; None stands at the end of the last batch."""
        first = self._queue.get()
        entries, size, until = [first], 0, time.monotonic() + self._seconds
        while (last := entries[-1]) and len(entries) < self._rows and (size := size + last.size) < MAX_FILE_SIZE:
            try:
                entries.append(self._queue.get(timeout=max(until - time.monotonic(), 0.0)))
            except Empty:
                break
        return entries

    def _save(self, entries: list[LogEntry]) -> None:
        first = datetime.fromtimestamp(entries[0].at, UTC)
        name = f"requests-{first:%Y%m%dT%H%M%S.%fZ}-{os.getpid()}-{next(self._numbers):06}.{self.form}"
        outcome = "OK"
        try:
            partial = self._folder / f".{name}.partial"  # neither `ls` nor `*.parquet` shows this name
            (_write_messages if self.form is LogFormat.TFRECORD else _write_file)(entries, partial)
            partial.replace(self._folder / name)
        except OSError as error:
            outcome = "INTERNAL"
            print(f"request log: {name}: {error}", file=sys.stderr)
        for entry in entries:
            self._count_outcome(entry.model, outcome)


def _write_messages(entries: list[LogEntry], path: Path) -> None:
    from tfcanary.tf.wire import tfrecord

    tfrecord.write(path, (entry.message.SerializeToString() for entry in entries))


def _write_file(entries: list[LogEntry], path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    def column(value: Callable[[LogEntry], Any], kind: Any) -> Any:
        return pa.array([value(entry) for entry in entries], kind)

    def texts(value: Callable[[LogEntry], str]) -> Any:
        # A client may send what is not text: Parquet cannot hold one half of a surrogate pair.
        return column(lambda entry: value(entry).encode("utf-8", "replace").decode(), pa.string())

    columns = {
        "at": column(lambda entry: round(entry.at * 1e6), pa.timestamp("us", tz="UTC")),
        "id": texts(lambda entry: entry.id),
        "model": texts(lambda entry: entry.model),
        "version": column(lambda entry: entry.version, pa.int64()),
        "signature": texts(lambda entry: entry.signature),
        "request": texts(lambda entry: entry.request.decode("utf-8", "replace")),
        "response": texts(lambda entry: entry.response.decode("utf-8", "replace")),
        "status": column(lambda entry: entry.status, pa.int32()),
    }
    parquet.write_table(pa.table(columns), path)
