"""What a comparison of two profiles says, and what it was asked."""

from __future__ import annotations

from dataclasses import dataclass

from tfcanary.domain import Finding
from tfcanary.drift.layout import Kind


@dataclass(frozen=True, slots=True)
class Settings:
    """What counts as drift."""

    alpha: float = 0.05
    """The share of false findings that is accepted among the findings, over all looks."""
    warn: float = 0.05
    """About 5 % of rows moved: shown."""
    fail: float = 0.10
    """About 10 % of rows moved: drift. Where so much could have gone unseen, the answer is inconclusive."""
    reference: str = "the reference"
    """What sentences call what should be ..."""
    current: str = "the current data"
    """... and what is."""
    rows: str = "rows"
    """What a row is to the reader."""


@dataclass(frozen=True, slots=True)
class Test:
    """One question about one column."""

    about: str
    """`values`, `nulls`, `NaN` or `unseen values`."""
    effect: float
    """The share of all rows that moved, 0 to 1."""
    chance: float
    """Of as much when nothing differs."""
    moved: str
    """What moved, in words."""
    significant: bool = False
    """After Benjamini-Hochberg over all tests of all columns."""


@dataclass(frozen=True, slots=True)
class Share:
    """A bar of a picture: which share of the rows with a value lies there."""

    label: str
    reference: float
    current: float


@dataclass(frozen=True, slots=True)
class ColumnFound:
    """What was found in one column."""

    name: str
    kind: Kind
    finding: Finding
    reason: str
    """One sentence, without the name."""
    effect: float
    """The share of rows that moved: of the tests that are significant, or else of any."""
    n_reference: int
    n_current: int
    tests: tuple[Test, ...] = ()
    shares: tuple[Share, ...] = ()
    """Where the rows of both lie."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found in all columns, in the order of their names."""

    columns: tuple[ColumnFound, ...]
    n_reference: int
    n_current: int
    alpha: float
    """What this look spent."""

    @property
    def finding(self) -> Finding:
        """The worst of all columns; inconclusive where there are none."""
        return max((column.finding for column in self.columns), key=list(Finding).index, default=Finding.INCONCLUSIVE)

    @property
    def by_severity(self) -> tuple[ColumnFound, ...]:
        """The columns, worst finding and largest effect first."""
        return tuple(sorted(self.columns, key=lambda column: (-list(Finding).index(column.finding), -column.effect)))
