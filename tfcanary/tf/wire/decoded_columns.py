"""Columns: the values of one feature or tensor in many records, in one array. The decoders return them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcanary.core.errors import Refused
from tfcanary.tf.wire.vectors import Positions


@dataclass(frozen=True, slots=True)
class Texts:
    """Byte strings that lie in one buffer, at the positions from `begins` to `ends`; nothing is copied."""

    content: bytes
    begins: Positions
    ends: Positions

    def __len__(self) -> int:
        return len(self.begins)

    def __getitem__(self, part: slice) -> Texts:
        return Texts(self.content, self.begins[part], self.ends[part])

    def tolist(self) -> list[bytes]:
        """Return a copy of each text."""
        return [self.content[begin:end] for begin, end in zip(self.begins.tolist(), self.ends.tolist(), strict=True)]


@dataclass(frozen=True, slots=True)
class RaggedColumn:
    """One feature or tensor of all records in a block: a list of values for each record, of any length."""

    counts: Positions
    """The number of values in each record; 0 where the record lacks the feature."""
    values: NDArray[Any] | Texts
    """The values of all records, one record after the other: float32, float64, int64, or texts."""


@dataclass(frozen=True, slots=True)
class ValueLists:
    """Lists of values of one type, of any features, ordered by feature and then by record."""

    which: Positions
    """The index of each list among the lists of all types."""
    records: Positions
    """The record of each list."""
    counts: Positions
    """The number of values in each list."""
    until: Positions
    """The number of values in all lists up to and including each."""
    values: NDArray[Any] | Texts
    """The values of all lists, one list after the other."""

    def part(self, low: int, high: int) -> ValueLists:
        """Return the lists whose index `which` is at least `low` and less than `high`."""
        first, last = np.searchsorted(self.which, (low, high)).tolist()
        begin, end = (int(self.until[place - 1]) if place else 0 for place in (first, last))
        part = slice(first, last)
        return ValueLists(self.which[part], self.records[part], self.counts[part], self.until[part], self.values[begin:end])


def columns(names: Sequence[str], numbers: Positions, lists: Sequence[ValueLists], rows: int) -> dict[str, RaggedColumn]:
    """Return a column of `rows` records for each name that occurs.

    `lists` holds one ValueLists for each type of values. `numbers` says, for every list of every type, the index of its
    feature in `names`, and is sorted. Raises Refused where a name has texts in some records and numbers in others.
    """
    limits = np.searchsorted(numbers, np.arange(len(names) + 1)).tolist()
    spans = zip(names, limits[:-1], limits[1:], strict=True)
    return {name: _column(name, [one.part(low, high) for one in lists], rows) for name, low, high in spans if low < high}


def _column(name: str, lists: Sequence[ValueLists], rows: int) -> RaggedColumn:
    lists = [one for one in lists if len(one.which)]
    counts = np.zeros(rows, np.int64)
    for one in lists:
        counts[one.records] = one.counts
    if not lists:
        return RaggedColumn(counts, np.zeros(0, np.float32))
    if len(lists) == 1:
        return RaggedColumn(counts, lists[0].values)
    if any(isinstance(one.values, Texts) for one in lists):
        raise Refused(f"{name[:60]!r} holds texts in some records and numbers in others")
    # int64 and float32 together become float64.
    values = np.concatenate([np.asarray(one.values) for one in lists])
    owners = np.concatenate([np.repeat(one.records, one.counts) for one in lists])
    return RaggedColumn(counts, values[np.argsort(owners, kind="stable")])
