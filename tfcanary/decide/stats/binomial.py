"""Two counts compared through their sum, whatever their common rate does: the conditional binomial and its mixtures.

Given the sum x of the events of two tracks, if events are Poisson and the rates stand in the ratio e^eta, the
first track's share of them is binomial with probability n_c e^eta/(n_c e^eta + n_b). Daily patterns and incidents
that both tracks share cancel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfcanary.decide.stats.logarithms import FLOOR, Array, log_add, log_sum_exp

SMALLEST_EXPOSURE = 1e-9
"""Stands for no exposure at all where one divides by it."""

GAPS: Array = np.array([0.03 * 1.5**i for i in range(14)])
"""Log ratios beyond a bound on which a mixture bets: 3 % to 340-fold. The loss against the best single one is at most ln 14."""

NO_CHANGE = 0.9
"""The share of a promotion's bet that lies on "no change at all": a healthy canary is what it bets on, for ln(1/0.9) = 0.1 nats."""


def log_likelihood(events_c: Any, n_c: Any, events_b: Any, n_b: Any, eta: Any) -> Array:
    """Logarithm of the conditional likelihood of eta against "no change" (eta = 0), element by element."""
    n = np.maximum(n_c + n_b, SMALLEST_EXPOSURE)
    result: Array = events_c * eta - (events_c + events_b) * np.log((n_c * np.exp(eta) + n_b) / n + FLOOR)
    return result


def down_weight(x: Any, n_c: Any, n_b: Any, omega: Any) -> Array:
    """The factor at most 1 that a window's counts are multiplied by, so that its information is at most 1/omega^2 events.

    A track's own rate wanders by about omega from window to window: beyond 1/omega^2 events more of them say nothing
    new. The factor depends on the sum and the exposures alone, so that the binomial likelihood stays valid.
    """
    share = n_c / np.maximum(n_c + n_b, SMALLEST_EXPOSURE)
    result: Array = 1.0 / (1.0 + omega**2 * x * share * (1.0 - share))
    return result


def points(tolerance: Sequence[float], margin: Sequence[float], gaps: Array) -> Array:
    """Where likelihoods are kept, shape (rows, 2 + 2 gaps): tolerance, margin, tolerance + gaps, margin - gaps."""
    low, high = np.array(tolerance)[:, None], np.array(margin)[:, None]
    return np.hstack([low, high, low + gaps, high - gaps])


def grid(likelihoods: Array) -> tuple[Array, Array, Array, Array]:
    """Likelihoods at `points`, taken apart: at tolerance and margin, shape (rows,), beyond and inside, shape (rows, gaps)."""
    middle = likelihoods.shape[1] // 2 + 1
    return likelihoods[:, 0], likelihoods[:, 1], likelihoods[:, 2:middle], likelihoods[:, middle:]


def rollback_mixture(at_null: Array, beyond: Array, phi: Any, log_weights: Array) -> Array:
    """Logarithm of the e-value against "not worse than the tolerance".

    Args:
        at_null: Log likelihood at the tolerance, shape (...).
        beyond: At tolerance + gap, shape (..., gaps).
        phi: Dispersion by which log likelihoods are divided, shape (...) or a number.
        log_weights: ln of the weights of the gaps.
    """
    return log_sum_exp(log_weights + (beyond - at_null[..., None]) / np.asarray(phi)[..., None])


def promote_mixture(at_margin: Array, inside: Array, phi: Any) -> Array:
    """Logarithm of the e-value against "worse than the margin": bets on no change at all, and a little on all gaps inside the margin."""
    scale = np.asarray(phi)
    even = -math.log(inside.shape[-1])
    gaps = log_sum_exp(even + (inside - at_margin[..., None]) / scale[..., None])
    return log_add(math.log(NO_CHANGE) - at_margin / scale, math.log(1.0 - NO_CHANGE) + gaps)


def pooled_ratio(events_c: Array, n_c: Array, events_b: Array, n_b: Array) -> Array:
    """The Mantel-Haenszel ratio over windows (the last axis), shrunk towards 1 by half an event (Mantel and Haenszel 1959)."""
    n = np.maximum(n_c + n_b, SMALLEST_EXPOSURE)
    result: Array = (np.sum(events_c * n_b / n, axis=-1) + 0.5) / (np.sum(events_b * n_c / n, axis=-1) + 0.5)
    return result
