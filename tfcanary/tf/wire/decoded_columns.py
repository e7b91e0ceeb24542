"""Columns: the same feature or tensor of many records, back to back. What the fast decoders return."""

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
    """Texts where they lie in a block."""

    content: bytes
    begins: Positions
    ends: Positions

    def __len__(self) -> int:
        return len(self.begins)

    def __getitem__(self, part: slice) -> Texts:
        return Texts(self.content, self.begins[part], self.ends[part])

    def tolist(self) -> list[bytes]:
        """The texts themselves, copied."""
        return [self.content[begin:end] for begin, end in zip(self.begins.tolist(), self.ends.tolist(), strict=True)]


@dataclass(frozen=True, slots=True)
class Column:
    """One feature or tensor in all records of a block."""

    counts: Positions
    """Values in each record; 0 where the record lacks it."""
    values: NDArray[Any] | Texts
    """The values of all records, one after the other: float32, float64, int64, or texts."""


@dataclass(frozen=True, slots=True)
class Lists:
    """Lists of values of one kind, ordered by name and then by record."""

    which: Positions
    """Their places among the lists of all kinds."""
    records: Positions
    counts: Positions
    until: Positions
    """Values in all lists up to each."""
    values: NDArray[Any] | Texts

    def part(self, low: int, high: int) -> Lists:
        """Those whose places lie from `low` to below `high`."""
        first, last = np.searchsorted(self.which, (low, high)).tolist()
        begin, end = (int(self.until[place - 1]) if place else 0 for place in (first, last))
        part = slice(first, last)
        return Lists(self.which[part], self.records[part], self.counts[part], self.until[part], self.values[begin:end])


def columns(known: Sequence[str], numbers: Positions, lists: Sequence[Lists], rows: int) -> dict[str, Column]:
    """A column for each name that occurs; `numbers` are the names of all lists, in their order.

    Raises Refused where a name stands for texts in some records and for numbers in others.
    """
    limits = np.searchsorted(numbers, np.arange(len(known) + 1)).tolist()
    spans = zip(known, limits[:-1], limits[1:], strict=True)
    return {name: _column(name, [one.part(low, high) for one in lists], rows) for name, low, high in spans if low < high}


def _column(name: str, lists: Sequence[Lists], rows: int) -> Column:
    met = [one for one in lists if len(one.which)]
    counts = np.zeros(rows, np.int64)
    for one in met:
        counts[one.records] = one.counts
    if not met:
        return Column(counts, np.zeros(0, np.float32))
    if len(met) == 1:
        return Column(counts, met[0].values)
    if any(isinstance(one.values, Texts) for one in met):
        raise Refused(f"{name[:60]!r} holds texts in some records and numbers in others")
    # int64 and float32 together are float64.
    values = np.concatenate([np.asarray(one.values) for one in met])
    owners = np.concatenate([np.repeat(one.records, one.counts) for one in met])
    return Column(counts, values[np.argsort(owners, kind="stable")])
