"""The picture beside the rule: which ratios rollback and promote have excluded by now, at every look so far together.

The lower bound is the largest tolerance that the canary would be rolled back for; the upper one the smallest margin
that it would be promoted at. A criterion fails where its lower bound has passed the tolerance, and passes where its
upper bound is below the margin.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfcanary.decide.judge.dispersion import PROMOTE, ROLLBACK
from tfcanary.decide.judge.standing import Scores
from tfcanary.decide.stats.binomial import SMALLEST_EXPOSURE, log_likelihood, promote_mixture, rollback_mixture
from tfcanary.decide.stats.logarithms import Array
from tfcanary.decide.stats.roots import rises_above_zero

SPREADS = 12.0
"""A bound lies four to six standard errors from the estimate; twice that is looked through."""

Likelihood = Callable[[Array], Array]
"""Log ratios of shape (rows, points) to log likelihoods of the same shape."""


def pooled_likelihood(sums: Array) -> Likelihood:
    """From counts pooled by split, shape (bins, rows, 4)."""
    events_c, n_c, events_b, n_b = (sums[:, :, k, None] for k in range(4))

    def likelihood(etas: Array) -> Array:
        total: Array = log_likelihood(events_c, n_c, events_b, n_b, etas).sum(axis=0)
        return total

    return likelihood


def expected_likelihood(sums: Array, etas: Array) -> Array:
    """Log likelihoods at one log ratio a row, shape (rows,), had the canary been exactly like stable."""
    events_c, n_c, events_b, n_b = (sums[:, :, k] for k in range(4))
    events = events_c + events_b
    as_stable = events * n_c / (n_c + n_b + SMALLEST_EXPOSURE)
    total: Array = log_likelihood(as_stable, n_c, events - as_stable, n_b, etas).sum(axis=0)
    return total


def reach(estimate: Array, scores: Scores, widest: float) -> tuple[Array, Array]:
    """Between which log ratios the bounds are looked for, at most `widest` from 0."""
    spread = SPREADS * np.sqrt(scores.phi / np.maximum(scores.information, SMALLEST_EXPOSURE))
    return np.maximum(estimate - spread[ROLLBACK], -widest), np.minimum(estimate + spread[PROMOTE], widest)


def lower_bound(likelihood: Likelihood, gaps: Array, bets: Array, phi: Array, needed: Array, low: Array, high: Array) -> Array:
    """The smallest log ratio that rollback has not excluded, between `low` and `high`.

    Args:
        likelihood: Of the rows.
        gaps: Log ratios beyond the tolerance, shape (gaps,).
        bets: ln of the weights of the gaps, shape (rows, gaps).
        phi: Dispersion, shape (rows,).
        needed: ln of the e-value that convicts, shape (rows,).
        low: Shape (rows,).
        high: Shape (rows,).
    """

    def curve(x: Array) -> Array:
        beyond = _at_gaps(likelihood, x, gaps)
        excluded: Array = needed[:, None] - rollback_mixture(likelihood(x), beyond, phi[:, None], bets[:, None, :])
        return excluded

    return rises_above_zero(curve, low, high)


def upper_bound(likelihood: Likelihood, gaps: Array, phi: Array, needed: float, low: Array, high: Array) -> Array:
    """The smallest log ratio from which on promote has excluded all, between `low` and `high`."""

    def curve(x: Array) -> Array:
        inside = _at_gaps(likelihood, x, -gaps)
        excluded: Array = promote_mixture(likelihood(x), inside, phi[:, None]) - needed
        return excluded

    return rises_above_zero(curve, low, high)


def _at_gaps(likelihood: Likelihood, x: Array, gaps: Array) -> Array:
    """Shape (rows, points, gaps)."""
    points = x[:, :, None] + gaps
    return likelihood(points.reshape(len(x), -1)).reshape(points.shape)
