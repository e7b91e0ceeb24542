"""Counts Arrow batches, in memory that depends on the columns and not on the rows.

Rows are collected until there are enough to choose a layout from, and then counted column by column.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tfcanary.drift import cells
from tfcanary.drift.counts import Part, Tally, gather
from tfcanary.drift.flat import MOST_POSITIONS, Flat, flatten, numbers, texts
from tfcanary.drift.layout import Column, Kind, Layout
from tfcanary.drift.profiles import Profile, by_name
from tfcanary.errors import Refused

FIRST_ROWS = 65_536
"""From these a layout is chosen; and so many are counted at a time, so that small batches cost no more than large ones."""
MOST_COLUMNS = 10_000
MOST_KEYS = 262_144
"""Counts of a column that wait to be added up."""


def profile(batches: Iterable[Any], layout: Layout | None = None) -> Profile:
    """The exact counts of every column of Arrow record batches.

    Args:
        batches: Rows of a batch that lacks a column of the others count as null there.
        layout: Of the reference, so that both can be compared or merged. Without one it is chosen from the first 65,536 rows; so it is
            for columns that the layout lacks, or has as another kind.

    Raises Refused where the name of a column occurs twice, where its kind changes between batches, or where there are too many columns.
    """
    counting = Counting(layout)
    for batch in batches:
        counting.add(batch)
    return counting.profile()


class Counting:
    """Counts batches as they come."""

    def __init__(self, layout: Layout | None = None) -> None:
        self._given = {column.name: column for column in (layout or Layout()).columns}
        self._columns: dict[str, _Counter] = {}
        self._waiting: list[Any] = []
        self._batches = 0
        self._rows = 0

    def add(self, batch: Any) -> None:
        """Take one Arrow record batch; for what it raises see `profile`."""
        _check_names(batch.schema.names)
        if self._waiting and not batch.schema.equals(self._waiting[0].schema):
            self._count()
        self._waiting.append(batch)
        self._batches += 1
        if sum(waiting.num_rows for waiting in self._waiting) >= FIRST_ROWS:
            self._count()

    def profile(self) -> Profile:
        """The counts of all batches so far."""
        self._count()
        return Profile(self._rows, tuple(self._columns[name].tally() for name in sorted(self._columns, key=by_name)))

    def _count(self) -> None:
        import pyarrow as pa

        rows = sum(batch.num_rows for batch in self._waiting)
        if rows:
            table = pa.Table.from_batches(self._waiting)
            flats = [flat for name in table.column_names for flat in flatten(name, _joined(table[name]), self._positions)]
            _check_names([flat.name for flat in flats])
            for flat in flats:
                self._counter(flat).count(flat)
            for name in set(self._columns).difference(flat.name for flat in flats):
                self._columns[name].nulls += rows
        self._rows += rows
        self._waiting = []

    def _positions(self, name: str, lengths: Any) -> int:
        known = self._columns[name].column if name in self._columns else self._given.get(name)
        if known is not None and known.kind is Kind.LENGTH:
            return known.positions
        longest = int(lengths.max(initial=0))
        return longest if longest <= MOST_POSITIONS and (lengths == longest).all() else 0

    def _counter(self, flat: Flat) -> _Counter:
        known = self._columns.get(flat.name)
        if known is not None and (known.column.kind is flat.kind or flat.nulls == len(flat.array)):
            return known
        if known is not None and known.column.kind is not Kind.EMPTY:
            kinds = f"{flat.kind.value} values, before it {known.column.kind.value} values"
            raise Refused(f"batch {self._batches}: column {flat.name[:80]!r} holds {kinds}: make it one type")
        self._columns[flat.name] = _Counter(self._chosen(flat), self._rows)
        return self._columns[flat.name]

    def _chosen(self, flat: Flat) -> Column:
        given = self._given.get(flat.name)
        if given is not None and given.kind is flat.kind:
            return given
        centres = cells.choose_centres(numbers(flat)[:FIRST_ROWS]) if flat.kind.in_cells else ()
        return Column(flat.name, flat.kind, centres, flat.positions)


class _Counter:
    """Counts one column."""

    def __init__(self, column: Column, nulls: int) -> None:
        self.column = column
        self.nulls = nulls
        self._nans = 0
        self._whole = True
        self._types: set[str] = set()
        self._parts: list[Part] = []

    def count(self, flat: Flat) -> None:
        """Add these rows."""
        self.nulls += flat.nulls
        if flat.nulls == len(flat.array):
            return
        self._types.add(flat.type)
        self._parts.append(self._part(flat))
        if sum(len(counts) for _, counts in self._parts) > MOST_KEYS:
            self._parts = [gather(self._parts)]

    def tally(self) -> Tally:
        """What was counted."""
        keys, counts = gather(self._parts)
        return Tally(self.column, tuple(sorted(self._types)), self.nulls, self._nans, self._whole, keys, counts)

    def _part(self, flat: Flat) -> Part:
        if self.column.kind.in_cells:
            keys, counts, nans, whole = cells.count(numbers(flat), self.column.centres)
            self._nans += nans
            self._whole &= whole
            return keys, counts
        if self.column.kind is Kind.CATEGORY:
            return texts(flat)
        return np.zeros(1, np.uint32), np.array([len(flat.array) - flat.nulls])


def _joined(chunks: Any) -> Any:
    """The chunks of a column as one array."""
    import pyarrow as pa

    array = chunks.unify_dictionaries().combine_chunks() if chunks.num_chunks != 1 else chunks.chunk(0)
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array


def _check_names(names: list[str]) -> None:
    if len(names) > MOST_COLUMNS:
        raise Refused(f"{len(names)} columns: at most {MOST_COLUMNS} are compared; choose those that matter")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Refused(f"column {twice[:80]!r} occurs twice: names must differ")
