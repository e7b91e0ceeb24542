"""How columns are counted: two profiles can be compared, and merged, where they share a layout.

A layout is chosen once, from the first rows of the reference, and is stored in its profile.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ColumnKind(StrEnum):
    """What a column holds, as far as counting is concerned."""

    NUMBER = "number"
    TIME = "time"
    """A date or an instant, in microseconds since 1970."""
    CATEGORY = "category"
    """A text, a boolean, or bytes: two values are equal or not, and have no order."""
    LENGTH = "length"
    """A list: the number of numbers or texts in each row. Its contents are counted in columns of their own."""
    OTHER = "other"
    """Something that is not compared, for example a map: only its nulls are counted."""
    EMPTY = "empty"
    """Null in every row so far: nothing is known about the column."""

    @property
    def in_cells(self) -> bool:
        """Whether values have an order and are counted in cells, see `tfcanary.decide.drift.cells`."""
        return self in (ColumnKind.NUMBER, ColumnKind.TIME, ColumnKind.LENGTH)


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """How one column is counted."""

    name: str
    kind: ColumnKind
    centres: tuple[int | float, ...] = ()
    """Rising. A value is counted by its distance from the nearest of them: cells are finest there."""
    positions: int = 0
    """Number of positions of a list that have columns of their own. 0: its mean and its deviation have."""
    edges: tuple[int, ...] = ()
    """Cells that divide the first rows into about equal parts: the coarse cells of `ColumnCounts.spread`. Empty without an entity."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How all columns are counted."""

    columns: tuple[ColumnLayout, ...] = ()
    entity: str = ""
    """Name of the column that says which rows belong together; it is not compared itself."""

    def of(self, name: str) -> ColumnLayout | None:
        """Return the layout of the column of this name, if there is one."""
        return next((column for column in self.columns if column.name == name), None)
