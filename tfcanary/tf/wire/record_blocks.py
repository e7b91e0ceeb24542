"""Decodes all records of a block at once; a record in an unusual encoding is first serialized again by protobuf."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from tfcanary.core.errors import Refused
from tfcanary.tf.wire.tfrecord import RecordBlock
from tfcanary.tf.wire.vectors import Octets, Positions, UnusualEncoding

Columns = TypeVar("Columns")


def decode(
    block: RecordBlock, decode_all: Callable[[Octets, Positions, Positions], Columns], serialize_again: Callable[[bytes], bytes]
) -> Columns:
    """Return what `decode_all` returns for the records of `block`.

    Where `decode_all` raises UnusualEncoding, the records that it names are replaced, once, by what `serialize_again`
    returns for them. Raises Refused, with the record's number, where `serialize_again` refuses a record, and where a
    replaced record is still unusual.
    """
    content, begins, ends = block.content, block.begins, block.ends
    is_replaced = np.zeros(len(block), bool)
    while True:
        try:
            return decode_all(Octets(content), begins, ends)
        except UnusualEncoding as error:
            which = np.unique(error.which)
        if is_replaced[which].any():
            raise Refused(f"record {block.first + which[is_replaced[which]][0]}: more fields or values than can be read")
        is_replaced[which] = True
        records = [_replacement(content[begins[i] : ends[i]], block.first + i, serialize_again) for i in which.tolist()]
        lengths = np.array([len(record) for record in records], np.int64)
        begins, ends = begins.copy(), ends.copy()
        ends[which] = len(content) + np.cumsum(lengths)
        begins[which] = ends[which] - lengths
        content += b"".join(records)


def _replacement(record: bytes, number: int, serialize_again: Callable[[bytes], bytes]) -> bytes:
    try:
        return serialize_again(record)
    except Refused as error:
        raise Refused(f"record {number}: {error}") from error
