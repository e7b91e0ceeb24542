"""Decode a block of records in step, and have protobuf write anew what does not fit into the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from tfcanary.core.errors import Refused
from tfcanary.tf.wire.tfrecord import Block
from tfcanary.tf.wire.vectors import Octets, Odd, Positions

Decoded = TypeVar("Decoded")


def decode(block: Block, step: Callable[[Octets, Positions, Positions], Decoded], anew: Callable[[bytes], bytes]) -> Decoded:
    """What `step` makes of all records.

    Where it raises Odd, those records are replaced by what `anew` makes of them, once. Raises Refused, with the record's
    number, where `anew` refuses one, or where it is odd all the same.
    """
    content, begins, ends = block.content, block.begins, block.ends
    replaced = np.zeros(len(block), bool)
    while True:
        try:
            return step(Octets(content), begins, ends)
        except Odd as odd:
            which = np.unique(odd.which)
        if replaced[which].any():
            raise Refused(f"record {block.first + which[replaced[which]][0]}: more fields or values than can be read")
        replaced[which] = True
        records = [_anew(content[begins[i] : ends[i]], block.first + i, anew) for i in which.tolist()]
        lengths = np.array([len(record) for record in records], np.int64)
        begins, ends = begins.copy(), ends.copy()
        ends[which] = len(content) + np.cumsum(lengths)
        begins[which] = ends[which] - lengths
        content += b"".join(records)


def _anew(record: bytes, number: int, anew: Callable[[bytes], bytes]) -> bytes:
    try:
        return anew(record)
    except Refused as error:
        raise Refused(f"record {number}: {error}") from error
