"""Cells for numbers: fixed beforehand, finest where the data lie, 65,536 of them around each centre.

A value is counted by the 16 leading bits of its distance from the nearest centre as a float32: sign, exponent and seven bits of mantissa.
So a cell is 1/128 as wide as it is far from the centre, whatever the scale of the data, and counting is a shift of bits. Cells are only
ever added up: the same rows give the same counts in any order and split.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
"""Numbers, finite or not: float64, float32, or whole numbers of any width; shape (rows,)."""
Keys = NDArray[np.uint32]
"""Cells: number of the centre, and 16 bits that rise with the signed distance from the centre."""
CountArray = NDArray[np.int64]
Centres = Sequence[int | float]

CELLS = 65_536
"""Number of cells around one centre."""
BLOCK = 262_144
"""Number of values that are counted at a time."""
STEP = 32_768
"""Number of values that are turned into bits at a time: their intermediate arrays stay in the cache, and are not returned to the system."""
FIRST = 64
"""Number of values that are checked first for whole numbers: one that is not whole is enough."""
FEW = 4_096
"""Up to this number values are sorted, above it they are counted in a table. With several centres the table would be larger than the cache,
and sorting is faster.
"""
INFINITE = 0x7F80
"""Bits of infinity; larger bits are NaN."""
EVERY_WHOLE = 0x4380
"""Bits of 256: at smaller distances from its centre, a cell holds a single whole number."""
ZERO = 0x8000
"""The cell that holds the centre alone: 16 bits in rising order."""

LARGEST_WHOLE = 2**63 - 1
"""Largest whole number that can be a centre."""
HEAVY = 1 / 256
"""Share of the first rows from which on a cell of several values is too coarse."""
HEAVY_ROWS = 16
"""Least number of rows in such a cell: fewer are chance."""
MOST_CENTRES = 64
"""Largest number of centres of a column."""
ROUNDS = 6
"""Largest number of rounds in which centres are added."""
FEW_MIDDLES = 8
"""Number of comparisons that cost as much as one binary search."""
SAMPLE = 16_384
"""Number of rows, evenly taken from the first ones, from which a layout is chosen: each round looks at all of them."""


def count(values: Values, centres: Centres) -> tuple[Keys, CountArray, int, bool]:
    """Count values into cells.

    Returns:
        The cells that occur, rising; how often each does; the number of NaN; and whether all finite values are whole numbers.
    """
    whole = values.dtype.kind in "iu"
    fractions = False
    table = np.zeros(CELLS, np.int64) if len(values) > FEW and len(centres) == 1 else None
    parts = []
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK]
        bits = _bits(block, centres)
        fractions = fractions or not (whole or _all_whole(block))
        if table is None:
            parts.append(np.unique(bits.astype(np.uint32), return_counts=True))
        else:
            table += np.bincount(bits, minlength=CELLS)
    if table is not None:
        occur = np.flatnonzero(table)
        parts = [(occur.astype(np.uint32), table[occur])]
    keys, counts, nans = _in_order(*add_up(parts)) if parts else (np.zeros(0, np.uint32), np.zeros(0, np.int64), 0)
    return keys, counts, nans, not fractions


def keys_of(values: Values, centres: Centres) -> tuple[Keys, NDArray[np.bool_]]:
    """Return the cell of each value, and whether it is NaN, which has no cell."""
    bits = _bits(values, centres)
    return _keys(bits), (bits & 0x7FFF) > INFINITE


def is_infinite(keys: Keys) -> NDArray[np.bool_]:
    """Return which cells hold an infinity."""
    ordered = keys & 0xFFFF
    infinite: NDArray[np.bool_] = (ordered == ZERO + INFINITE) | (ordered == ZERO - 1 - INFINITE)
    return infinite


def add_up(parts: Sequence[tuple[Keys, CountArray]]) -> tuple[Keys, CountArray]:
    """Return the keys that occur in several parts, rising, with the sums of their counts; counts may have a second axis."""
    keys = np.concatenate([keys for keys, _ in parts])
    counts = np.concatenate([counts for _, counts in parts])
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    begins = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    return keys[begins], np.add.reduceat(counts[order], begins, axis=0)


def choose_centres(sample: Values) -> tuple[int | float, ...]:
    """Choose centres: the median of the first rows, and of each run of cells that hold too many rows to show a shape.

    A value that many rows have becomes a centre of its own, and so does a narrow mode far from the others. Centres are values that occur.
    """
    sample = sample[:: max(1, len(sample) // SAMPLE)]
    finite = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
    if not len(finite):
        return (0,)
    centres = [_median(finite)]
    heavy = max(HEAVY_ROWS, HEAVY * len(finite))
    whole = finite.dtype.kind in "iu" or _all_whole(finite)
    for _ in range(ROUNDS):
        keys = _keys(_bits(finite, centres))
        cells, counts = np.unique(keys, return_counts=True)
        coarse = cells[(counts >= heavy) & ~is_single(cells, whole)]
        runs = np.split(coarse, np.flatnonzero(np.diff(coarse) > 1) + 1) if len(coarse) else []
        medians = (_median(finite[(keys >= run[0]) & (keys <= run[-1])]) for run in runs[: MOST_CENTRES - len(centres)])
        new = set(medians) - set(centres)
        if not new:
            break
        centres = sorted({*centres, *new})
    return tuple(centres)


def is_single(keys: Keys, whole: bool) -> NDArray[np.bool_]:
    """Return which cells hold one value only, so that nothing is lost in them; `whole` says that all values are whole numbers."""
    ordered = keys & 0xFFFF
    magnitude = np.where(ordered >= ZERO, ordered - ZERO, ZERO - 1 - ordered)
    single: NDArray[np.bool_] = (ordered == ZERO) | (magnitude == INFINITE)
    return single | (magnitude < EVERY_WHOLE) if whole else single


def upper_edge(key: int, centres: Centres) -> float:
    """Return the largest value of a cell, or the value that its values come close to."""
    centre, ordered = centres[key >> 16], key & 0xFFFF
    bits = ordered - ZERO + 1 if ordered > ZERO else (ZERO - 1 - ordered) | 0x8000
    if ordered == ZERO:
        return float(centre)
    with np.errstate(invalid="ignore"):
        distance = np.array([min(bits, INFINITE) if ordered > ZERO else bits], np.uint32) << 16
    return float(centre) + float(distance.view(np.float32)[0])


def _bits(values: Values, centres: Centres) -> NDArray[np.int64]:
    """Return the number of the nearest centre and the leading bits of the distance from it, before they are put in order."""
    bits = np.empty(len(values), np.int64)
    for start in range(0, len(values), STEP):
        bits[start : start + STEP] = _bits_of_few(values[start : start + STEP], centres)
    return bits


def _bits_of_few(values: Values, centres: Centres) -> NDArray[np.int64]:
    if len(centres) == 1:
        return _leading(values, centres[0])
    region = _nearest(values, [_middle(low, high) for low, high in pairwise(centres)])
    kind = np.int64 if all(isinstance(c, int) for c in centres) else np.float64
    nearest = np.asarray(centres, kind)[region]
    return _leading(values, nearest) + (region.astype(np.int64) << 16)


def _nearest(values: Values, middles: list[int | float]) -> NDArray[np.int64]:
    """Return how many of the rising middles lie below each value."""
    if len(middles) > FEW_MIDDLES and values.dtype.kind == "f":
        indexes: NDArray[np.int64] = np.searchsorted(np.asarray(middles, values.dtype), values)
        return np.where(np.isnan(values), 0, indexes)
    region = np.zeros(len(values), np.int64)
    for middle in middles:
        region += values > middle
    return region


def _leading(values: Values, centre: Any) -> NDArray[np.int64]:
    distance = _distance(values, centre)
    bits = (distance.view(np.uint32) >> np.uint32(16)).astype(np.int64)
    overflown = np.isinf(distance)
    if overflown.any():
        # Finite, but farther away than a float32 can say: the outermost cell, not the one of infinity.
        bits[overflown & np.isfinite(values)] -= 1
    return bits


def _distance(values: Values, centre: Any) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):
        if values.dtype.kind == "f":
            return np.asarray(values - centre, np.float32)
        # Above 2^53 a float64 would lose digits. The difference of 64-bit numbers is right wherever it fits, even if they wrap.
        far = values.astype(np.float64) - np.asarray(centre, np.float64)
        near = values.astype(np.int64) - np.asarray(centre, np.int64)
        return np.where(np.abs(far) < 2.0**62, near, far).astype(np.float32)


def _in_order(raw: Keys, counts: CountArray) -> tuple[Keys, CountArray, int]:
    missing = (raw & 0x7FFF) > INFINITE
    keys = _keys(raw[~missing])
    order = np.argsort(keys)
    return keys[order], counts[~missing][order], int(counts[missing].sum())


def _keys(raw: NDArray[Any]) -> Keys:
    """Return keys in the order of the values.

    The 16 leading bits of a float32 rise with its magnitude; inverted for negative numbers, they rise with its value.
    """
    bits = raw & 0xFFFF
    ordered = np.where(bits >= 0x8000, 0xFFFF - bits, bits + ZERO)
    keys: Keys = (ordered | (raw >> 16 << 16)).astype(np.uint32)
    return keys


def _all_whole(values: Values) -> bool:
    """Return whether all finite values are whole; the first ones mostly tell."""
    for some in (values[:FIRST], values):
        finite = some[np.isfinite(some)]
        if not np.array_equal(finite, np.rint(finite)):
            return False
    return True


def _median(values: Values) -> int | float:
    """Return the lower median: a value that occurs, so that one that many rows have lies in a cell of its own."""
    middle = (len(values) - 1) // 2
    value: int | float = np.partition(values, middle)[middle].item()
    return min(value, LARGEST_WHOLE) if isinstance(value, int) else value


def _middle(low: float, high: float) -> float:
    if isinstance(low, int) and isinstance(high, int):
        return (low + high) // 2
    return low / 2 + high / 2
