"""Counts Arrow batches, in memory that depends on the columns and not on the rows.

Rows are collected until there are enough to choose a layout from, and then counted column by column.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from tfcanary.core.errors import Refused
from tfcanary.decide.drift import cells, entity_spread
from tfcanary.decide.drift.cells import Counts
from tfcanary.decide.drift.counts import Part, Tally, absent, gather
from tfcanary.decide.drift.layout import Column, Kind, Layout
from tfcanary.decide.drift.plain_columns import MOST_POSITIONS, Flat, each_text, flatten, numbers, texts
from tfcanary.decide.drift.profiles import Profile, by_name

FIRST_ROWS = 65_536
"""From these a layout is chosen; and so many are counted at a time, so that small batches cost no more than large ones."""
MOST_COLUMNS = 10_000
MOST_KEYS = 262_144
"""Counts of a column that wait to be added up."""


def profile(batches: Iterable[Any], layout: Layout | None = None, entity: str = "") -> Profile:
    """The exact counts of every column of Arrow record batches.

    Args:
        batches: Rows of a batch that lacks a column of the others count as null there.
        layout: Of the reference, so that both can be compared or merged. Without one it is chosen from the first 65,536 rows; so it is
            for columns that the layout lacks, or has as another kind. It names the entity, too.
        entity: The column that says which rows belong together, where there is no layout.

    Raises Refused where the name of a column occurs twice, where its kind changes between batches, where there are too many columns, or
    where the column of the entity is missing.
    """
    counting = Counting(layout, entity)
    for batch in batches:
        counting.add(batch)
    return counting.profile()


class Counting:
    """Counts batches as they come."""

    def __init__(self, layout: Layout | None = None, entity: str = "") -> None:
        self._given = {column.name: column for column in (layout or Layout()).columns}
        self._entity = layout.entity if layout and layout.columns else entity
        self._by_group = np.zeros(entity_spread.GROUPS, np.int64) if self._entity else None
        self._columns: dict[str, _Counter] = {}
        self._waiting: list[Any] = []
        self._batches = 0
        self._rows = 0
        self._at = ""
        self.dropped = 0
        """Rows that could not be read; whoever reads them adds them up here."""

    def add(self, batch: Any, at: str = "") -> None:
        """Take one Arrow record batch; `at` says where it comes from, for sentences. For what it raises see `profile`."""
        self._batches += 1
        at = at or f"batch {self._batches}"
        _check_names(batch.schema.names, at)
        if self._waiting and not batch.schema.equals(self._waiting[0].schema):
            self._count()
        self._at = self._at if self._waiting else at
        self._waiting.append(batch)
        if sum(waiting.num_rows for waiting in self._waiting) >= FIRST_ROWS:
            self._count()

    def profile(self) -> Profile:
        """The counts of all batches so far."""
        self._count()
        tallies = tuple(self._columns[name].tally() for name in sorted(self._columns, key=by_name))
        return Profile(self._rows, tallies, self._entity, self._by_group, self.dropped)

    def _count(self) -> None:
        import pyarrow as pa

        rows = sum(batch.num_rows for batch in self._waiting)
        if rows:
            table = pa.Table.from_batches(self._waiting)
            groups = self._groups(table)
            names = [name for name in table.column_names if name != self._entity]
            flats = [flat for name in names for flat in flatten(name, _joined(table[name]), self._positions)]
            _check_names([flat.name for flat in flats], self._at)
            for name in set(self._columns).difference(flat.name for flat in flats):
                self._columns[name].absent(rows, groups)
            for flat in flats:
                self._counter(flat).count(flat, groups)
            if self._by_group is not None and groups is not None:
                self._by_group = self._by_group + np.bincount(groups, minlength=entity_spread.GROUPS)
        self._rows += rows
        self._waiting = []

    def _groups(self, table: Any) -> entity_spread.Groups | None:
        if not self._entity:
            return None
        if self._entity not in table.column_names:
            raise Refused(f"{self._at}: the entity column {self._entity[:80]!r} is missing; there are {', '.join(table.column_names[:20])}")
        return entity_spread.groups_of(_joined(table[self._entity]))

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
            raise Refused(f"{self._at}: column {flat.name[:80]!r} holds {kinds}: make it one type")
        self._columns[flat.name] = _Counter(self._chosen(flat), self._rows, self._by_group)
        return self._columns[flat.name]

    def _chosen(self, flat: Flat) -> Column:
        given = self._given.get(flat.name)
        if given is not None and given.kind is flat.kind:
            return given
        if not flat.kind.in_cells:
            return Column(flat.name, flat.kind, (), flat.positions)
        first = numbers(flat)[:FIRST_ROWS]
        column = Column(flat.name, flat.kind, cells.choose_centres(first), flat.positions)
        return replace(column, edges=_edges(first, column)) if self._entity else column


class _Counter:
    """Counts one column."""

    def __init__(self, column: Column, nulls: int, by_group: Counts | None) -> None:
        self.column = column
        self.nulls = nulls
        self._nans = 0
        self._whole = True
        self._types: set[str] = set()
        self._parts: list[Part] = []
        self._spread = absent(column, nulls, by_group).spread

    def count(self, flat: Flat, groups: entity_spread.Groups | None) -> None:
        """Add these rows."""
        self.nulls += flat.nulls
        if flat.nulls < len(flat.array):
            self._types.add(flat.type)
            self._parts.append(self._part(flat))
            if sum(len(counts) for _, counts in self._parts) > MOST_KEYS:
                self._parts = [gather(self._parts)]
        if self._spread is not None and groups is not None:
            self._spread = self._spread + entity_spread.table(groups, self._coarse(flat))

    def absent(self, rows: int, groups: entity_spread.Groups | None) -> None:
        """Add rows that do not have the column."""
        self.nulls += rows
        if self._spread is not None and groups is not None:
            self._spread = self._spread + entity_spread.table(groups, np.full(rows, entity_spread.NULL))

    def tally(self) -> Tally:
        """What was counted."""
        keys, counts = gather(self._parts)
        return Tally(self.column, tuple(sorted(self._types)), self.nulls, self._nans, self._whole, keys, counts, self._spread)

    def _part(self, flat: Flat) -> Part:
        if self.column.kind.in_cells:
            keys, counts, nans, whole = cells.count(numbers(flat), self.column.centres)
            self._nans += nans
            self._whole &= whole
            return keys, counts
        if self.column.kind is Kind.CATEGORY:
            return texts(flat)
        return np.zeros(1, np.uint32), np.array([len(flat.array) - flat.nulls])

    def _coarse(self, flat: Flat) -> Any:
        """The coarse cell of each row."""
        found = np.full(len(flat.array), entity_spread.NULL)
        present = np.asarray(flat.array.is_valid())
        if self.column.kind.in_cells and present.any():
            keys, missing = cells.keys_of(numbers(flat), self.column.centres)
            found[present] = np.where(missing, entity_spread.NAN, np.searchsorted(self.column.edges, keys, side="right"))
        elif self.column.kind is Kind.CATEGORY and present.any():
            values, at = each_text(flat)
            found[present] = entity_spread.checksum_cells(values)[at]
        elif present.any():
            found[present] = 0
        return found


def _edges(values: Any, column: Column) -> tuple[int, ...]:
    """Cells that divide these rows into at most COARSE about equal parts."""
    keys, missing = cells.keys_of(values, column.centres)
    keys = np.sort(keys[~missing])
    if not len(keys):
        return ()
    at = (np.arange(1, entity_spread.COARSE) * len(keys)) // entity_spread.COARSE
    return tuple(np.unique(keys[at]).tolist())


def _joined(chunks: Any) -> Any:
    """The chunks of a column as one array."""
    import pyarrow as pa

    array = chunks.unify_dictionaries().combine_chunks() if chunks.num_chunks != 1 else chunks.chunk(0)
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array


def _check_names(names: list[str], at: str) -> None:
    if len(names) > MOST_COLUMNS:
        raise Refused(f"{at}: {len(names)} columns: at most {MOST_COLUMNS} are compared; choose those that matter")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Refused(f"{at}: column {twice[:80]!r} occurs twice: names must differ")
