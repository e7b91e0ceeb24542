"""The settings of a comparison of two profiles, and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tfcanary.core.domain import Finding
from tfcanary.core.plan import ShareLimits
from tfcanary.decide.drift.layout import ColumnKind

UNSEEN, NULLS, NANS = "unseen values", "nulls", "NaN"
"""Tests that have limits of their own."""


@dataclass(frozen=True, slots=True)
class ComparisonSettings:
    """What counts as drift, and how sentences name the two sides."""

    alpha: float = 0.05
    """Accepted share of false findings among all findings, over all looks."""
    warn: float = 0.05
    """Share of moved rows from which on a column is a warning."""
    fail: float = 0.10
    """Share of moved rows from which on a column has drifted. Where so many could have moved undetected, the finding is inconclusive."""
    unseen: ShareLimits = ShareLimits()
    """Shares of rows with values that the reference does not have."""
    missing: ShareLimits = ShareLimits()
    """Shares of rows that are null or NaN on one side and not on the other."""
    reference: str = "the reference"
    """Name, in sentences, of the side that shows what the data should be."""
    current: str = "the current data"
    """Name, in sentences, of the side that shows what the data are."""
    rows: str = "rows"
    """Name of a row in the plural, for example `requests`."""
    columns: tuple[str, ...] = ()
    """Names of the columns that are compared; `x` includes `x[3]` and `x.mean`. Empty: all columns."""
    importance: Mapping[str, float] = field(default_factory=dict)
    """Factor of the moved rows of a column, by name; 1 where there is none. With 0 the column is only shown."""

    def finding(self, test: ColumnTest, importance: float) -> Finding:
        """Return the finding of one test: pass where it is not significant, or where too few rows moved to matter."""
        limits = {UNSEEN: self.unseen, NULLS: self.missing, NANS: self.missing}.get(test.about, self)
        moved = test.effect * importance if test.significant else 0.0
        return Finding.FAIL if moved >= limits.fail else Finding.WARN if moved >= limits.warn else Finding.PASS

    def importance_of(self, column: str) -> float:
        """Return the importance of a column."""
        return next((weight for name, weight in self.importance.items() if belongs(column, name)), 1.0)


def belongs(column: str, name: str) -> bool:
    """Return whether a column is the named one or a part of it."""
    return column == name or column.startswith((f"{name}.", f"{name}["))


@dataclass(frozen=True, slots=True)
class ColumnTest:
    """One test of one column."""

    about: str
    """What is tested: `values`, `nulls`, `NaN`, `infinite values`, `out of range` or `unseen values`."""
    effect: float
    """Share of all rows that moved, 0 to 1."""
    p_value: float
    """Probability of at least this difference when nothing differs."""
    sentence: str
    """What moved, as a part of a sentence."""
    significant: bool = False
    """Whether the test is significant after Benjamini-Hochberg over all tests of all columns."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a picture: the share of the rows with a value that lies there, on either side."""

    label: str
    reference: float
    current: float


@dataclass(frozen=True, slots=True)
class ColumnResult:
    """The result of comparing one column."""

    name: str
    kind: ColumnKind
    finding: Finding
    reason: str
    """One sentence, without the column's name."""
    effect: float
    """Largest share of moved rows, 0 to 1: among the significant tests, or else among all."""
    n_reference: int
    n_current: int
    tests: tuple[ColumnTest, ...] = ()
    bars: tuple[Bar, ...] = ()
    """Where the rows of both sides lie."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The results of all columns, in the order of their names."""

    columns: tuple[ColumnResult, ...]
    n_reference: int
    n_current: int
    alpha: float
    """The part of alpha that this look spent."""

    @property
    def finding(self) -> Finding:
        """The worst finding of all columns; inconclusive where there are no columns."""
        return max((column.finding for column in self.columns), key=list(Finding).index, default=Finding.INCONCLUSIVE)

    @property
    def by_severity(self) -> tuple[ColumnResult, ...]:
        """The columns, the worst finding and the largest effect first."""
        return tuple(sorted(self.columns, key=lambda column: (-list(Finding).index(column.finding), -column.effect)))
