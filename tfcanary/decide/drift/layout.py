"""How columns are counted: two profiles can be compared, and merged, where they share this.

A layout is chosen once, from the first rows of the reference, and travels inside its profile.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a column holds, as far as counting goes."""

    NUMBER = "number"
    TIME = "time"
    """A date or an instant, in microseconds since 1970."""
    CATEGORY = "category"
    """A text, a boolean, or bytes: values are the same or not, and have no order."""
    LENGTH = "length"
    """A list: how many numbers or texts each row has. What they are is counted in columns of their own."""
    OTHER = "other"
    """Something that is not compared, a map for example: only its nulls are counted."""
    EMPTY = "empty"
    """Null in every row seen so far: nothing is known about it."""

    @property
    def in_cells(self) -> bool:
        """Whether values have an order and are counted in the cells of `cells`."""
        return self in (Kind.NUMBER, Kind.TIME, Kind.LENGTH)


@dataclass(frozen=True, slots=True)
class Column:
    """How one column is counted."""

    name: str
    kind: Kind
    centres: tuple[int | float, ...] = ()
    """Rising. A value is counted by its distance from the nearest of them: cells are finest there."""
    positions: int = 0
    """Of a list: so many positions have columns of their own. 0: its mean and its deviation have."""
    edges: tuple[int, ...] = ()
    """Cells that divide the first rows into about equal parts: the coarse cells of `spread`. Only where there is an entity."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How all columns are counted."""

    columns: tuple[Column, ...] = ()
    entity: str = ""
    """The column that says which rows belong together; it is not compared itself."""

    def of(self, name: str) -> Column | None:
        """The column of this name, if there is one."""
        return next((column for column in self.columns if column.name == name), None)
