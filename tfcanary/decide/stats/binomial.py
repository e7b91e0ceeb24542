"""Compares the event counts of two tracks through their sum: the conditional binomial likelihood and e-values made from it.

Given the sum x of the events of both tracks, if the events are Poisson and the canary's rate is e^eta times stable's, the
canary's part of them is binomial with probability n_c e^eta/(n_c e^eta + n_b), where n_c and n_b are the exposures (Lindon and
Malek 2022). Whatever both tracks share, such as a daily pattern or an incident, cancels. SciPy has nothing like it.

In the names, `c` stands for the canary and `b` for the baseline, which is stable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfcanary.decide.stats.logarithms import FLOOR, Array, log_sum_exp

SMALLEST_EXPOSURE = 1e-9
"""Replaces an exposure of 0 in a denominator."""

GAPS: Array = np.array([0.03 * 1.5**i for i in range(14)])
"""Shape (14,): log ratios beyond a bound on which a mixture bets, from 3 % to 340-fold.

A mixture over 14 ratios loses at most ln 14 = 2.6 nats against the best single ratio.
"""

NO_CHANGE_BET = 0.9
"""The part of a promotion's bet that lies on "no change at all", which is what a healthy canary is. It costs ln(1/0.9) = 0.1 nats."""


def log_likelihood(events_c: Any, n_c: Any, events_b: Any, n_b: Any, eta: Any) -> Array:
    """Return the log of the conditional likelihood of the log ratio `eta`, relative to that of "no change" (eta = 0).

    All arguments broadcast against each other; the result has their common shape. The formula is
    x_c eta - (x_c + x_b) ln((n_c e^eta + n_b)/(n_c + n_b)).
    """
    n = np.maximum(n_c + n_b, SMALLEST_EXPOSURE)
    result: Array = events_c * eta - (events_c + events_b) * np.log((n_c * np.exp(eta) + n_b) / n + FLOOR)
    return result


def down_weight(x: Any, n_c: Any, n_b: Any, omega: Any) -> Array:
    """Return the factor, at most 1, by which a window's counts are multiplied so that they inform at most as much as 1/omega^2 events.

    A track's own log rate wanders by about `omega` from window to window, so that more than 1/omega^2 events say nothing new. The
    factor is 1/(1 + omega^2 x p (1 - p)), where `x` is the sum of the events of both tracks and p = n_c/(n_c + n_b). It depends on the
    sum and on the exposures alone, so that the conditional likelihood stays valid. All arguments broadcast.
    """
    share = n_c / np.maximum(n_c + n_b, SMALLEST_EXPOSURE)
    result: Array = 1.0 / (1.0 + omega**2 * x * share * (1.0 - share))
    return result


def grid_points(tolerance: Sequence[float], margin: Sequence[float], gaps: Array) -> Array:
    """Return the log ratios at which likelihoods are kept, shape (rows, 2 + 2 gaps).

    The columns are the tolerance, the margin, the tolerance plus each gap, and the margin minus each gap.
    """
    low, high = np.array(tolerance)[:, None], np.array(margin)[:, None]
    return np.hstack([low, high, low + gaps, high - gaps])


def split_grid(likelihoods: Array) -> tuple[Array, Array, Array, Array]:
    """Split log likelihoods at `grid_points` into those at the tolerance, at the margin, beyond the tolerance and inside the margin.

    The first two have shape (rows,), the last two (rows, gaps).
    """
    middle = likelihoods.shape[1] // 2 + 1
    return likelihoods[:, 0], likelihoods[:, 1], likelihoods[:, 2:middle], likelihoods[:, middle:]


def rollback_mixture(at_null: Array, beyond: Array, phi: Any, log_weights: Array) -> Array:
    """Return the log of the e-value against "not worse than the tolerance" (Robbins 1970, a mixture of likelihood ratios).

    Args:
        at_null: Log likelihoods at the tolerance, shape (...).
        beyond: Log likelihoods at tolerance + gap, shape (..., gaps).
        phi: Dispersion by which log likelihoods are divided, shape (...) or a number.
        log_weights: Natural logs of the weights of the gaps, shape (gaps,) or (..., gaps); the weights sum to 1.
    """
    return log_sum_exp(log_weights + (beyond - at_null[..., None]) / np.asarray(phi)[..., None])


def promote_mixture(at_margin: Array, inside: Array, phi: Any) -> Array:
    """Return the log of the e-value against "worse than the margin"; it bets on no change, and a little on each gap inside the margin.

    Args:
        at_margin: Log likelihoods at the margin, shape (...).
        inside: Log likelihoods at margin - gap, shape (..., gaps).
        phi: Dispersion by which log likelihoods are divided, shape (...) or a number.
    """
    scale = np.asarray(phi)
    even = -math.log(inside.shape[-1])
    gaps = log_sum_exp(even + (inside - at_margin[..., None]) / scale[..., None])
    result: Array = np.logaddexp(math.log(NO_CHANGE_BET) - at_margin / scale, math.log(1.0 - NO_CHANGE_BET) + gaps)
    return result


def pooled_ratio(events_c: Array, n_c: Array, events_b: Array, n_b: Array) -> Array:
    """Return the ratio of two rates pooled over windows, the last axis (Mantel and Haenszel 1959), shrunk towards 1 by half an event."""
    n = np.maximum(n_c + n_b, SMALLEST_EXPOSURE)
    result: Array = (np.sum(events_c * n_b / n, axis=-1) + 0.5) / (np.sum(events_b * n_c / n, axis=-1) + 0.5)
    return result
