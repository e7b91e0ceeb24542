"""Reads request logs as rows: those of KServe's agent (JSON, CSV, Parquet, CloudEvents), Envoy's tap and the local model server.

KServe writes request and answer as two records with the same id, which are joined here. A record without its partner, or without a
readable body, is dropped and counted.
"""

from __future__ import annotations

import csv
import json
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from tfcanary.core.errors import Refused
from tfcanary.look.evaluate.sources.json_lists import LARGEST, objects
from tfcanary.look.evaluate.sources.piece import Piece, Selection
from tfcanary.look.evaluate.sources.tables import explain_errors
from tfcanary.tf.wire import bodies
from tfcanary.tf.wire.row_batches import ID, Rows, batch_of, with_id

REQUESTS = 4_096
"""Number of requests in a batch, at most."""
KINDS = ("request", "response")
"""With which the type of a logger's record ends."""


def is_request_log(first: Mapping[str, Any]) -> bool:
    """Whether the first record of a file is one of a logger, and not a row: its values tell, as the names occur in tables of others, too."""
    record = {name.lower(): value for name, value in first.items()}
    if {"reqtype", "bytes", "id"} <= record.keys():
        return str(record["reqtype"]).endswith(KINDS)
    if {"specversion", "type", "id"} <= record.keys():
        return str(record["type"]).endswith(KINDS)
    if {"at", "request", "response", "status"} <= record.keys():
        return str(record["status"]).isdigit()
    return "http_buffered_trace" in record


@dataclass(slots=True)
class LoggedMessage:
    """A request or an answer in a log, with the time of its record in seconds since 1970."""

    body: bytes | None
    at: float | None
    failed: bool = False
    id: str | None = None


def read(piece: Piece, chosen: Selection, drop: Callable[[int], None]) -> Iterator[tuple[Any, str]]:
    """Read the requests of a piece as record batches; `drop` is called with the number of requests that could not be read."""
    pairs = (pair for pair in _pairs(_records(piece), drop) if not chosen.windowed or _in_window(pair[0], chosen, piece))
    requests = (rows for pair in pairs if (rows := _rows(pair, chosen, drop)))
    while some := list(islice(requests, REQUESTS)):
        batch, number = batch_of(some)
        drop(len(some) - number)
        names = [name for name in batch.schema.names if not chosen.columns or name in chosen.columns or name == ID]
        yield batch.select(names), piece.name


def exchanges(piece: Piece, drop: Callable[[int], None]) -> Iterator[tuple[str, bytes | None, bytes | None]]:
    """Each logged request: its id, which may be empty, its body, and the body of its answer, which is None where it failed."""
    for request, response in _pairs(_records(piece), drop):
        yield request.id or "", request.body, None if response.failed else response.body or b""


def _in_window(request: LoggedMessage, chosen: Selection, piece: Piece) -> bool:
    if request.at is None:
        raise Refused(f"{piece.name}: the records have no time, so rows cannot be selected by time: select files by their names")
    low, high = chosen.seconds
    return low <= request.at < high


def _rows(pair: tuple[LoggedMessage, LoggedMessage], chosen: Selection, drop: Callable[[int], None]) -> Rows:
    """The rows of a request; none, and one dropped request, where they cannot be told apart."""
    request, response = pair
    try:
        rows = bodies.rows(request.body or b"", None if response.failed else response.body or b"")
    except ValueError:
        drop(1)
        return []
    return with_id(rows, request.id) if chosen.ids else rows


def _pairs(records: Iterable[Mapping[str, Any]], drop: Callable[[int], None]) -> Iterator[tuple[LoggedMessage, LoggedMessage]]:
    """Each request with its answer."""
    waiting: dict[tuple[str, bool], LoggedMessage] = {}
    for record in records:
        if "http_buffered_trace" in record:
            trace = record["http_buffered_trace"]
            if isinstance(trace, dict):
                yield _envoy_pair(trace)
            else:
                drop(1)
            continue
        if "status" in record and "request" in record:
            yield _server_pair(record)
            continue
        kind = str(record.get("reqtype") or record.get("type") or "")
        key, is_response = str(record.get("id")), kind.endswith("response")
        message = LoggedMessage(_body(record), _time(record.get("time")), id=key)
        partner = waiting.pop((key, not is_response), None)
        if partner is None:
            drop((key, is_response) in waiting)
            waiting[key, is_response] = message
        else:
            yield (partner, message) if is_response else (message, partner)
    drop(len(waiting))


def _body(record: Mapping[str, Any]) -> bytes | None:
    """The body of a record: base64 in KServe's own format, plain or base64 in a CloudEvent."""
    if isinstance(text := record.get("bytes", record.get("data_base64")), str | bytes):
        return _decode(text)
    data = record.get("data")
    return data.encode() if isinstance(data, str) else json.dumps(data).encode() if data is not None else None


def _envoy_pair(trace: Mapping[str, Any]) -> tuple[LoggedMessage, LoggedMessage]:
    """The request and the answer of a trace of Envoy's tap."""
    request, response = (trace.get(side, {}) for side in ("request", "response"))
    sent, headers = ({one.get("key"): one.get("value") for one in side.get("headers", [])} for side in (request, response))
    at = _time(request.get("headers_received_time")) or _http_time(headers.get("date"))
    return (
        LoggedMessage(_envoy_body(request.get("body", {})), at, id=sent.get("x-request-id")),
        LoggedMessage(_envoy_body(response.get("body", {})), at, headers.get(":status") != "200"),
    )


def _server_pair(record: Mapping[str, Any]) -> tuple[LoggedMessage, LoggedMessage]:
    """The request and the answer of a record of the local model server's log."""
    at = record.get("at")
    seconds = at.timestamp() if isinstance(at, datetime) else _time(at)
    request, response = (str(record.get(side) or "").encode() for side in ("request", "response"))
    return LoggedMessage(request, seconds, id=record.get(ID) or None), LoggedMessage(response, seconds, str(record["status"]) != "200")


def _envoy_body(body: Mapping[str, Any]) -> bytes | None:
    if body.get("truncated"):
        return None
    if "as_string" in body:
        return str(body["as_string"]).encode()
    return _decode(body.get("as_bytes", ""))


def _decode(text: str | bytes) -> bytes | None:
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
    """The records of all files of a piece, with keys in lower case, as versions of KServe differ in their case."""
    for path in (piece.path, *piece.more):
        with explain_errors(str(path), piece.format):
            for record in _file_records(path):
                yield {key.lower(): value for key, value in record.items()}


def _file_records(path: Path) -> Iterator[Mapping[str, Any]]:
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    if is_parquet:
        with pq.ParquetFile(path) as parquet:
            for batch in parquet.iter_batches(REQUESTS):
                yield from batch.to_pylist()
    elif (size := path.stat().st_size) > LARGEST:
        raise Refused(f"{path}: {size} bytes; a logger's file may have at most {LARGEST}")
    elif path.name.lower().endswith(".csv"):
        with path.open(encoding="utf-8-sig", newline="") as text:
            yield from csv.DictReader(text)
    else:
        yield from objects(path.read_text(encoding="utf-8-sig"))
