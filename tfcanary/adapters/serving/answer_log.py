"""Answered requests from the local server's log, as columns: what `evaluate_drift` counts.

One row for each row of a request: `input.<name>` and `output.<name>`, a vector as a list. A request that failed has
inputs and no outputs. Labels join by the request's id, which stands beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tfcanary.core.errors import Refused
from tfcanary.tf.wire import bodies

ROWS = 4096
"""Rows of a batch."""
ID = "id"
"""The column of the request's id; a request of several rows has none that could be joined."""


def answered(folder: Path, since: datetime, until: datetime) -> Iterator[Any]:
    """Arrow record batches of the requests that came in from `since` until before `until`; nothing where none were recorded.

    The column `id` holds the request's. Raises Refused where a file cannot be read, or a column's values are of different kinds, with
    the file's name.
    """
    import pyarrow as pa
    from pyarrow import compute, parquet

    wanted = ["at", "request", "response", "status"]
    for path in sorted(folder.glob("*.parquet")):
        try:
            with parquet.ParquetFile(path) as file:
                known = [ID] if ID in file.schema_arrow.names else []
                for batch in file.iter_batches(ROWS, columns=[*wanted, *known]):
                    at = batch.column("at")
                    here = compute.and_(compute.greater_equal(at, since), compute.less(at, until))
                    if rows := [row for one in batch.filter(here).to_pylist() for row in rows_of(one)]:
                        yield pa.RecordBatch.from_pydict(bodies.columns(rows))
        except (OSError, KeyError, pa.ArrowException, ValueError) as error:
            raise Refused(f"{path}: cannot be read as a request log ({error})") from error


def rows_of(entry: Mapping[str, Any]) -> list[bodies.Row]:
    """The rows of one logged request, each with its answer; raises ValueError where they do not fit together."""
    rows = bodies.rows(entry["request"], entry["response"] if entry["status"] == 200 else None)
    known = entry.get(ID) if len(rows) == 1 else None
    return [{ID: known or None, **row} for row in rows]
