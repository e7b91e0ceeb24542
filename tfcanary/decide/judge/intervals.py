"""The intervals beside the decision: which ratios rollback and promotion have excluded, valid at every poll so far together.

The lower bound is the largest tolerance for which the canary would be rolled back, the upper bound the smallest margin at which it
would be promoted. A criterion fails where its lower bound has passed the tolerance, and passes where its upper bound is below the
margin.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfcanary.decide.judge.dispersion import PROMOTE, ROLLBACK
from tfcanary.decide.judge.standing import Scores
from tfcanary.decide.stats.binomial import SMALLEST_EXPOSURE, log_likelihood, promote_mixture, rollback_mixture
from tfcanary.decide.stats.logarithms import Array
from tfcanary.decide.stats.roots import first_root

SPREADS = 12.0
"""Standard errors from the estimate that are searched: a bound lies four to six of them away, so this is twice as far."""

Likelihood = Callable[[Array], Array]
"""Maps log ratios of shape (rows, points) to log likelihoods of the same shape."""


def pooled_likelihood(sums: Array) -> Likelihood:
    """Return the log likelihood of counts that are pooled by split, shape (bins, rows, 4)."""
    events_c, n_c, events_b, n_b = (sums[:, :, k, None] for k in range(4))

    def likelihood(etas: Array) -> Array:
        total: Array = log_likelihood(events_c, n_c, events_b, n_b, etas).sum(axis=0)
        return total

    return likelihood


def search_range(estimate: Array, scores: Scores, widest: float) -> tuple[Array, Array]:
    """Return the log ratios between which the bounds are searched, two arrays of shape (rows,), at most `widest` from 0."""
    spread = SPREADS * np.sqrt(scores.phi / np.maximum(scores.information, SMALLEST_EXPOSURE))
    return np.maximum(estimate - spread[ROLLBACK], -widest), np.minimum(estimate + spread[PROMOTE], widest)


def lower_bound(likelihood: Likelihood, gaps: Array, bets: Array, phi: Array, threshold: Array, low: Array, high: Array) -> Array:
    """Return the smallest log ratio that rollback has not excluded, between `low` and `high`, shape (rows,).

    Args:
        likelihood: Log likelihood of the rows.
        gaps: Log ratios beyond the tolerance, shape (gaps,).
        bets: Natural logs of the weights of the gaps, shape (rows, gaps).
        phi: Dispersion, shape (rows,).
        threshold: Natural log of the e-value that is enough for a rollback, shape (rows,).
        low: Start of the search, shape (rows,).
        high: End of the search, shape (rows,).
    """

    def curve(x: Array) -> Array:
        beyond = _at_gaps(likelihood, x, gaps)
        excluded: Array = threshold[:, None] - rollback_mixture(likelihood(x), beyond, phi[:, None], bets[:, None, :])
        return excluded

    return first_root(curve, low, high)


def upper_bound(likelihood: Likelihood, gaps: Array, phi: Array, threshold: float, low: Array, high: Array) -> Array:
    """Return the smallest log ratio from which on promotion has excluded all, between `low` and `high`, shape (rows,).

    The arguments are those of `lower_bound`; `threshold` is the natural log of the e-value that promotion needs.
    """

    def curve(x: Array) -> Array:
        inside = _at_gaps(likelihood, x, -gaps)
        excluded: Array = promote_mixture(likelihood(x), inside, phi[:, None]) - threshold
        return excluded

    return first_root(curve, low, high)


def _at_gaps(likelihood: Likelihood, x: Array, gaps: Array) -> Array:
    """Return the log likelihoods at each x plus each gap, shape (rows, points, gaps)."""
    points = x[:, :, None] + gaps
    return likelihood(points.reshape(len(x), -1)).reshape(points.shape)
