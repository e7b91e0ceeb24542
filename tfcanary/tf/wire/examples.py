"""Reads files of tf.Example into columns, without TensorFlow: drift is measured on them.

All records of a block are decoded at once (`record_layout` where they have one layout, else `vectors`); `bench.wire`
compares the speed with protobuf's, one message after the other. A record in an unusual encoding is first serialized again
by protobuf, so the values are always those that protobuf reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfcanary.core.errors import Refused
from tfcanary.tf.wire import record_blocks, record_layout, tfrecord
from tfcanary.tf.wire.decoded_columns import RaggedColumn, Texts, ValueLists, columns
from tfcanary.tf.wire.feature_names import NameTable
from tfcanary.tf.wire.record_layout import ENTRY, FLOATS, INTEGERS, KEY, KINDS, TEXTS, VALUE
from tfcanary.tf.wire.vectors import Octets, Positions, attribute_to, raise_unusual

_IS_KIND = np.isin(np.arange(256), KINDS)
# The six bytes before the values of a short list are 12, size - 2, kind, size - 4, 0a, size - 6; the kind is masked out.
_SHORT_HEADERS = np.int64(0x0A_00_00_00_12 - (2 << 8) - (4 << 24) - (6 << 40))
_WITHOUT_KIND = np.uint64(0xFFFF_FF00_FFFF)


@dataclass(frozen=True, slots=True)
class ExampleColumns:
    """The records of a block, as one column for each feature."""

    rows: int
    """The number of records."""
    by_name: Mapping[str, RaggedColumn]


def read_examples(path: Path) -> Iterator[ExampleColumns]:
    """Yield the records of a file, block by block; raises Refused, with the file and the record's number, where one cannot be read."""
    names = NameTable()
    for block in tfrecord.read_blocks(path):
        try:
            yield decode_examples(block, names)
        except Refused as error:
            raise Refused(f"{path}: {error}") from error


def decode_examples(block: tfrecord.RecordBlock, names: NameTable | None = None) -> ExampleColumns:
    """Return the records of one block; raises Refused, with the record's number, where one is no tf.Example.

    `names` is the table of the names in the file, shared by all its blocks.
    """
    table = names or NameTable()
    return record_blocks.decode(block, lambda source, begins, ends: _decode(source, begins, ends, table), _serialize_again)


def _serialize_again(record: bytes) -> bytes:
    """Return the record in protobuf's own encoding, without unknown fields."""
    from google.protobuf.message import DecodeError

    from tfcanary.tf.wire import messages

    try:
        example = messages.Example.FromString(record)
    except DecodeError as error:
        raise Refused(f"not a tf.Example ({error})") from error
    example.DiscardUnknownFields()
    again: bytes = example.SerializeToString()
    return again


def _decode(source: Octets, begins: Positions, ends: Positions, names: NameTable) -> ExampleColumns:
    """Return the records at these positions; raises UnusualEncoding with those that must be serialized again."""
    maps = _lone_field(source, begins, ends)
    if by_name := record_layout.uniform_columns(source, maps, ends):
        names.add(by_name)
        return ExampleColumns(len(begins), by_name)
    counts, entry_begins, entry_ends = source.repeated(ENTRY, maps, ends)
    features = _features(source, entry_begins, entry_ends, np.repeat(np.arange(len(begins)), counts), names)
    lists = [_lists(source, features, kind) for kind in (FLOATS, INTEGERS, TEXTS)]
    return ExampleColumns(len(begins), columns(list(names.names.values()), features.names, lists, len(begins)))


@dataclass(frozen=True, slots=True)
class _Features:
    """Some features, ordered by name and then by record."""

    records: Positions
    """The index of each feature's record."""
    names: Positions
    """The number of each feature's name."""
    kinds: NDArray[np.uint8]
    """The tag of the list of values; 0 where the feature has none."""
    begins: Positions
    """The position where the list begins."""
    ends: Positions
    """The position after the list."""
    is_short: NDArray[np.bool_]
    """Whether the list is one field with a tag and a length of one byte each."""


def _features(source: Octets, begins: Positions, ends: Positions, records: Positions, names: NameTable) -> _Features:
    """Return the features in these map entries; an entry holds a key, then a value."""
    tags, key_begins, key_ends = source.fields(begins, ends)
    raise_unusual(records[(tags != KEY) | (key_ends >= ends)])
    kinds, is_short = _short_lists(source, key_ends, ends)
    list_begins = key_ends + 4
    if (long := np.flatnonzero(~is_short)).size:
        kinds[long], list_begins[long] = _long_lists(source, key_ends[long], ends[long], records[long])
    numbers = names.numbers(source, key_begins, key_ends, records)
    order = np.argsort(numbers.astype(np.uint16), kind="stable")
    numbers, records = numbers[order], records[order]
    raise_unusual(records[1:][(numbers[1:] == numbers[:-1]) & (records[1:] == records[:-1])])
    return _Features(records, numbers, kinds[order], list_begins[order], ends[order], is_short[order])


def _short_lists(source: Octets, begins: Positions, ends: Positions) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read three headers in six bytes: return the kind of each feature, and whether its list is short.

    A list is short where it is one field, and all lengths are below 128.
    """
    words, sizes = source.words[begins], ends - begins
    kinds = (words >> np.uint64(16)).astype(np.uint8)
    headers = _SHORT_HEADERS + (sizes << 8) + (sizes << 24) + (sizes << 40)
    is_short = ((words & _WITHOUT_KIND).view(np.int64) == headers) & (sizes >= 6) & (sizes < 130) & _IS_KIND[kinds]
    return kinds, is_short


def _long_lists(source: Octets, begins: Positions, ends: Positions, records: Positions) -> tuple[NDArray[np.uint8], Positions]:
    """Read the headers one after the other: return the kind of each feature, and where its list begins."""
    tags, inner, inner_ends = source.fields(begins, ends)
    good = (tags == VALUE) & (inner_ends == ends)
    kinds, list_begins, list_ends = source.fields(inner, ends)
    is_empty = inner == ends
    good &= is_empty | (list_ends == ends) & _IS_KIND[kinds]
    raise_unusual(records[~good])
    kinds[is_empty] = 0
    return kinds, list_begins


def _lists(source: Octets, features: _Features, kind: int) -> ValueLists:
    """Return the lists of one kind among these features."""
    which = np.flatnonzero(features.kinds == kind)
    begins, ends, is_short = features.begins[which], features.ends[which], features.is_short[which].all()
    with attribute_to(features.records[which]):
        if kind != TEXTS:
            begins = begins + 2 if is_short else _lone_field(source, begins, ends)
            counts, values = record_layout.numbers(source, kind, begins, ends)
            return ValueLists(which, features.records[which], counts, np.cumsum(counts), values)
        counts, begins, ends = (np.ones_like(begins), begins + 2, ends) if is_short else source.repeated(ENTRY, begins, ends)
        return ValueLists(which, features.records[which], counts, np.cumsum(counts), Texts(source.content, begins, ends))


def _lone_field(source: Octets, begins: Positions, ends: Positions) -> Positions:
    """Return where the content of the only field begins, in messages that hold one field with the tag ENTRY, or nothing.

    Such messages are a record (its Features) and a list of numbers (its packed values).
    """
    tags, inner, inner_ends = source.fields(begins, ends)
    is_empty = begins == ends
    raise_unusual(np.flatnonzero(~is_empty & ((tags != ENTRY) | (inner_ends != ends))))
    return np.where(is_empty, ends, inner)
