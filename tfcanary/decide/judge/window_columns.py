"""Numbers by window, kept two ways: one column a window for the dispersion, and pooled by split for the intervals."""

from __future__ import annotations

import numpy as np

from tfcanary.decide.stats.logarithms import Array

ROOM = 64
"""Columns to begin with; doubled when full."""
BIN = 0.25
"""Windows whose log ratio of exposures differs by less are pooled: for a picture their likelihoods are the same."""
BINS = 32
"""On either side of an even split: down to 1 in 3,000."""


class Columns:
    """An array whose last axis grows by one with every window."""

    def __init__(self, *shape: int) -> None:
        self._held = np.zeros((*shape, ROOM))
        self._length = 0

    def append(self, column: Array | float) -> None:
        """Add a window."""
        if self._length == self._held.shape[-1]:
            self._held = np.concatenate([self._held, np.zeros_like(self._held)], axis=-1)
        self._held[..., self._length] = column
        self._length += 1

    @property
    def held(self) -> Array:
        """All windows, in order; to be read only."""
        return self._held[..., : self._length]


class Pooled:
    """Sums over the windows with about the same ratio of exposures.

    The pooled likelihood costs as much as a handful of windows, however long the watch. Pictures are drawn from it;
    decisions are not taken on it.
    """

    def __init__(self, *shape: int) -> None:
        self._sums = np.zeros((2 * BINS + 1, *shape))
        self._used = np.zeros(2 * BINS + 1, dtype=bool)

    def add(self, bins: Array, columns: Array) -> None:
        """Add a window: for each row a bin (of `bin_of`) and what to add there; shapes (rows,) and (rows, ...)."""
        where = bins.astype(int)
        self._sums[where, np.arange(len(where))] += columns
        self._used[where] = True

    @property
    def sums(self) -> Array:
        """Shape (bins in use, rows, ...)."""
        return self._sums[self._used]


def bin_of(n_c: Array, n_b: Array) -> Array:
    """The bin of a window by its exposures."""
    ratio = np.log(np.maximum(n_c, 1e-9) / np.maximum(n_b, 1e-9))
    result: Array = np.clip(np.rint(ratio / BIN), -BINS, BINS) + BINS
    return result
