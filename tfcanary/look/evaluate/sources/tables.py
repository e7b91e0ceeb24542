"""Reads tables with pyarrow: Parquet, Arrow and JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from csv import Error as CsvError
from pathlib import Path
from typing import Any

from tfcanary.core.errors import Refused
from tfcanary.look.evaluate.sources.piece import Format, Piece, Selection

MOST_COLUMNS = 10_000
LARGEST_CHUNK = 2 << 30
"""Largest row group in unpacked bytes, as a row group is in memory as a whole."""
ROWS = 65_536
"""Largest number of rows in a batch of JSON lines."""
BLOCK = 4 << 20
"""Bytes of text that are parsed at once; a row must fit into a block."""


@contextmanager
def explain_errors(at: str, kind: str) -> Iterator[None]:
    """Turn errors of readers about a damaged file into Refused, with the place and the format in the sentence."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, ValueError, RecursionError, CsvError) as error:
        raise Refused(f"{at}: cannot be read as {kind} ({str(error).splitlines()[0][:200]})") from error


def first_row(path: Path) -> Mapping[str, Any]:
    """The first row of a Parquet file, where it has one, else the names with None. Raises Refused where it is damaged or has too many columns."""
    import pyarrow.parquet as pq

    with explain_errors(str(path), Format.PARQUET), pq.ParquetFile(path) as file:
        if len(file.schema_arrow.names) > MOST_COLUMNS:
            raise Refused(f"{path}: {len(file.schema_arrow.names)} columns; at most {MOST_COLUMNS} are compared: select the important ones")
        rows = next(file.iter_batches(1), None)
        row: dict[str, Any] = rows.to_pylist()[0] if rows else dict.fromkeys(file.schema_arrow.names)
        return row


def row_groups(path: Path) -> Iterator[Piece]:
    """One piece for each row group of a Parquet file. Raises Refused where the file is damaged or a row group is too large."""
    import pyarrow.parquet as pq

    with explain_errors(str(path), Format.PARQUET), pq.ParquetFile(path) as file:
        for number in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(number)
            if group.total_byte_size > LARGEST_CHUNK:
                raise Refused(
                    f"{path}: row group {number}: {group.total_byte_size} bytes; at most {LARGEST_CHUNK}: write smaller row groups"
                )
            yield Piece(path, Format.PARQUET, group.total_byte_size, number)


def parquet(piece: Piece, chosen: Selection) -> Iterator[tuple[Any, str]]:
    """Read one row group of a Parquet file."""
    import pyarrow.parquet as pq

    with explain_errors(piece.name, Format.PARQUET):
        with pq.ParquetFile(piece.path) as file:
            texts = [field.name for field in file.schema_arrow if _is_text(field.type)]
        with pq.ParquetFile(piece.path, read_dictionary=texts) as file:
            table = file.read_row_group(piece.group, columns=wanted_columns(file.schema_arrow.names, chosen, piece))
    for batch in table.to_batches():
        yield select(batch, chosen, piece.name), piece.name


def arrow(piece: Piece, chosen: Selection) -> Iterator[tuple[Any, str]]:
    """Read a file or a stream of Arrow batches."""
    import pyarrow as pa
    from pyarrow import ipc

    with explain_errors(piece.name, piece.format), pa.memory_map(str(piece.path)) as source:
        reader = ipc.open_stream(source) if piece.format is Format.STREAM else ipc.open_file(source)
        batches = iter(reader) if piece.format is Format.STREAM else map(reader.get_batch, range(reader.num_record_batches))
        for number, batch in enumerate(batches):
            at = f"{piece.name}: batch {number}"
            yield select(batch.select(wanted_columns(batch.schema.names, chosen, piece)), chosen, at), at


def lines(piece: Piece, chosen: Selection) -> Iterator[tuple[Any, str]]:
    """Read a file with one JSON object in each line."""
    from pyarrow import json as pa_json

    with explain_errors(piece.name, piece.format):
        for batch in pa_json.read_json(str(piece.path), pa_json.ReadOptions(block_size=BLOCK)).to_batches(ROWS):
            yield select(batch.select(wanted_columns(batch.schema.names, chosen, piece)), chosen, piece.name), piece.name


def select(batch: Any, chosen: Selection, at: str) -> Any:
    """The rows of the window; the column of the time is dropped unless it is selected. Raises Refused where it is no time."""
    import pyarrow as pa
    from pyarrow import compute

    if not chosen.windowed:
        return batch
    if not chosen.time:
        raise Refused(
            f"{at}: a window needs --time-column, the column with the time of a row; there are {', '.join(batch.schema.names[:20])}"
        )
    with explain_errors(f"{at}: column {chosen.time!r}", "a time"):
        column = batch.column(chosen.time)
        if pa.types.is_temporal(column.type):
            column = compute.divide(column.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64()), 1e6)
        seconds = column.cast(pa.float64())
        low, high = chosen.seconds
        inside = batch.filter(compute.and_(compute.greater_equal(seconds, low), compute.less(seconds, high)))
    return inside if not chosen.columns or chosen.time in chosen.columns else inside.drop_columns([chosen.time])


def wanted_columns(there: list[str], chosen: Selection, piece: Piece) -> list[str]:
    """The columns to read: the selected ones among those of the file, and that of the time. The comparison finds missing ones."""
    if len(set(there)) < len(there):
        twice = next(name for name in there if there.count(name) > 1)
        raise Refused(f"{piece.name}: column {twice[:80]!r} occurs twice: names must be unique")
    if chosen.windowed and chosen.time and chosen.time not in there:
        raise Refused(f"{piece.name}: column {chosen.time[:80]!r} of the window is missing; there are {', '.join(there[:20])}")
    return [name for name in there if not chosen.columns or name in chosen.columns or (chosen.windowed and name == chosen.time)]


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind))
