"""Columns with a drift that is known: each drifted one has moved a fifth of its rows (distance 0.2)."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pyarrow as pa

NUMBERS, CATEGORIES = 30, 20
SIZES = (2, 3, 5, 10, 20, 50, 100, 200)
"""Different values of the categories."""


def columns(n: int, seed: list[int], drifted: Collection[int] = (), only: Collection[int] | None = None) -> list[pa.RecordBatch]:
    """30 columns of numbers and 20 of categories. Every seed has the same distributions, except in the columns that have drifted."""
    rng = np.random.default_rng(seed)
    chosen = range(NUMBERS + CATEGORIES) if only is None else only
    return pa.table({f"c{i}": _column(i, n, rng, i in drifted) for i in chosen}).to_batches()


def _column(i: int, n: int, rng: np.random.Generator, drifts: bool):
    if i >= NUMBERS:
        return _category(i - NUMBERS, n, rng, drifts)
    # Scale and shift that move a fifth of the rows: 2 Phi(s/2) - 1 = 0.2 and the like.
    return (
        lambda: rng.normal(0.507 * drifts, 1, n),
        lambda: rng.lognormal(0.507 * drifts, 1, n),
        lambda: rng.standard_t(2, n) + 0.577 * drifts,
        lambda: (rng.pareto(1.1, n) + 1) * (1.225 if drifts else 1),
        lambda: rng.poisson(3.93 if drifts else 3.0, n),
        lambda: np.where(rng.random(n) < (0.5 if drifts else 0.7), 0.0, rng.exponential(1, n)),
    )[i % 6]()


def _category(j: int, n: int, rng: np.random.Generator, drifts: bool):
    k = SIZES[j % len(SIZES)]
    shares = 1 / np.arange(1, k + 1) ** 0.8
    shares /= shares.sum()
    if drifts:
        # A fifth of the rows moves from a half of the values to the other, the same ones for every seed.
        half = np.random.default_rng(j).permutation(k) % 2 == 0
        shares = np.where(half, shares * (1 - 0.2 / shares[half].sum()), shares * (1 + 0.2 / shares[~half].sum()))
    return pa.array(rng.choice(k, n, p=shares)).cast(pa.string())
