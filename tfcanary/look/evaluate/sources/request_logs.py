"""Requests as loggers and proxies keep them, as rows: KServe's agent (JSON, CSV, Parquet, CloudEvents), Envoy's tap, our own server's log.

KServe writes request and answer as two records with the same id; they are joined here. What has no partner, or no body that can be
read, is dropped and counted.
"""

from __future__ import annotations

import csv
import json
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tfcanary.core.errors import Refused
from tfcanary.look.evaluate.sources.piece import Piece, Selection
from tfcanary.look.evaluate.sources.tables import explained
from tfcanary.tf.wire import bodies

LARGEST = 256 << 20
"""Bytes of one file: a logger's batch, which is parsed as a whole."""
ROWS = 4_096
ID = "id"
MOST_NAMES = 1 << 20
"""Bytes of the first line of a CSV file."""


def is_logged(names: list[str]) -> bool:
    """Whether columns or keys of these names are a logger's records, not rows."""
    lower = {name.lower() for name in names}
    forms = ({"reqtype", "bytes", "id"}, {"specversion", "type", "id"}, {"http_buffered_trace"}, {"request", "response", "status"})
    return any(form <= lower for form in forms)


def csv_names(path: Path) -> list[str]:
    """The names in the first line of a CSV file."""
    with path.open("rb") as file:
        first = file.readline(MOST_NAMES).decode("utf-8", "replace")
    return next(csv.reader([first]), [])


@dataclass(slots=True)
class _Half:
    """A request or an answer, with the time that the record carries."""

    body: bytes | None
    at: float | None
    failed: bool = False
    id: str | None = None


def read(piece: Piece, chosen: Selection, drop: Callable[[int], None]) -> Iterator[tuple[Any, str]]:
    """Record batches of the requests in one file."""
    import pyarrow as pa

    found: list[bodies.Row] = []
    for pair in _pairs(_records(piece), drop):
        if chosen.windowed and not _inside(pair[0], chosen, piece):
            continue
        rows = _rows(pair, drop)
        found += [{ID: pair[0].id if len(rows) == 1 else None, **row} for row in rows] if chosen.ids else rows
        if len(found) >= ROWS:
            with explained(piece.name, piece.format):
                yield pa.RecordBatch.from_pydict(_chosen(found, chosen)), piece.name
            found = []
    if found:
        with explained(piece.name, piece.format):
            yield pa.RecordBatch.from_pydict(_chosen(found, chosen)), piece.name


def exchanges(piece: Piece, drop: Callable[[int], None]) -> Iterator[tuple[str, bytes | None, bytes | None]]:
    """Each logged request as it came: its id (empty: none), its body, and that of its answer; None where it failed."""
    for asked, given in _pairs(_records(piece), drop):
        yield asked.id or "", asked.body, None if given.failed else given.body or b""


def _chosen(found: list[bodies.Row], chosen: Selection) -> dict[str, list[Any]]:
    return {
        name: values
        for name, values in bodies.columns(found).items()
        if not chosen.columns or name in chosen.columns or (chosen.ids and name == ID)
    }


def _inside(asked: _Half, chosen: Selection, piece: Piece) -> bool:
    if asked.at is None:
        raise Refused(f"{piece.name}: the records have no time, so no window can be taken: take it by the names of the files")
    low, high = chosen.seconds
    return low <= asked.at < high


def _rows(pair: tuple[_Half, _Half], drop: Callable[[int], None]) -> list[bodies.Row]:
    asked, given = pair
    try:
        return bodies.rows(asked.body or b"", None if given.failed else given.body or b"")
    except ValueError:
        drop(1)
        return []


def _pairs(records: Iterable[Mapping[str, Any]], drop: Callable[[int], None]) -> Iterator[tuple[_Half, _Half]]:
    waiting: dict[tuple[str, bool], _Half] = {}
    for record in records:
        if "http_buffered_trace" in record:
            trace = record["http_buffered_trace"]
            if isinstance(trace, dict):
                yield _tapped(trace)
            else:
                drop(1)
            continue
        if "status" in record and "request" in record:
            yield _served(record)
            continue
        kind = str(record.get("reqtype") or record.get("type") or "")
        key, answers = str(record.get("id")), kind.endswith("response")
        half = _Half(_body(record), _time(record.get("time")), id=key)
        partner = waiting.pop((key, not answers), None)
        if partner is None:
            drop((key, answers) in waiting)
            waiting[key, answers] = half
        else:
            yield (partner, half) if answers else (half, partner)
    drop(len(waiting))


def _body(record: Mapping[str, Any]) -> bytes | None:
    """The body of a record: base64 in KServe's own form, plain or base64 in a CloudEvent."""
    if isinstance(text := record.get("bytes", record.get("data_base64")), str | bytes):
        return _decoded(text)
    data = record.get("data")
    return data.encode() if isinstance(data, str) else json.dumps(data).encode() if data is not None else None


def _tapped(trace: Mapping[str, Any]) -> tuple[_Half, _Half]:
    """Both halves of an Envoy tap."""
    asked, given = (trace.get(side, {}) for side in ("request", "response"))
    sent, headers = ({one.get("key"): one.get("value") for one in side.get("headers", [])} for side in (asked, given))
    at = _time(asked.get("headers_received_time")) or _http_time(headers.get("date"))
    return _Half(_text(asked.get("body", {})), at, id=sent.get("x-request-id")), _Half(
        _text(given.get("body", {})), at, headers.get(":status") != "200"
    )


def _served(record: Mapping[str, Any]) -> tuple[_Half, _Half]:
    """Both halves of the local model server's own log."""
    at = record.get("at")
    seconds = at.timestamp() if isinstance(at, datetime) else _time(at)
    asked, given = (str(record.get(side) or "").encode() for side in ("request", "response"))
    return _Half(asked, seconds, id=record.get(ID) or None), _Half(given, seconds, str(record["status"]) != "200")


def _text(body: Mapping[str, Any]) -> bytes | None:
    if body.get("truncated"):
        return None
    if "as_string" in body:
        return str(body["as_string"]).encode()
    return _decoded(body.get("as_bytes", ""))


def _decoded(text: str | bytes) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return None


def _time(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None


def _http_time(text: Any) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(str(text)).timestamp()
    except ValueError:
        return None


def _records(piece: Piece) -> Iterator[Mapping[str, Any]]:
    """The records of all files of a piece, with keys in lower case: versions of KServe differ in it."""
    for path in (piece.path, *piece.more):
        with explained(str(path), piece.format):
            for record in _of_file(path):
                yield {key.lower(): value for key, value in record.items()}


def _of_file(path: Path) -> Iterator[Mapping[str, Any]]:
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    if is_parquet:
        with pq.ParquetFile(path) as parquet:
            for batch in parquet.iter_batches(ROWS):
                yield from batch.to_pylist()
    elif (size := path.stat().st_size) > LARGEST:
        raise Refused(f"{path}: {size} bytes; at most {LARGEST} are read of a logger's file")
    elif path.name.lower().endswith(".csv"):
        with path.open(encoding="utf-8", newline="") as text:
            yield from csv.DictReader(text)
    else:
        yield from _parsed(path.read_text(encoding="utf-8"))


def _parsed(text: str) -> Iterator[Mapping[str, Any]]:
    """One document, a list of them, or one after the other."""
    decoder, at = json.JSONDecoder(), 0
    while (at := _after_space(text, at)) < len(text):
        document, at = decoder.raw_decode(text, at)
        for one in document if isinstance(document, list) else [document]:
            if not isinstance(one, dict):
                raise ValueError(f"an object is expected, not {str(one)[:40]!r}")
            yield one


def _after_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
