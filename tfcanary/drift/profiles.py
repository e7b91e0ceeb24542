"""A profile: the exact counts of every column, small, mergeable, and comparable with others of the same layout."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tfcanary.drift.counts import Tally, absent, add
from tfcanary.drift.layout import Layout


@dataclass(frozen=True, slots=True)
class Profile:
    """What was counted of some rows."""

    rows: int = 0
    tallies: tuple[Tally, ...] = ()
    """One a column, in the order of `by_name`; none where there was no row."""

    @property
    def layout(self) -> Layout:
        """How the columns were counted; give it to `profile` to make another one comparable."""
        return Layout(tuple(tally.column for tally in self.tallies))

    def of(self, name: str) -> Tally | None:
        """The counts of a column, if there is one of this name."""
        return next((tally for tally in self.tallies if tally.column.name == name), None)

    def only(self, names: Collection[str]) -> Profile:
        """The columns of these names."""
        return Profile(self.rows, tuple(tally for tally in self.tallies if tally.column.name in names))


def merge(profiles: Sequence[Profile]) -> Profile:
    """One profile of all their rows: the same bits in any order and however the rows were split.

    Rows of a profile that lacks a column count as null there. Raises Refused where a column was counted with different layouts.
    """
    columns = {tally.column.name: tally.column for profile in profiles for tally in profile.tallies}
    tallies = (
        add([profile.of(name) or absent(columns[name], profile.rows) for profile in profiles]) for name in sorted(columns, key=by_name)
    )
    return Profile(sum(profile.rows for profile in profiles), tuple(tallies))


def by_name(name: str) -> tuple[tuple[int, str], ...]:
    """Sorts columns: `x[2]` before `x[10]`."""
    return tuple((int(part), "") if part.isdecimal() and len(part) < 19 else (-1, part) for part in re.split(r"(\d+)", name))
