"""Rows that belong together: a coarse table of each column by groups of an entity column, a user for example.

Twenty requests of one user say less than twenty of twenty users, and a test that takes them for independent finds drift that is
none. What the groups differ by, beyond what independent rows would, is the design effect (Kish 1965): so many times fewer rows
are there in truth, and with so many fewer the tests reckon (Rao and Scott 1981).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.int64]
"""Rows by group and coarse cell; the last two cells are null and NaN."""
Groups = NDArray[np.int64]
"""The group of each row."""

GROUPS = 64
"""Entities are thrown together by checksum: enough groups to know their spread to 10 %, few enough to be small."""
COARSE = 32
"""Cells of a group's column."""
NULL, NAN = COARSE, COARSE + 1
FEWEST_GROUPS = 12
"""With fewer groups that have rows, their spread is anybody's guess."""
INNER = (0.05, 0.95)
"""Between these shares a distribution function is where distances are found; further out its spread is noise."""


@dataclass(frozen=True, slots=True)
class Design:
    """How many times fewer rows there are in truth, for each kind of test; at least 1."""

    ordered: float = 1.0
    mix: float = 1.0
    nulls: float = 1.0
    nans: float = 1.0
    groups: int = GROUPS
    """Groups that have rows, on the side that has fewer."""


def groups_of(column: Any) -> Groups:
    """The group of each row, by the checksum of its value; an Arrow array of any plain type. Null is an entity of its own."""
    import pyarrow as pa
    from pyarrow import types

    encoded = column if types.is_dictionary(column.type) else column.dictionary_encode()
    values = encoded.dictionary.cast(pa.string()) if not types.is_binary(encoded.dictionary.type) else encoded.dictionary
    sums = (zlib.crc32(v if isinstance(v, bytes) else v.encode()) % GROUPS if v is not None else 0 for v in values.to_pylist())
    known = np.append(np.fromiter(sums, np.int64, len(values)), 0)
    groups: Groups = known[np.asarray(encoded.indices.fill_null(len(values)))]
    return groups


def checksum_cells(values: Any) -> NDArray[np.int64]:
    """The coarse cell of each value of a category: an Arrow array of bytes."""
    return np.fromiter((zlib.crc32(value) % COARSE for value in values.to_pylist()), np.int64, len(values))


def table(groups: Groups, cells: NDArray[Any]) -> Table:
    """Count rows by group and cell."""
    width = COARSE + 2
    counted: Table = np.bincount(groups * width + cells, minlength=GROUPS * width).astype(np.int64).reshape(GROUPS, width)
    return counted


def design(first: Table | None, second: Table | None) -> Design:
    """The design effects of two tables of the same column; 1 where there is no entity on either side."""
    if first is None or second is None:
        return Design()
    sides = [side for side in (first, second) if side.any()]
    values = [side[:, :COARSE] for side in sides]
    groups = min(int((side.sum(axis=1) > 0).sum()) for side in (first, second))
    rows = [side.sum(axis=1) for side in sides]
    return Design(
        _largest([np.cumsum(side, axis=1)[:, :-1] for side in values], [side.sum(axis=1) for side in values]),
        _mean(values),
        _largest([side[:, [NULL]] for side in sides], rows),
        _largest([side[:, [NAN]] for side in sides], rows),
        groups,
    )


def _largest(parts: list[Table], rows: list[NDArray[np.int64]]) -> float:
    """Of the shares that are neither near 0 nor near 1; else of the one nearest to a half."""
    effects, shares = _effects(parts, rows)
    if not len(effects):
        return 1.0
    inner = (shares > INNER[0]) & (shares < INNER[1])
    inner = inner if inner.any() else np.abs(shares - 0.5) == np.abs(shares - 0.5).min()
    return max(1.0, float(effects[inner].max()))


def _mean(values: list[Table]) -> float:
    """Of all cells, each with the weight that it has in the chi-square statistic."""
    effects, shares = _effects(values, [side.sum(axis=1) for side in values])
    weights = 1 - shares
    return max(1.0, float((effects * weights).sum() / weights.sum())) if len(effects) else 1.0


def _effects(parts: list[Table], rows: list[NDArray[np.int64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Design effect and share of each cell that is neither empty nor everything, both sides together."""
    totals = [(part, n) for part, n in zip(parts, rows, strict=True) if n.sum()]
    if not totals:
        return np.zeros(0), np.zeros(0)
    clustered = sum(_variance(part, n) for part, n in totals)
    shares = sum(part.sum(axis=0) for part, _ in totals) / sum(int(n.sum()) for _, n in totals)
    alone = sum(_alone(part.sum(axis=0) / n.sum(), int(n.sum())) for part, n in totals)
    some = np.asarray(alone) > 0
    return np.asarray(clustered)[some] / np.asarray(alone)[some], np.asarray(shares)[some]


def _alone(share: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """The variance of a share where all rows are independent."""
    return np.asarray(share * (1 - share) / n)


def _variance(part: Table, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The variance of a share where only the groups are independent: that of a ratio of two sums."""
    n, groups = rows.sum(), max(2, int((rows > 0).sum()))
    rest = part - rows[:, None] * (part.sum(axis=0) / n)
    return np.asarray(groups / (groups - 1) * np.sum(rest * rest, axis=0) / n**2)
