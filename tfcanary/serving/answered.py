"""Answered requests from the local server's log, as columns: what `evaluate_drift` counts.

One row for each row of a request: `input.<name>` and `output.<name>`, a vector as a list. A request that failed has
inputs and no outputs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tfcanary.errors import Refused

ROWS = 4096
"""Rows of a batch."""
UNNAMED = {"input.": "input.value", "output.": "output.value"}
"""What an input or output is called whose name TF Serving leaves out, because it is the only one."""

Row = dict[str, Any]


def answered(folder: Path, since: datetime, until: datetime) -> Iterator[Any]:
    """Arrow record batches of the requests that came in from `since` until before `until`; nothing where none were recorded.

    Raises Refused where a file cannot be read, or a column's values are of different kinds, with the file's name.
    """
    import pyarrow as pa
    from pyarrow import compute, parquet

    for path in sorted(folder.glob("*.parquet")):
        try:
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(ROWS, columns=["at", "request", "response", "status"]):
                    at = batch.column("at")
                    here = compute.and_(compute.greater_equal(at, since), compute.less(at, until))
                    if rows := [row for one in batch.filter(here).to_pylist() for row in rows_of(one)]:
                        yield pa.RecordBatch.from_pydict(_columns(rows))
        except (OSError, KeyError, pa.ArrowException, ValueError) as error:
            raise Refused(f"{path}: cannot be read as a request log ({error})") from error


def rows_of(entry: Mapping[str, Any]) -> Iterator[Row]:
    """The rows of one logged request, each with its answer."""
    body = json.loads(entry["request"])
    asked = list(_rows(body, "instances", "inputs", "input."))
    answer = json.loads(entry["response"]) if entry["status"] == 200 else {}
    given = list(_rows(answer, "predictions", "outputs", "output.")) or [{}] * len(asked)
    if len(asked) != len(given):
        raise ValueError(f"{len(asked)} rows asked, {len(given)} answered")
    for one, other in zip(asked, given, strict=True):
        yield {**one, **other}


def _rows(body: Mapping[str, Any], by_row: str, by_column: str, prefix: str) -> Iterator[Row]:
    """Both forms of TF Serving's REST API: a list of rows, or a column for each name."""
    if by_row in body:
        for row in body[by_row]:
            yield {prefix + name: value for name, value in row.items()} if isinstance(row, dict) else {UNNAMED[prefix]: row}
    elif by_column in body:
        columns = body[by_column] if isinstance(body[by_column], dict) else {UNNAMED[prefix].removeprefix(prefix): body[by_column]}
        for values in zip(*columns.values(), strict=True):
            yield {prefix + name: value for name, value in zip(columns, values, strict=True)}


def _columns(rows: Iterable[Row]) -> dict[str, list[Any]]:
    """Missing values are null: a failed request has no outputs."""
    rows = list(rows)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}
