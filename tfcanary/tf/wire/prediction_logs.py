"""Files of PredictionLog to columns, without TensorFlow: what drift is measured on where servers log in TensorFlow's own format.

As with `examples`, all records of a block are decoded together, and a record that is written in an unusual way is first
written anew, its tensors as float32, float64, int64 or texts. Only predict requests have tensors; others are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcanary.core.errors import Refused
from tfcanary.tf.wire import record_blocks, tfrecord
from tfcanary.tf.wire.decoded_columns import Column, Lists, Texts, columns
from tfcanary.tf.wire.feature_names import Names
from tfcanary.tf.wire.vectors import Members, Octets, Positions, owned, raise_odd

_PREDICT_LOG, _REQUEST, _RESPONSE, _INPUTS, _OUTPUTS = 0x32, 0x0A, 0x12, 0x12, 0x0A
_OTHER_LOGS = (0x12, 0x1A, 0x22, 0x2A, 0x3A)
_KEY, _VALUE = 0x0A, 0x12
_DTYPE, _SHAPE, _CONTENT, _TEXT = 0x08, 0x12, 0x22, 0x42
_DIM, _UNKNOWN_RANK, _SIZE = 0x12, 0x18, 0x08
_INT32, _STRING = 3, 7
_KINDS = (1, 2, 3, 7, 9)
# Kind of tensor, field of its values, and how these are written: packed numbers of fixed width, or varints.
_NUMBERS = (
    (1, _CONTENT, "<f4"), (1, 0x2A, "<f4"), (2, _CONTENT, "<f8"), (2, 0x32, "<f8"),
    (9, _CONTENT, "<i8"), (9, 0x52, "varint"), (_INT32, _CONTENT, "<i4"), (_INT32, 0x3A, "varint"),
)  # fmt: skip

LARGEST = 64 << 20
"""Bytes of one tensor once unfolded."""
MOST_DIMENSIONS = 32


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output in all records of a block."""

    column: Column
    rows: Positions
    """The size of its first dimension in each record: how many rows the values divide into. 1 for a scalar, 0 where it is missing."""


@dataclass(frozen=True, slots=True)
class Logs:
    """The records of a block, tensor by tensor."""

    records: int
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


def read_prediction_logs(path: Path) -> Iterator[Logs]:
    """The file's records, block by block; raises Refused with file and record number where one cannot be read."""
    names = Names(), Names()
    for block in tfrecord.read_blocks(path):
        try:
            yield decode_prediction_logs(block, names)
        except Refused as error:
            raise Refused(f"{path}: {error}") from error


def decode_prediction_logs(block: tfrecord.Block, names: tuple[Names, Names] | None = None) -> Logs:
    """The records of one block; raises Refused with record number where one is no PredictionLog of a predict request."""
    inputs, outputs = names or (Names(), Names())
    return record_blocks.decode(block, lambda source, begins, ends: _decode(source, begins, ends, inputs, outputs), _anew)


def _anew(record: bytes) -> bytes:
    """The record's tensors and nothing else, each in the kinds and the field that `_decode` reads."""
    from google.protobuf.message import DecodeError

    from tfcanary.tf.wire import messages, tensor

    try:
        log = messages.PredictionLog.FromString(record)
    except DecodeError as error:
        raise Refused(f"not a PredictionLog ({error})") from error
    if log.WhichOneof("log_type") != "predict_log":
        raise Refused(f"holds {log.WhichOneof('log_type') or 'no PredictionLog'}; only predict requests have tensors")
    plain = messages.PredictLog()
    for name, proto in log.predict_log.request.inputs.items():
        plain.request.inputs[name].CopyFrom(tensor.to_proto(_widened(tensor.to_array(proto, LARGEST))))
    for name, proto in log.predict_log.response.outputs.items():
        plain.response.outputs[name].CopyFrom(tensor.to_proto(_widened(tensor.to_array(proto, LARGEST))))
    anew: bytes = messages.PredictionLog(predict_log=plain).SerializeToString()
    return anew


def _widened(array: NDArray[Any]) -> NDArray[Any]:
    kind = array.dtype.kind
    if kind == "c":
        raise Refused("holds a tensor of complex numbers")
    if kind == "O" or array.dtype in (np.float32, np.float64):
        return array
    return array.astype(np.float32 if kind == "f" else np.float64 if array.dtype == np.uint64 else np.int64)


def _decode(source: Octets, begins: Positions, ends: Positions, inputs: Names, outputs: Names) -> Logs:
    """All records in step; raises Odd with those that are written in an unusual way."""
    logs = source.members(begins, ends)
    is_predict = np.bincount(logs.all(_PREDICT_LOG).owners, minlength=len(begins)) == 1
    raise_odd(np.flatnonzero(~is_predict))
    raise_odd(logs.owners[np.isin(logs.tags, _OTHER_LOGS)])
    predict = logs.one(_PREDICT_LOG)
    parts = source.members(predict.begins, predict.ends)
    asked = _tensors(source, parts.one(_REQUEST), _INPUTS, inputs)
    return Logs(len(begins), asked, _tensors(source, parts.one(_RESPONSE), _OUTPUTS, outputs))


def _tensors(source: Octets, message: Members, tag: int, names: Names) -> dict[str, Tensor]:
    """The tensors in a map of each message."""
    entries = source.members(message.begins, message.ends).all(tag)
    with owned(entries.owners):
        pairs = source.members(entries.begins, entries.ends)
        # Protobuf throws away a whole map entry that holds anything else.
        raise_odd(pairs.owners[(pairs.tags != _KEY) & (pairs.tags != _VALUE)])
        keys, values = pairs.one(_KEY), pairs.one(_VALUE)
        numbers = names.numbers(source, keys.begins, keys.ends, keys.owners)
    order = np.argsort(numbers.astype(np.uint16), kind="stable")
    numbers, records = numbers[order], entries.owners[order]
    raise_odd(records[1:][(numbers[1:] == numbers[:-1]) & (records[1:] == records[:-1])])
    with owned(records):
        lists, rows = _lists(source, source.members(values.begins[order], values.ends[order]), records)
    known = list(names.known.values())
    found = columns(known, numbers, lists, message.messages)
    return {
        name: Tensor(found[name], _rows(rows, records, numbers == i, message.messages)) for i, name in enumerate(known) if name in found
    }


def _rows(rows: Positions, records: Positions, which: NDArray[np.bool_], messages: int) -> Positions:
    by_record = np.zeros(messages, np.int64)
    by_record[records[which]] = rows[which]
    return by_record


def _lists(source: Octets, tensors: Members, records: Positions) -> tuple[list[Lists], Positions]:
    """The values of each tensor, by the kinds they are written in, and its number of rows."""
    totals, rows = _shapes(source, tensors)
    kinds = tensors.one(_DTYPE).numbers
    lists = [_numbers(source, tensors, kinds, records, *how) for how in _NUMBERS]
    lists.append(_texts(source, tensors, kinds, records))
    filled, fields = np.zeros((2, len(kinds)), np.int64)
    for one in lists:
        filled[one.which] += one.counts
        fields[one.which] += 1
    raise_odd(np.flatnonzero((filled != totals) | (fields > 1) | ~np.isin(kinds, _KINDS)))
    return lists, rows


def _shapes(source: Octets, tensors: Members) -> tuple[NDArray[np.float64], Positions]:
    """How many values each tensor has, and its number of rows."""
    shapes = tensors.one(_SHAPE)
    parts = source.members(shapes.begins, shapes.ends)
    dims = parts.all(_DIM)
    raise_odd(parts.all(_UNKNOWN_RANK).owners)
    raise_odd(np.flatnonzero(np.bincount(dims.owners, minlength=tensors.messages) > MOST_DIMENSIONS))
    with owned(dims.owners):
        sizes = source.members(dims.begins, dims.ends).one(_SIZE).numbers
    totals, rows = np.ones(tensors.messages), np.ones(tensors.messages, np.int64)
    np.multiply.at(totals, dims.owners, sizes)
    owners, first = np.unique(dims.owners, return_index=True)
    rows[owners] = sizes[first]
    return totals, rows


def _numbers(source: Octets, tensors: Members, kinds: Positions, records: Positions, kind: int, tag: int, how: str) -> Lists:
    """The lists of the tensors of one kind that are written in one field."""
    found = tensors.all(tag)
    is_kind = (kinds[found.owners] == kind) & (found.begins < found.ends)
    owners, begins, ends = found.owners[is_kind], found.begins[is_kind], found.ends[is_kind]
    raise_odd(owners[1:][owners[1:] == owners[:-1]])
    with owned(owners):
        counts, values = source.varints(begins, ends) if how == "varint" else source.fixed(how, begins, ends)
    if kind == _INT32:
        raise_odd(np.repeat(owners, counts)[values != values.astype(np.int32)])
        values = values.astype(np.int64)
    return Lists(owners, records[owners], counts, np.cumsum(counts), values)


def _texts(source: Octets, tensors: Members, kinds: Positions, records: Positions) -> Lists:
    found = tensors.all(_TEXT)
    is_text = kinds[found.owners] == _STRING
    raise_odd(tensors.all(_CONTENT).owners[kinds[tensors.all(_CONTENT).owners] == _STRING])
    which, counts = np.unique(found.owners[is_text], return_counts=True)
    texts = Texts(source.content, found.begins[is_text], found.ends[is_text])
    return Lists(which, records[which], counts.astype(np.int64), np.cumsum(counts), texts)
