"""Rows that belong together: a coarse table of each column by groups of the values of an entity column, a user for example.

Twenty requests of one user say less than twenty requests of twenty users, and a test that takes them for independent finds drift where
there is none. The variance between the groups, relative to that of independent rows, is the design effect (Kish 1965): the factor by
which the number of independent rows is smaller. The tests use that smaller number (Rao and Scott 1981).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.int64]
"""Rows by group and coarse cell, shape (GROUPS, COARSE + 2); the last two cells are null and NaN."""
Groups = NDArray[np.int64]
"""The group of each row, shape (rows,)."""

GROUPS = 64
"""Number of groups of entities, by checksum: enough to know the variance between them to 10 %, few enough to be small."""
COARSE = 32
"""Number of coarse cells of a column."""
NULL, NAN = COARSE, COARSE + 1
"""The coarse cells of null and of NaN."""
FEWEST_GROUPS = 12
"""Least number of groups with rows from which on the variance between them is known at all."""
INNER = (0.05, 0.95)
"""Shares of a distribution function between which distances are found; further out its variance is noise."""


@dataclass(frozen=True, slots=True)
class DesignEffects:
    """Factors by which the number of independent rows is smaller, for each kind of test; at least 1."""

    ordered: float = 1.0
    mix: float = 1.0
    nulls: float = 1.0
    nans: float = 1.0
    groups: int = GROUPS
    """Number of groups that have rows, on the side that has fewer."""


def groups_of(column: Any) -> Groups:
    """Return the group of each row by the checksum of its value, in an Arrow array of any plain type. Null is an entity of its own."""
    import pyarrow as pa
    from pyarrow import types

    encoded = column if types.is_dictionary(column.type) else column.dictionary_encode()
    values = encoded.dictionary.cast(pa.string()) if not types.is_binary(encoded.dictionary.type) else encoded.dictionary
    sums = (zlib.crc32(v if isinstance(v, bytes) else v.encode()) % GROUPS if v is not None else 0 for v in values.to_pylist())
    group_of_value = np.append(np.fromiter(sums, np.int64, len(values)), 0)
    groups: Groups = group_of_value[np.asarray(encoded.indices.fill_null(len(values)))]
    return groups


def checksum_cells(values: Any) -> NDArray[np.int64]:
    """Return the coarse cell of each value of a category, in an Arrow array of bytes."""
    return np.fromiter((zlib.crc32(value) % COARSE for value in values.to_pylist()), np.int64, len(values))


def table(groups: Groups, cells: NDArray[Any]) -> Table:
    """Count rows by group and coarse cell."""
    width = COARSE + 2
    counted: Table = np.bincount(groups * width + cells, minlength=GROUPS * width).astype(np.int64).reshape(GROUPS, width)
    return counted


def design_effects(first: Table | None, second: Table | None) -> DesignEffects:
    """Return the design effects of two tables of one column; they are 1 where a side has no entity."""
    if first is None or second is None:
        return DesignEffects()
    sides = [side for side in (first, second) if side.any()]
    values = [side[:, :COARSE] for side in sides]
    groups = min(int((side.sum(axis=1) > 0).sum()) for side in (first, second))
    rows = [side.sum(axis=1) for side in sides]
    return DesignEffects(
        _largest_effect([np.cumsum(side, axis=1)[:, :-1] for side in values], [side.sum(axis=1) for side in values]),
        _mean_effect(values),
        _largest_effect([side[:, [NULL]] for side in sides], rows),
        _largest_effect([side[:, [NAN]] for side in sides], rows),
        groups,
    )


def _largest_effect(parts: list[Table], rows: list[NDArray[np.int64]]) -> float:
    """Return the largest effect among shares that are neither near 0 nor near 1, or else that of the share nearest to a half."""
    effects, shares = _effects(parts, rows)
    if not len(effects):
        return 1.0
    inner = (shares > INNER[0]) & (shares < INNER[1])
    inner = inner if inner.any() else np.abs(shares - 0.5) == np.abs(shares - 0.5).min()
    return max(1.0, float(effects[inner].max()))


def _mean_effect(values: list[Table]) -> float:
    """Return the mean effect of all cells, each with the weight that it has in the chi-square statistic."""
    effects, shares = _effects(values, [side.sum(axis=1) for side in values])
    weights = 1 - shares
    return max(1.0, float((effects * weights).sum() / weights.sum())) if len(effects) else 1.0


def _effects(parts: list[Table], rows: list[NDArray[np.int64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return design effect and share of each cell that is neither empty nor everything, of both sides together."""
    totals = [(part, n) for part, n in zip(parts, rows, strict=True) if n.sum()]
    if not totals:
        return np.zeros(0), np.zeros(0)
    clustered = sum(_clustered_variance(part, n) for part, n in totals)
    shares = sum(part.sum(axis=0) for part, _ in totals) / sum(int(n.sum()) for _, n in totals)
    frequencies = [(part.sum(axis=0) / n.sum(), int(n.sum())) for part, n in totals]
    independent = sum(frequency * (1 - frequency) / n for frequency, n in frequencies)
    some = np.asarray(independent) > 0
    return np.asarray(clustered)[some] / np.asarray(independent)[some], np.asarray(shares)[some]


def _clustered_variance(part: Table, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the variance of a share where only the groups are independent: that of a ratio of two sums."""
    n, groups = rows.sum(), max(2, int((rows > 0).sum()))
    rest = part - rows[:, None] * (part.sum(axis=0) / n)
    return np.asarray(groups / (groups - 1) * np.sum(rest * rest, axis=0) / n**2)
