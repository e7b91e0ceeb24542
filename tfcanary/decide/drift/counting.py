"""Counts Arrow batches, in memory that depends on the columns and not on the rows.

Rows are collected until there are enough to choose a layout from, and are then counted column by column.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from tfcanary.core.errors import Refused
from tfcanary.decide.drift import cells, entity_spread
from tfcanary.decide.drift.cells import CountArray
from tfcanary.decide.drift.counts import ColumnCounts, Part, gather, null_counts
from tfcanary.decide.drift.layout import ColumnKind, ColumnLayout, Layout
from tfcanary.decide.drift.plain_columns import MOST_POSITIONS, PlainColumn, each_text, flatten, numbers, texts
from tfcanary.decide.drift.profiles import Profile, by_name

FIRST_ROWS = 65_536
"""Number of rows from which a layout is chosen, and that are counted at a time, so that small batches cost no more than large ones."""
MOST_COLUMNS = 10_000
"""Largest number of columns that are counted."""
MOST_KEYS = 262_144
"""Largest number of counts of a column that wait to be added up."""


def profile(batches: Iterable[Any], layout: Layout | None = None, entity: str = "") -> Profile:
    """Return the exact counts of every column of Arrow record batches.

    Args:
        batches: Rows of a batch that lacks a column of the others count as null there.
        layout: The layout of the reference, so that both can be compared or merged. Without one it is chosen from the first 65,536 rows, as
            it is for columns that the layout lacks or has as another kind. A layout also names the entity.
        entity: Name of the column that says which rows belong together, where there is no layout.

    Raises Refused where the name of a column occurs twice, where its kind changes between batches, where there are too many columns, or
    where the column of the entity is missing.
    """
    counting = BatchCounter(layout, entity)
    for batch in batches:
        counting.add(batch)
    return counting.profile()


class BatchCounter:
    """Counts Arrow record batches one after another."""

    def __init__(self, layout: Layout | None = None, entity: str = "") -> None:
        self._layout_columns = {column.name: column for column in (layout or Layout()).columns}
        self._entity = layout.entity if layout and layout.columns else entity
        self._by_group = np.zeros(entity_spread.GROUPS, np.int64) if self._entity else None
        self._columns: dict[str, _ColumnCounter] = {}
        self._waiting: list[Any] = []
        self._batches = 0
        self._rows = 0
        self._at = ""
        self.dropped = 0
        """Number of rows that could not be read; whoever reads the batches adds them up here."""

    def add(self, batch: Any, at: str = "") -> None:
        """Add one Arrow record batch; `at` says where it comes from, for sentences. Raises Refused like `profile`."""
        self._batches += 1
        at = at or f"batch {self._batches}"
        _check_names(batch.schema.names, at)
        if self._waiting and not batch.schema.equals(self._waiting[0].schema):
            self._count()
        self._at = self._at if self._waiting else at
        self._waiting.append(batch)
        if sum(batch.num_rows for batch in self._waiting) >= FIRST_ROWS:
            self._count()

    def profile(self) -> Profile:
        """Return the counts of all batches so far."""
        self._count()
        tallies = tuple(self._columns[name].tally() for name in sorted(self._columns, key=by_name))
        return Profile(self._rows, tallies, self._entity, self._by_group, self.dropped)

    def _count(self) -> None:
        import pyarrow as pa

        rows = sum(batch.num_rows for batch in self._waiting)
        if rows:
            table = pa.Table.from_batches(self._waiting)
            groups = self._groups(table)
            names = [name for name in table.column_names if not self._entity or name != self._entity]
            plain_columns = [plain for name in names for plain in flatten(name, _joined(table[name]), self._positions)]
            _check_names([plain.name for plain in plain_columns], self._at)
            for name in set(self._columns).difference(plain.name for plain in plain_columns):
                self._columns[name].add_nulls(rows, groups)
            for plain in plain_columns:
                self._counter(plain).count(plain, groups)
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
        column = self._columns[name].column if name in self._columns else self._layout_columns.get(name)
        if column is not None and column.kind is ColumnKind.LENGTH:
            return column.positions
        longest = int(lengths.max(initial=0))
        return longest if longest <= MOST_POSITIONS and (lengths == longest).all() else 0

    def _counter(self, plain: PlainColumn) -> _ColumnCounter:
        counter = self._columns.get(plain.name)
        if counter is not None and (counter.column.kind is plain.kind or plain.nulls == len(plain.array)):
            return counter
        if counter is not None and counter.column.kind is not ColumnKind.EMPTY:
            kinds = f"{plain.kind.value} values, before it {counter.column.kind.value} values"
            raise Refused(f"{self._at}: column {plain.name[:80]!r} holds {kinds}: make it one type")
        self._columns[plain.name] = _ColumnCounter(self._choose_layout(plain), self._rows, self._by_group)
        return self._columns[plain.name]

    def _choose_layout(self, plain: PlainColumn) -> ColumnLayout:
        column_layout = self._layout_columns.get(plain.name)
        if column_layout is not None and column_layout.kind is plain.kind:
            return column_layout
        if not plain.kind.in_cells:
            return ColumnLayout(plain.name, plain.kind, (), plain.positions)
        first = numbers(plain)[:FIRST_ROWS]
        column = ColumnLayout(plain.name, plain.kind, cells.choose_centres(first), plain.positions)
        return replace(column, edges=_edges(first, column)) if self._entity else column


class _ColumnCounter:
    """Counts one column."""

    def __init__(self, column: ColumnLayout, nulls: int, by_group: CountArray | None) -> None:
        self.column = column
        self.nulls = nulls
        self._nans = 0
        self._whole = True
        self._types: set[str] = set()
        self._parts: list[Part] = []
        self._spread = null_counts(column, nulls, by_group).spread

    def count(self, plain: PlainColumn, groups: entity_spread.Groups | None) -> None:
        """Add the rows of a plain column."""
        self.nulls += plain.nulls
        if plain.nulls < len(plain.array):
            self._types.add(plain.type)
            self._parts.append(self._part(plain))
            if sum(len(counts) for _, counts in self._parts) > MOST_KEYS:
                self._parts = [gather(self._parts)]
        if self._spread is not None and groups is not None:
            self._spread = self._spread + entity_spread.table(groups, self._coarse(plain))

    def add_nulls(self, rows: int, groups: entity_spread.Groups | None) -> None:
        """Add rows that do not have the column."""
        self.nulls += rows
        if self._spread is not None and groups is not None:
            self._spread = self._spread + entity_spread.table(groups, np.full(rows, entity_spread.NULL))

    def tally(self) -> ColumnCounts:
        """Return the counts so far."""
        keys, counts = gather(self._parts)
        return ColumnCounts(self.column, tuple(sorted(self._types)), self.nulls, self._nans, self._whole, keys, counts, self._spread)

    def _part(self, plain: PlainColumn) -> Part:
        if self.column.kind.in_cells:
            keys, counts, nans, whole = cells.count(numbers(plain), self.column.centres)
            self._nans += nans
            self._whole &= whole
            return keys, counts
        if self.column.kind is ColumnKind.CATEGORY:
            return texts(plain)
        return np.zeros(1, np.uint32), np.array([len(plain.array) - plain.nulls])

    def _coarse(self, plain: PlainColumn) -> Any:
        """Return the coarse cell of each row."""
        cells_of_rows = np.full(len(plain.array), entity_spread.NULL)
        present = np.asarray(plain.array.is_valid())
        if self.column.kind.in_cells and present.any():
            keys, missing = cells.keys_of(numbers(plain), self.column.centres)
            cells_of_rows[present] = np.where(missing, entity_spread.NAN, np.searchsorted(self.column.edges, keys, side="right"))
        elif self.column.kind is ColumnKind.CATEGORY and present.any():
            values, at = each_text(plain)
            cells_of_rows[present] = entity_spread.checksum_cells(values)[at]
        elif present.any():
            cells_of_rows[present] = 0
        return cells_of_rows


def _edges(values: Any, column: ColumnLayout) -> tuple[int, ...]:
    """Return the cells that divide these rows into at most COARSE about equal parts."""
    keys, missing = cells.keys_of(values, column.centres)
    keys = np.sort(keys[~missing])
    if not len(keys):
        return ()
    at = (np.arange(1, entity_spread.COARSE) * len(keys)) // entity_spread.COARSE
    return tuple(np.unique(keys[at]).tolist())


def _joined(chunks: Any) -> Any:
    """Return the chunks of a column as one array."""
    import pyarrow as pa

    array = chunks.unify_dictionaries().combine_chunks() if chunks.num_chunks != 1 else chunks.chunk(0)
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array


def _check_names(names: list[str], at: str) -> None:
    if len(names) > MOST_COLUMNS:
        raise Refused(f"{at}: {len(names)} columns: at most {MOST_COLUMNS} are compared; choose those that matter")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Refused(f"{at}: column {twice[:80]!r} occurs twice: names must differ")
