"""Profiles: the exact counts of every column, small, mergeable, and comparable with profiles of the same layout."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfcanary.core.errors import Refused
from tfcanary.decide.drift.cells import CountArray
from tfcanary.decide.drift.counts import ColumnCounts, add, null_counts
from tfcanary.decide.drift.layout import Layout


@dataclass(frozen=True, slots=True)
class Profile:
    """The counts of a set of rows."""

    rows: int = 0
    tallies: tuple[ColumnCounts, ...] = ()
    """The counts of each column, in the order of `by_name`; empty where there was no row and no layout."""
    entity: str = ""
    """Name of the column that says which rows belong together."""
    by_group: CountArray | None = None
    """Number of rows of each group of entities, where there is an entity."""
    dropped: int = 0
    """Number of rows that could not be read. They are not part of `rows`."""

    @property
    def layout(self) -> Layout:
        """How the columns were counted; give it to `profile` to make another profile comparable."""
        return Layout(tuple(tally.column for tally in self.tallies), self.entity)

    def of(self, name: str) -> ColumnCounts | None:
        """Return the counts of the column of this name, if there is one."""
        return next((tally for tally in self.tallies if tally.column.name == name), None)

    def only(self, names: Collection[str]) -> Profile:
        """Return the profile with the columns of these names alone."""
        return replace(self, tallies=tuple(tally for tally in self.tallies if tally.column.name in names))


def merge(profiles: Sequence[Profile]) -> Profile:
    """Return one profile of the rows of all profiles: bit for bit the same in any order and however the rows were split.

    Rows of a profile that lacks a column count as null there. Raises Refused where a column was counted with different layouts, or the
    profiles with different entities.
    """
    entity = _entity(profiles)
    columns = {tally.column.name: tally.column for profile in profiles for tally in profile.tallies}
    tallies = (
        add([profile.of(name) or null_counts(columns[name], profile.rows, profile.by_group) for profile in profiles])
        for name in sorted(columns, key=by_name)
    )
    groups = [profile.by_group for profile in profiles if profile.by_group is not None]
    rows, dropped = (sum(getattr(profile, name) for profile in profiles) for name in ("rows", "dropped"))
    return Profile(rows, tuple(tallies), entity, np.sum(groups, axis=0) if groups else None, dropped)


def by_name(name: str) -> tuple[tuple[int, str], ...]:
    """Return the sort key of a column's name: `x[2]` comes before `x[10]`."""
    return tuple((int(part), "") if part.isdecimal() and len(part) < 19 else (-1, part) for part in re.split(r"(\d+)", name))


def _entity(profiles: Sequence[Profile]) -> str:
    entities = {profile.entity for profile in profiles if profile.rows or profile.tallies}
    if len(entities) > 1:
        raise Refused(f"counted with different entities ({', '.join(repr(name) for name in sorted(entities))}): name the same one for all")
    return next(iter(entities), "")
