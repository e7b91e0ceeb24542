"""Reads answered requests from the local model server's log, as columns: the data that `evaluate_drift` counts.

Each row of a request is one row, with the columns `input.<name>` and `output.<name>`; a vector is a list. A request that failed has
inputs and no outputs. The request's id is a column too, so that labels can be joined.

Clients write what they like, so a request that does not fit is dropped and counted in a warning; it never hides the other requests.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tfcanary.core.errors import Refused
from tfcanary.tf.wire import bodies
from tfcanary.tf.wire.row_batches import ID, Rows, batch_of, with_id

BATCH = 4096
"""Requests of one batch, at most."""

logger = logging.getLogger(__name__)


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
                    found, number = batch_of([rows for rows in requests if rows])
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
    except ValueError:
        return []
    return with_id(rows, entry.get(ID))
