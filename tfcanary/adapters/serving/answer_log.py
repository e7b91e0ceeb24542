"""Reads answered requests from the local model server's log, as columns: the data that `evaluate_drift` counts.

Each row of a request is one row, with the columns `input.<name>` and `output.<name>`; a vector is a list. A request that failed has
inputs and no outputs. The request's id is a column too, so that labels can be joined.

Clients write what they like, so a request that does not fit is dropped and counted in a warning; it never hides the other requests.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tfcanary.core.errors import Refused
from tfcanary.tf.wire import bodies

BATCH = 4096
"""Requests of one batch, at most."""
ID = "id"
"""The column of the request's id; a request of several rows has none, since no label could be joined to one of them."""
LARGEST_INTEGER = 2**63
"""Integers from here on have no type in Arrow."""
EXACT = 2**53
"""Floats represent every integer up to this one."""
EMPTY, NO_TYPE, TEXT = "nothing", "?", "text"
"""Names of types: of the elements of an empty list, of what Arrow has no type for, and of text."""

logger = logging.getLogger(__name__)

Rows = list[bodies.Row]
"""The rows of one request."""


def record_batches(folder: Path, since: datetime, until: datetime) -> Iterator[Any]:
    """Yield Arrow record batches of the requests that came in from `since` until before `until`; nothing where none were recorded.

    A request is dropped where its rows cannot be told apart, or where a column has another type than in most requests of its batch.
    Raises Refused, with the file's name, where a file cannot be read as a request log.
    """
    import pyarrow as pa
    from pyarrow import compute, parquet

    columns = ["at", "request", "response", "status"]
    for path in sorted(folder.glob("*.parquet")):
        total = dropped = 0
        try:
            with parquet.ParquetFile(path) as file:
                ids = [ID] if ID in file.schema_arrow.names else []
                for batch in file.iter_batches(BATCH, columns=[*columns, *ids]):
                    at = batch.column("at")
                    inside = compute.and_(compute.greater_equal(at, since), compute.less(at, until))
                    requests = [_rows_of(entry) for entry in batch.filter(inside).to_pylist()]
                    total += len(requests)
                    found, number = _batch_of([rows for rows in requests if rows])
                    dropped += len(requests) - number
                    if number:
                        yield found
        except (OSError, KeyError, pa.ArrowException, ValueError) as error:
            raise Refused(f"{path}: cannot be read as a request log ({error})") from error
        if dropped:
            logger.warning("%s: %d of %d requests do not fit with the others and are dropped", path, dropped, total)


def _rows_of(entry: Mapping[str, Any]) -> Rows:
    """The rows of one logged request, each with its answer; empty where they cannot be told apart."""
    try:
        rows = bodies.rows(entry["request"], entry["response"] if entry["status"] == 200 else None)
    except (ValueError, TypeError, ArithmeticError):  # whatever a client may have sent: a number for a column, a shape with a 0
        return []
    own_id = entry.get(ID) if len(rows) == 1 else None
    return [{ID: own_id or None, **row} for row in rows]


def _batch_of(requests: list[Rows]) -> tuple[Any, int]:
    """One record batch, and the number of requests in it: all of them, or those whose columns have the usual types."""
    import pyarrow as pa

    try:
        return _batch(requests), len(requests)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):  # values of one column differ in type, or Arrow has none for them
        fitting = _fitting(requests)
        return _batch([[_without_large_integers(row) for row in rows] for rows in fitting]), len(fitting)


def _batch(requests: list[Rows]) -> Any:
    import pyarrow as pa

    return pa.RecordBatch.from_pydict(bodies.columns(row for rows in requests for row in rows))


def _fitting(requests: list[Rows]) -> list[Rows]:
    """The requests whose columns all have the type that most rows have there."""
    counts: dict[str, Counter[str]] = {}
    for rows in requests:
        for row in rows:
            for name, value in row.items():
                if value is not None and not (type_name := _type(value)).endswith(EMPTY):
                    counts.setdefault(name, Counter())[type_name] += 1
    usual = {name: types.most_common(1)[0][0] for name, types in counts.items()}
    return [rows for rows in requests if all(_fits(name, value, usual.get(name, "")) for row in rows for name, value in row.items())]


def _fits(name: str, value: Any, usual: str) -> bool:
    if _type(name) != TEXT or NO_TYPE in usual:
        return False
    type_name = TEXT if value is None else _type(value)
    # An empty list fits with every list.
    return value is None or type_name == usual or (type_name.endswith(EMPTY) and usual.startswith(type_name.removesuffix(EMPTY)))


def _type(value: Any) -> str:
    """The name of the type that Arrow gives a value; NO_TYPE is in it where Arrow has none, EMPTY where a list tells none."""
    if isinstance(value, list):
        types = {_type(one) for one in value if one is not None}
        known = {one for one in types if not one.endswith(EMPTY)} or types
        return f"list of {known.pop() if len(known) == 1 else NO_TYPE if known else EMPTY}"
    if isinstance(value, dict):
        return f"object of {', '.join(f'{name}: {_type(one)}' for name, one in sorted(value.items()))}"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "number" if -LARGEST_INTEGER <= value < LARGEST_INTEGER else NO_TYPE
    if isinstance(value, str):
        return TEXT if value == value.encode("utf-8", "replace").decode() else NO_TYPE
    return "number" if isinstance(value, float) else NO_TYPE


def _without_large_integers(row: bodies.Row) -> bodies.Row:
    """The row with integers that no float represents as floats: Arrow takes no column of both."""
    return {name: _round(value) for name, value in row.items()}


def _round(value: Any) -> Any:
    if isinstance(value, list):
        return [_round(one) for one in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) > EXACT else value
