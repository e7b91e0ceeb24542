"""Reads TFRecord files as Arrow batches: the features of tf.Example, and the tensors of PredictionLog row by row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tfcanary.core.errors import Refused
from tfcanary.look.evaluate.sources.piece import Piece, Selection
from tfcanary.look.evaluate.sources.tables import select
from tfcanary.tf.wire import bodies, prediction_logs, tfrecord
from tfcanary.tf.wire.decoded_columns import RaggedColumn, Texts
from tfcanary.tf.wire.examples import read_examples
from tfcanary.tf.wire.feature_names import NameTable
from tfcanary.tf.wire.prediction_logs import TensorColumn
from tfcanary.tf.wire.vectors import spread


def examples(piece: Piece, chosen: Selection) -> Iterator[tuple[Any, str]]:
    """Read one row from each tf.Example: a feature of one value is a number or a text, one of several a list, one of none null."""
    import pyarrow as pa

    at = piece.name
    listed: set[str] = set()
    for block in read_examples(piece.path):
        wanted = {name: one for name, one in block.by_name.items() if not chosen.columns or name in (*chosen.columns, chosen.time)}
        listed |= {name for name, one in wanted.items() if one.counts.max(initial=0) > 1}
        arrays = {name: _lists(one.values, one.counts) if name in listed else _scalars(one) for name, one in sorted(wanted.items())}
        if arrays:
            yield select(pa.RecordBatch.from_pydict(arrays), chosen, at), at


def predictions(piece: Piece, chosen: Selection) -> Iterator[tuple[Any, str]]:
    """Read one row from each row of a logged request, with its inputs and outputs as columns."""
    import pyarrow as pa

    names = NameTable(), NameTable()
    for block in tfrecord.read_blocks(piece.path):
        selected = _in_window(block, chosen, piece.name)
        try:
            logs = prediction_logs.decode_prediction_logs(selected, names)
        except Refused as error:
            raise Refused(f"{piece.path}: {error}") from error
        arrays = _table(logs)
        wanted = {name: array for name, array in arrays.items() if not chosen.columns or name in chosen.columns}
        if wanted:
            yield pa.RecordBatch.from_pydict(wanted), piece.name


def _in_window(block: tfrecord.RecordBlock, chosen: Selection, at: str) -> tfrecord.RecordBlock:
    """The records whose time is in the window; each message is parsed alone, as the decoder of columns does not read the times."""
    from google.protobuf.message import DecodeError

    from tfcanary.tf.wire import messages

    if not chosen.windowed:
        return block
    low, high = chosen.seconds
    try:
        times = [messages.PredictionLog.FromString(record).log_metadata.timestamp_secs for record in block.records()]
    except DecodeError as error:
        raise Refused(f"{at}: not a PredictionLog ({error})") from error
    if not all(times):
        raise Refused(f"{at}: record {block.first + times.index(0)}: has no time, so rows cannot be selected by time")
    inside = np.array([low <= time < high for time in times], bool)
    return tfrecord.RecordBlock(block.content, block.first, block.begins[inside], block.ends[inside])


def _table(logs: prediction_logs.PredictionLogColumns) -> dict[str, Any]:
    tensors = {bodies.INPUT + name: one for name, one in sorted(logs.inputs.items())}
    tensors |= {bodies.OUTPUT + name: one for name, one in sorted(logs.outputs.items())}
    rows = np.max([tensor.rows for tensor in tensors.values()], axis=0) if tensors else np.zeros(0, np.int64)
    return {name: _by_row(tensor, rows) for name, tensor in tensors.items()}


def _by_row(tensor: TensorColumn, rows: Any) -> Any:
    """The values of a tensor, divided among the rows of its record; a single row is repeated in all of them, a missing one is null."""
    import pyarrow as pa

    own, counts = tensor.rows, tensor.column.counts
    width = counts // np.maximum(own, 1)
    lists = _lists(tensor.column.values, np.repeat(width, own))
    first = np.cumsum(own) - own
    within = np.arange(int(rows.sum())) - np.repeat(np.cumsum(rows) - rows, rows)
    index = np.repeat(first, rows) + np.where(np.repeat(own == 1, rows), 0, within)
    missing = within >= np.repeat(np.where(own == 1, rows, own), rows)
    single = bool((width[own > 0] == 1).all())
    if not len(lists):
        return pa.nulls(len(index)) if single else pa.nulls(len(index), lists.type)
    return (lists.values if single else lists).take(pa.array(np.where(missing, 0, index), mask=missing))


def _scalars(column: RaggedColumn) -> Any:
    import pyarrow as pa

    some = column.counts > 0
    values = _values(column.values)
    if some.all():
        return values
    at = np.cumsum(some) - 1
    return values.take(pa.array(np.maximum(at, 0), mask=~some)) if some.any() else pa.nulls(len(some))


def _lists(values: Any, counts: Any) -> Any:
    import pyarrow as pa

    return pa.LargeListArray.from_arrays(pa.array(np.concatenate(([0], np.cumsum(counts))), pa.int64()), _values(values))


def _values(values: Any) -> Any:
    """The values of all records as one array; texts are copied out of the content of the file."""
    import pyarrow as pa

    if not isinstance(values, Texts):
        return pa.array(np.ascontiguousarray(values))
    lengths = values.ends - values.begins
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    octets = np.frombuffer(values.content, np.uint8)
    content = octets[spread(values.begins, lengths, 1)] if len(lengths) and not (lengths == 1).all() else octets[values.begins]
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(lengths), [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(content))]
    )
