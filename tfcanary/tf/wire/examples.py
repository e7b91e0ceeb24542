"""Files of tf.Example to columns, without TensorFlow: what drift is measured on.

All records of a block are decoded together (`vectors`; `layout` where all are written alike), which `bench.wire` compares with
one protobuf message after the other. A record that is written in an unusual way is first written anew by protobuf, so the
values are always protobuf's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfcanary.core.errors import Refused
from tfcanary.tf.wire import record_blocks, record_layout, tfrecord
from tfcanary.tf.wire.decoded_columns import Column, Lists, Texts, columns
from tfcanary.tf.wire.feature_names import Names
from tfcanary.tf.wire.record_layout import ENTRY, FLOATS, INTEGERS, KEY, KINDS, TEXTS, VALUE
from tfcanary.tf.wire.vectors import Octets, Positions, owned, raise_odd

_IS_KIND = np.isin(np.arange(256), KINDS)
# The six bytes before a short list's values, but the kind: 12, size - 2, kind, size - 4, 0a, size - 6.
_SHORT = np.int64(0x0A_00_00_00_12 - (2 << 8) - (4 << 24) - (6 << 40))
_BUT_KIND = np.uint64(0xFFFF_FF00_FFFF)


@dataclass(frozen=True, slots=True)
class Columns:
    """The records of a block, feature by feature."""

    rows: int
    by_name: Mapping[str, Column]


def read_examples(path: Path) -> Iterator[Columns]:
    """The file's records, block by block; raises Refused with file and record number where one cannot be read."""
    names = Names()
    for block in tfrecord.read_blocks(path):
        try:
            yield decode_examples(block, names)
        except Refused as error:
            raise Refused(f"{path}: {error}") from error


def decode_examples(block: tfrecord.Block, names: Names | None = None) -> Columns:
    """The records of one block; raises Refused with record number where one is no tf.Example."""
    known = names or Names()
    return record_blocks.decode(block, lambda source, begins, ends: _decode(source, begins, ends, known), _anew)


def _anew(record: bytes) -> bytes:
    """The record as protobuf writes it."""
    from google.protobuf.message import DecodeError

    from tfcanary.tf.wire import messages

    try:
        example = messages.Example.FromString(record)
    except DecodeError as error:
        raise Refused(f"not a tf.Example ({error})") from error
    example.DiscardUnknownFields()
    anew: bytes = example.SerializeToString()
    return anew


def _decode(source: Octets, begins: Positions, ends: Positions, names: Names) -> Columns:
    """All records in step; raises Odd with those that are written in an unusual way."""
    maps = _only(source, begins, ends)
    if found := record_layout.alike(source, maps, ends):
        names.add(found)
        return Columns(len(begins), found)
    counts, entry_begins, entry_ends = source.repeated(ENTRY, maps, ends)
    features = _features(source, entry_begins, entry_ends, np.repeat(np.arange(len(begins)), counts), names)
    lists = [_list(source, features, kind) for kind in (FLOATS, INTEGERS, TEXTS)]
    return Columns(len(begins), columns(list(names.known.values()), features.names, lists, len(begins)))


@dataclass(frozen=True, slots=True)
class _Features:
    """Some features, ordered by name and then by record."""

    records: Positions
    names: Positions
    """Numbers of their names."""
    kinds: NDArray[np.uint8]
    """The tag of the list of values; 0: the feature has none."""
    begins: Positions
    ends: Positions
    """Where the list lies."""
    is_short: NDArray[np.bool_]
    """The list is one field with a tag and a length of one byte each."""


def _features(source: Octets, begins: Positions, ends: Positions, records: Positions, names: Names) -> _Features:
    """The features in these map entries: a key and a value each, in this order."""
    tags, key_begins, key_ends = source.fields(begins, ends)
    raise_odd(records[(tags != KEY) | (key_ends >= ends)])
    kinds, is_short = _short(source, key_ends, ends)
    list_begins = key_ends + 4
    if (long := np.flatnonzero(~is_short)).size:
        kinds[long], list_begins[long] = _long(source, key_ends[long], ends[long], records[long])
    numbers = names.numbers(source, key_begins, key_ends, records)
    order = np.argsort(numbers.astype(np.uint16), kind="stable")
    numbers, records = numbers[order], records[order]
    raise_odd(records[1:][(numbers[1:] == numbers[:-1]) & (records[1:] == records[:-1])])
    return _Features(records, numbers, kinds[order], list_begins[order], ends[order], is_short[order])


def _short(source: Octets, begins: Positions, ends: Positions) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The kind of each feature, and whether it is a list of one field, all lengths below 128: three headers in six bytes."""
    words, sizes = source.words[begins], ends - begins
    kinds = (words >> np.uint64(16)).astype(np.uint8)
    headers = _SHORT + (sizes << 8) + (sizes << 24) + (sizes << 40)
    is_short = ((words & _BUT_KIND).view(np.int64) == headers) & (sizes >= 6) & (sizes < 130) & _IS_KIND[kinds]
    return kinds, is_short


def _long(source: Octets, begins: Positions, ends: Positions, records: Positions) -> tuple[NDArray[np.uint8], Positions]:
    """The same step by step: the kind of each feature, and where its list begins."""
    tags, inner, inner_ends = source.fields(begins, ends)
    good = (tags == VALUE) & (inner_ends == ends)
    kinds, list_begins, list_ends = source.fields(inner, ends)
    is_empty = inner == ends
    good &= is_empty | (list_ends == ends) & _IS_KIND[kinds]
    raise_odd(records[~good])
    kinds[is_empty] = 0
    return kinds, list_begins


def _list(source: Octets, features: _Features, kind: int) -> Lists:
    """The lists of one kind among these features."""
    which = np.flatnonzero(features.kinds == kind)
    begins, ends, is_short = features.begins[which], features.ends[which], features.is_short[which].all()
    with owned(features.records[which]):
        if kind != TEXTS:
            begins = begins + 2 if is_short else _only(source, begins, ends)
            counts, values = record_layout.numbers(source, kind, begins, ends)
            return Lists(which, features.records[which], counts, np.cumsum(counts), values)
        counts, begins, ends = (np.ones_like(begins), begins + 2, ends) if is_short else source.repeated(ENTRY, begins, ends)
        return Lists(which, features.records[which], counts, np.cumsum(counts), Texts(source.content, begins, ends))


def _only(source: Octets, begins: Positions, ends: Positions) -> Positions:
    """Where the content begins of messages that hold one field alone, or nothing: a record's map of features, a list's packed numbers."""
    tags, inner, inner_ends = source.fields(begins, ends)
    is_empty = begins == ends
    raise_odd(np.flatnonzero(~is_empty & ((tags != ENTRY) | (inner_ends != ends))))
    return np.where(is_empty, ends, inner)
