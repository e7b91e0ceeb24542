"""Keeps numbers window by window in two ways: one column a window for the dispersion, and sums by split for the intervals."""

from __future__ import annotations

import numpy as np

from tfcanary.decide.stats.logarithms import Array

ROOM = 64
"""Number of columns at the beginning; it is doubled when full."""
BIN = 0.25
"""Windows whose log ratios of exposures differ by less are summed: for an interval their likelihoods are the same."""
BINS = 32
"""Number of bins on either side of an even split: down to 1 in 3,000."""


class WindowColumns:
    """An array whose last axis grows by one with every window."""

    def __init__(self, *shape: int) -> None:
        self._values = np.zeros((*shape, ROOM))
        self._length = 0

    def append(self, column: Array | float) -> None:
        """Add the values of one window."""
        if self._length == self._values.shape[-1]:
            self._values = np.concatenate([self._values, np.zeros_like(self._values)], axis=-1)
        self._values[..., self._length] = column
        self._length += 1

    @property
    def values(self) -> Array:
        """All windows in order, shape (..., windows); read only."""
        return self._values[..., : self._length]


class PooledSums:
    """Sums over the windows with about the same ratio of exposures.

    The likelihood of the sums costs as much as a handful of windows, however long the watch. Intervals are computed from it; decisions are
    not.
    """

    def __init__(self, *shape: int) -> None:
        self._sums = np.zeros((2 * BINS + 1, *shape))
        self._used = np.zeros(2 * BINS + 1, dtype=bool)

    def add(self, bins: Array, columns: Array) -> None:
        """Add a window: for each row a bin from `bin_of`, shape (rows,), and the numbers to add there, shape (rows, ...)."""
        where = bins.astype(int)
        self._sums[where, np.arange(len(where))] += columns
        self._used[where] = True

    @property
    def sums(self) -> Array:
        """Sums of the bins in use, shape (bins, rows, ...)."""
        return self._sums[self._used]


def bin_of(n_c: Array, n_b: Array) -> Array:
    """Return the bin of each row by its exposures on the canary and on stable, shape (rows,)."""
    ratio = np.log(np.maximum(n_c, 1e-9) / np.maximum(n_b, 1e-9))
    result: Array = np.clip(np.rint(ratio / BIN), -BINS, BINS) + BINS
    return result
