"""The sampled request log: what came in and what went out, as Parquet files for drift and for comparing versions.

A thread of its own writes; a request only puts itself into a queue, and where that is full it is dropped and counted. A file
gets its name when it is complete, so that a reader never sees half of one; names sort by time.
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
from itertools import count
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Thread
from typing import Any

QUEUE = 256
"""Requests that wait to be written."""
LARGEST = 256 << 10
"""Bytes of a request or answer that is kept; longer ones are dropped."""
LARGEST_FILE = 32 << 20
"""A file is complete, too, when its requests and answers have so many bytes."""


@dataclass(slots=True)
class Entry:
    """One request and its answer, filled in on the way."""

    id: str
    """The x-request-id, or empty."""
    model: str
    request: bytes
    """JSON."""
    response: bytes = b""
    """JSON."""
    version: int | None = None
    signature: str = ""
    status: int = 200
    """HTTP."""
    at: float = field(default_factory=time.time)

    @property
    def size(self) -> int:
        """Bytes of the request and the answer."""
        return len(self.request) + len(self.response)


Counted = Callable[[str, str], None]
"""Told model and outcome of each request in the sample: `OK` (written), `RESOURCE_EXHAUSTED` (dropped), `INTERNAL` (lost)."""


class RequestLog:
    """Keeps a share of the requests in `folder`; `close` writes what is left."""

    def __init__(self, folder: Path, share: float, rows: int, seconds: float, counted: Counted) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._share = share
        self._rows = rows
        self._seconds = seconds
        self._counted = counted
        self._numbers = count()
        self._queue: Queue[Entry | None] = Queue(QUEUE)
        self._writer = Thread(target=self._write, name="request-log", daemon=True)
        self._writer.start()

    def wants(self, identity: str) -> bool:
        """Whether a request is in the sample. The same id is always, or never: a mirrored copy is kept with its original."""
        draw = zlib.crc32(identity.encode()) / 2**32 if identity else random.random()
        return draw < self._share

    def put(self, entry: Entry) -> None:
        """Hand over one request; never waits."""
        try:
            if max(len(entry.request), len(entry.response)) > LARGEST:
                raise Full
            self._queue.put_nowait(entry)
        except Full:
            self._counted(entry.model, "RESOURCE_EXHAUSTED")

    def close(self) -> None:
        """Write what waits."""
        self._queue.put(None)
        self._writer.join()

    def _write(self) -> None:
        while entries := self._batch():
            whole = [entry for entry in entries if entry]
            if whole:
                self._save(whole)
            if len(whole) < len(entries):
                return

    def _batch(self) -> list[Entry | None]:
        """What belongs into one file; ends with None after the last."""
        first = self._queue.get()
        entries, size, until = [first], 0, time.monotonic() + self._seconds
        while (last := entries[-1]) and len(entries) < self._rows and (size := size + last.size) < LARGEST_FILE:
            try:
                entries.append(self._queue.get(timeout=max(until - time.monotonic(), 0.0)))
            except Empty:
                break
        return entries

    def _save(self, entries: list[Entry]) -> None:
        first = datetime.fromtimestamp(entries[0].at, UTC)
        name = f"requests-{first:%Y%m%dT%H%M%S.%fZ}-{os.getpid()}-{next(self._numbers):06}.parquet"
        outcome = "OK"
        try:
            aside = self._folder / f".{name}.partial"  # neither shown by ls nor found by *.parquet
            _save(entries, aside)
            aside.replace(self._folder / name)
        except OSError as error:
            outcome = "INTERNAL"
            print(f"request log: {name}: {error}", file=sys.stderr)
        for entry in entries:
            self._counted(entry.model, outcome)


def _save(entries: list[Entry], path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    def column(value: Callable[[Entry], Any], kind: Any) -> Any:
        return pa.array([value(entry) for entry in entries], kind)

    def texts(value: Callable[[Entry], str]) -> Any:
        # A client may send what is no text: half a surrogate pair would not be written.
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
