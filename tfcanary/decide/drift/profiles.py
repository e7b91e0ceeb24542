"""A profile: the exact counts of every column, small, mergeable, and comparable with others of the same layout."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfcanary.core.errors import Refused
from tfcanary.decide.drift.cells import Counts
from tfcanary.decide.drift.counts import NO_KEYS, Tally, absent, add
from tfcanary.decide.drift.entity_spread import COARSE, GROUPS
from tfcanary.decide.drift.layout import Column, Layout


@dataclass(frozen=True, slots=True)
class Profile:
    """What was counted of some rows."""

    rows: int = 0
    tallies: tuple[Tally, ...] = ()
    """One a column, in the order of `by_name`; none where there was no row and no layout."""
    entity: str = ""
    """The column that says which rows belong together."""
    by_group: Counts | None = None
    """Rows of each group of entities, where there is one."""
    dropped: int = 0
    """Rows that were there and could not be read. They are no part of `rows`."""

    @property
    def layout(self) -> Layout:
        """How the columns were counted; give it to `profile` to make another one comparable."""
        return Layout(tuple(tally.column for tally in self.tallies), self.entity)

    def of(self, name: str) -> Tally | None:
        """The counts of a column, if there is one of this name."""
        return next((tally for tally in self.tallies if tally.column.name == name), None)

    def only(self, names: Collection[str]) -> Profile:
        """The columns of these names."""
        return replace(self, tallies=tuple(tally for tally in self.tallies if tally.column.name in names))

    @property
    def emptied(self) -> Profile:
        """The same layout without a row: what shards that are counted apart begin with."""
        return Profile(0, tuple(_none(tally.column, self.entity) for tally in self.tallies), self.entity, _no_groups(self.entity))


def merge(profiles: Sequence[Profile]) -> Profile:
    """One profile of all their rows: the same bits in any order and however the rows were split.

    Rows of a profile that lacks a column count as null there. Raises Refused where a column was counted with different layouts, or
    with different entities.
    """
    entity = _entity(profiles)
    columns = {tally.column.name: tally.column for profile in profiles for tally in profile.tallies}
    tallies = (
        add([profile.of(name) or absent(columns[name], profile.rows, profile.by_group) for profile in profiles])
        for name in sorted(columns, key=by_name)
    )
    groups = [profile.by_group for profile in profiles if profile.by_group is not None]
    rows, dropped = (sum(getattr(profile, name) for profile in profiles) for name in ("rows", "dropped"))
    return Profile(rows, tuple(tallies), entity, np.sum(groups, axis=0) if groups else None, dropped)


def by_name(name: str) -> tuple[tuple[int, str], ...]:
    """Sorts columns: `x[2]` before `x[10]`."""
    return tuple((int(part), "") if part.isdecimal() and len(part) < 19 else (-1, part) for part in re.split(r"(\d+)", name))


def _entity(profiles: Sequence[Profile]) -> str:
    found = {profile.entity for profile in profiles if profile.rows or profile.tallies}
    if len(found) > 1:
        raise Refused(f"counted with different entities ({', '.join(repr(name) for name in sorted(found))}): name the same one for all")
    return next(iter(found), "")


def _none(column: Column, entity: str) -> Tally:
    spread = np.zeros((GROUPS, COARSE + 2), np.int64) if entity else None
    return Tally(column, (), 0, 0, True, NO_KEYS, np.zeros(0, np.int64), spread)


def _no_groups(entity: str) -> Counts | None:
    return np.zeros(GROUPS, np.int64) if entity else None
