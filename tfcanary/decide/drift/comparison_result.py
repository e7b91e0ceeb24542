"""What a comparison of two profiles says, and what it was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tfcanary.core.domain import Finding
from tfcanary.decide.drift.layout import Kind


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
    columns: tuple[str, ...] = ()
    """Only these are compared; `x` stands for `x[3]` and `x.mean`, too. Empty: all."""
    importance: Mapping[str, float] = field(default_factory=dict)
    """What moves in a column counts so many times; 1 where it is not named, and with 0 it is only shown."""

    def weight(self, column: str) -> float:
        """The importance of a column."""
        return next((weight for name, weight in self.importance.items() if belongs(column, name)), 1.0)


def belongs(column: str, name: str) -> bool:
    """Whether a column is the named one or a part of it."""
    return column == name or column.startswith((f"{name}.", f"{name}["))


@dataclass(frozen=True, slots=True)
class Test:
    """One question about one column."""

    about: str
    """`values`, `nulls`, `NaN`, `infinite values`, `out of range` or `unseen values`."""
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
