"""Reads files of PredictionLog into columns, without TensorFlow: drift is measured on them where servers log in this format.

As in `examples`, all records of a block are decoded at once, and a record in an unusual encoding is first serialized
again, its tensors as float32, float64, int64 or strings. Only logs of predict requests hold tensors; others are refused.
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
from tfcanary.tf.wire.decoded_columns import RaggedColumn, Texts, ValueLists, columns
from tfcanary.tf.wire.feature_names import NameTable
from tfcanary.tf.wire.vectors import MessageFields, Octets, Positions, attribute_to, raise_unusual

# Tags: the field's number times eight, plus its wire type (prediction_log.proto, prediction_service.proto, tensor.proto).
_PREDICT_LOG, _REQUEST, _RESPONSE, _INPUTS, _OUTPUTS = 0x32, 0x0A, 0x12, 0x12, 0x0A
_OTHER_LOGS = (0x12, 0x1A, 0x22, 0x2A, 0x3A)
_KEY, _VALUE = 0x0A, 0x12
_DTYPE, _SHAPE, _CONTENT, _STRING_VAL = 0x08, 0x12, 0x22, 0x42
_DIM, _UNKNOWN_RANK, _SIZE = 0x12, 0x18, 0x08
# Numbers of DataType: float, double, int32, string and int64.
_INT32, _STRING = 3, 7
_TYPES = (1, 2, 3, 7, 9)
# A DataType, the tag of a field that may hold its values, and their encoding: a numpy dtype of fixed width, or varints.
_NUMBERS = (
    (1, _CONTENT, "<f4"), (1, 0x2A, "<f4"), (2, _CONTENT, "<f8"), (2, 0x32, "<f8"),
    (9, _CONTENT, "<i8"), (9, 0x52, "varint"), (_INT32, _CONTENT, "<i4"), (_INT32, 0x3A, "varint"),
)  # fmt: skip

LARGEST = 64 << 20
"""The most bytes of one tensor as an array."""
MAX_DIMENSIONS = 32


@dataclass(frozen=True, slots=True)
class TensorColumn:
    """One input or output in all records of a block."""

    column: RaggedColumn
    rows: Positions
    """The size of the first dimension in each record, which divides the values into rows; 1 for a scalar, 0 where it is missing."""


@dataclass(frozen=True, slots=True)
class PredictionLogColumns:
    """The records of a block, as one column for each input and output."""

    records: int
    inputs: Mapping[str, TensorColumn]
    outputs: Mapping[str, TensorColumn]


def read_prediction_logs(path: Path) -> Iterator[PredictionLogColumns]:
    """Yield the records of a file, block by block; raises Refused, with the file and the record's number, where one cannot be read."""
    names = NameTable(), NameTable()
    for block in tfrecord.read_blocks(path):
        try:
            yield decode_prediction_logs(block, names)
        except Refused as error:
            raise Refused(f"{path}: {error}") from error


def decode_prediction_logs(block: tfrecord.RecordBlock, names: tuple[NameTable, NameTable] | None = None) -> PredictionLogColumns:
    """Return the records of one block.

    `names` are the tables of the names of inputs and outputs in the file, shared by all its blocks. Raises Refused, with
    the record's number, where a record is no PredictionLog of a predict request.
    """
    inputs, outputs = names or (NameTable(), NameTable())
    return record_blocks.decode(block, lambda source, begins, ends: _decode(source, begins, ends, inputs, outputs), _serialize_again)


def _serialize_again(record: bytes) -> bytes:
    """Return a record with the same tensors and nothing else, each with a type and in a field that `_decode` reads."""
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
        plain.request.inputs[name].CopyFrom(tensor.to_proto(_widen(tensor.to_array(proto, LARGEST))))
    for name, proto in log.predict_log.response.outputs.items():
        plain.response.outputs[name].CopyFrom(tensor.to_proto(_widen(tensor.to_array(proto, LARGEST))))
    again: bytes = messages.PredictionLog(predict_log=plain).SerializeToString()
    return again


def _widen(array: NDArray[Any]) -> NDArray[Any]:
    kind = array.dtype.kind
    if kind == "c":
        raise Refused("holds a tensor of complex numbers")
    if kind == "O" or array.dtype in (np.float32, np.float64):
        return array
    return array.astype(np.float32 if kind == "f" else np.float64 if array.dtype == np.uint64 else np.int64)


def _decode(source: Octets, begins: Positions, ends: Positions, inputs: NameTable, outputs: NameTable) -> PredictionLogColumns:
    """Return the records at these positions; raises UnusualEncoding with those that must be serialized again."""
    logs = source.members(begins, ends)
    is_predict = np.bincount(logs.all(_PREDICT_LOG).owners, minlength=len(begins)) == 1
    raise_unusual(np.flatnonzero(~is_predict))
    raise_unusual(logs.owners[np.isin(logs.tags, _OTHER_LOGS)])
    predict = logs.one(_PREDICT_LOG)
    parts = source.members(predict.begins, predict.ends)
    by_input = _tensors(source, parts.one(_REQUEST), _INPUTS, inputs)
    return PredictionLogColumns(len(begins), by_input, _tensors(source, parts.one(_RESPONSE), _OUTPUTS, outputs))


def _tensors(source: Octets, message: MessageFields, tag: int, names: NameTable) -> dict[str, TensorColumn]:
    """Return the tensors in the map with this tag, by name."""
    entries = source.members(message.begins, message.ends).all(tag)
    with attribute_to(entries.owners):
        pairs = source.members(entries.begins, entries.ends)
        # Protobuf discards a whole map entry that holds anything else.
        raise_unusual(pairs.owners[(pairs.tags != _KEY) & (pairs.tags != _VALUE)])
        keys, values = pairs.one(_KEY), pairs.one(_VALUE)
        numbers = names.numbers(source, keys.begins, keys.ends, keys.owners)
    order = np.argsort(numbers.astype(np.uint16), kind="stable")
    numbers, records = numbers[order], entries.owners[order]
    raise_unusual(records[1:][(numbers[1:] == numbers[:-1]) & (records[1:] == records[:-1])])
    with attribute_to(records):
        lists, rows = _lists(source, source.members(values.begins[order], values.ends[order]), records)
    all_names = list(names.names.values())
    by_name = columns(all_names, numbers, lists, message.messages)
    tensors = {}
    for number, name in enumerate(all_names):
        if name in by_name:
            by_record = np.zeros(message.messages, np.int64)
            by_record[records[numbers == number]] = rows[numbers == number]
            tensors[name] = TensorColumn(by_name[name], by_record)
    return tensors


def _lists(source: Octets, tensors: MessageFields, records: Positions) -> tuple[list[ValueLists], Positions]:
    """Return the values of the tensors, one ValueLists for each type and field, and each tensor's number of rows.

    Raises UnusualEncoding with the tensors of another type, and with those whose values do not fill their shape.
    """
    totals, rows = _shapes(source, tensors)
    types = tensors.one(_DTYPE).numbers
    lists = [_numbers(source, tensors, types, records, *number) for number in _NUMBERS]
    lists.append(_strings(source, tensors, types, records))
    sizes, fields = np.zeros((2, len(types)), np.int64)
    for one in lists:
        sizes[one.which] += one.counts
        fields[one.which] += 1
    raise_unusual(np.flatnonzero((sizes != totals) | (fields > 1) | ~np.isin(types, _TYPES)))
    return lists, rows


def _shapes(source: Octets, tensors: MessageFields) -> tuple[NDArray[np.float64], Positions]:
    """Return each tensor's number of values by its shape, and its number of rows."""
    shapes = tensors.one(_SHAPE)
    parts = source.members(shapes.begins, shapes.ends)
    dims = parts.all(_DIM)
    raise_unusual(parts.all(_UNKNOWN_RANK).owners)
    raise_unusual(np.flatnonzero(np.bincount(dims.owners, minlength=tensors.messages) > MAX_DIMENSIONS))
    with attribute_to(dims.owners):
        sizes = source.members(dims.begins, dims.ends).one(_SIZE).numbers
    totals, rows = np.ones(tensors.messages), np.ones(tensors.messages, np.int64)
    np.multiply.at(totals, dims.owners, sizes)
    owners, first = np.unique(dims.owners, return_index=True)
    rows[owners] = sizes[first]
    return totals, rows


def _numbers(
    source: Octets, tensors: MessageFields, types: Positions, records: Positions, data_type: int, tag: int, encoding: str
) -> ValueLists:
    """Return the lists of the tensors of one DataType whose values stand in the field with this tag."""
    fields = tensors.all(tag)
    is_one = (types[fields.owners] == data_type) & (fields.begins < fields.ends)
    owners, begins, ends = fields.owners[is_one], fields.begins[is_one], fields.ends[is_one]
    raise_unusual(owners[1:][owners[1:] == owners[:-1]])
    with attribute_to(owners):
        counts, values = source.varints(begins, ends) if encoding == "varint" else source.fixed(encoding, begins, ends)
    if data_type == _INT32:
        raise_unusual(np.repeat(owners, counts)[values != values.astype(np.int32)])
        values = values.astype(np.int64)
    return ValueLists(owners, records[owners], counts, np.cumsum(counts), values)


def _strings(source: Octets, tensors: MessageFields, types: Positions, records: Positions) -> ValueLists:
    """Return the lists of the string tensors; strings in `tensor_content` are unusual."""
    fields, contents = tensors.all(_STRING_VAL), tensors.all(_CONTENT)
    is_string = types[fields.owners] == _STRING
    raise_unusual(contents.owners[types[contents.owners] == _STRING])
    which, counts = np.unique(fields.owners[is_string], return_counts=True)
    texts = Texts(source.content, fields.begins[is_string], fields.ends[is_string])
    return ValueLists(which, records[which], counts.astype(np.int64), np.cumsum(counts), texts)
