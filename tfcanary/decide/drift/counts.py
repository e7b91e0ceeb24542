"""The counts of one column: whole numbers, so that adding them up in any order gives the same bits."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcanary.core.errors import Refused
from tfcanary.decide.drift.cells import CountArray, add_up
from tfcanary.decide.drift.entity_spread import COARSE, GROUPS, NULL, Table
from tfcanary.decide.drift.layout import ColumnKind, ColumnLayout

MOST_VALUES = 65_536
"""Number of different values of a category that are counted one by one. Where there are more, all are counted by their checksum."""

NO_KEYS = np.zeros(0, np.uint32)

Part = tuple[Any, CountArray]
"""Keys that occur, which are cells or values, and how often; the counts may have a second axis."""


@dataclass(frozen=True, slots=True)
class ColumnCounts:
    """The counts of one column."""

    column: ColumnLayout
    types: tuple[str, ...]
    """Types of the values, for people, sorted: the files of one data set may differ in the width of their numbers."""
    nulls: int
    nans: int
    whole: bool
    """Whether all finite numbers are whole."""
    keys: Any
    """Rising. Cells or checksums: a NumPy array of uint32. Values of a category: an Arrow array of bytes."""
    counts: CountArray
    """How often each key occurs, at least once; shape (keys,)."""
    spread: Table | None = None
    """The rows by group of entities and coarse cell, shape (GROUPS, COARSE + 2); None where there is no entity."""

    @property
    def present(self) -> int:
        """Number of rows that have a value."""
        return int(self.counts.sum())

    @property
    def rows(self) -> int:
        """Number of all rows."""
        return self.nulls + self.nans + self.present

    @property
    def hashed(self) -> bool:
        """Whether this is a category with too many values, several of which share a checksum."""
        return self.column.kind is ColumnKind.CATEGORY and isinstance(self.keys, np.ndarray) and len(self.keys) > 0


def add(tallies: Sequence[ColumnCounts]) -> ColumnCounts:
    """Return the counts of the rows of all tallies together. Raises Refused where they were counted with different layouts.

    A column that was null in every row fits any layout.
    """
    filled = [t for t in tallies if t.column.kind is not ColumnKind.EMPTY] or list(tallies)
    column = filled[0].column
    _check_same(column, filled)
    keys, counts = gather([(t.keys, t.counts) for t in filled])
    tables = [t.spread for t in tallies if t.spread is not None]
    return ColumnCounts(
        column,
        tuple(sorted({name for t in tallies for name in t.types})),
        sum(t.nulls for t in tallies),
        sum(t.nans for t in tallies),
        all(t.whole for t in tallies),
        keys,
        counts,
        np.sum(tables, axis=0) if tables else None,
    )


def null_counts(column: ColumnLayout, rows: int, by_group: CountArray | None = None) -> ColumnCounts:
    """Return the counts of rows that do not have the column; `by_group` is their number in each group, where there is an entity."""
    spread = None
    if by_group is not None:
        spread = np.zeros((GROUPS, COARSE + 2), np.int64)
        spread[:, NULL] = by_group
    return ColumnCounts(ColumnLayout(column.name, ColumnKind.EMPTY), (), rows, 0, True, NO_KEYS, np.zeros(0, np.int64), spread)


def align(first: ColumnCounts, second: ColumnCounts) -> tuple[Any, CountArray, CountArray]:
    """Return the keys that occur on either side, and their counts on each. Raises Refused where the sides have different layouts."""
    _check_same(first.column, (first, second))
    left, right = ((t.keys, t.counts) for t in (first, second))
    if first.hashed != second.hashed:
        left, right = (part if isinstance(part[0], np.ndarray) else _checksums(*part) for part in (left, right))
    sides = [(left[0], _beside(left[1], 0)), (right[0], _beside(right[1], 1))]
    keys, both = gather(sides, most=None)
    return keys, both[:, 0], both[:, 1]


def gather(parts: Sequence[Part], most: int | None = MOST_VALUES) -> Part:
    """Add up the counts of keys that occur in several parts; the keys rise.

    With more than `most` values, or with checksums among the parts, values are replaced by their checksums.
    """
    parts = [part for part in parts if len(part[0])]
    if not parts:
        return NO_KEYS, np.zeros(0, np.int64)
    if all(isinstance(keys, np.ndarray) for keys, _ in parts):
        return add_up(parts)
    if not any(isinstance(keys, np.ndarray) for keys, _ in parts):
        values, counts = _gather_texts(parts)
        if most is None or len(values) <= most:
            return values, counts
        parts = [(values, counts)]
    return add_up([part if isinstance(part[0], np.ndarray) else _checksums(*part) for part in parts])


def _gather_texts(parts: Sequence[Part]) -> Part:
    import pyarrow as pa
    from pyarrow import compute

    encoded = pa.concat_arrays([values for values, _ in parts]).dictionary_encode()
    counts = np.concatenate([counts for _, counts in parts])
    totals = np.zeros((len(encoded.dictionary), *counts.shape[1:]), np.int64)
    np.add.at(totals, encoded.indices.to_numpy(zero_copy_only=False), counts)
    order = compute.array_sort_indices(encoded.dictionary)
    return encoded.dictionary.take(order), totals[order.to_numpy()]


def _checksums(values: Any, counts: CountArray) -> Part:
    """Return the counts by 16 bits of each value's CRC-32: the same at all times and on all machines, so that profiles stay comparable."""
    keys = np.fromiter((zlib.crc32(value) & 0xFFFF for value in values.to_pylist()), np.uint32, len(values))
    return add_up([(keys, counts)])


def _check_same(column: ColumnLayout, tallies: Sequence[ColumnCounts]) -> None:
    if any(tally.column != column for tally in tallies):
        raise Refused(f"column {column.name[:80]!r} was counted with different layouts: make all profiles with the layout of the first")


def _beside(counts: CountArray, column: int) -> CountArray:
    both = np.zeros((len(counts), 2), np.int64)
    both[:, column] = counts
    return both
