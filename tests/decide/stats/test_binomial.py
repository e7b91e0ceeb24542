"""The conditional binomial: exact likelihoods, and e-values whose expectation is at most 1 under their null."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tfcanary.decide.stats.binomial import GAPS, NO_CHANGE_BET, down_weight, log_likelihood, pooled_ratio, promote_mixture, rollback_mixture

BETS = np.full(len(GAPS), -math.log(len(GAPS)))


@pytest.mark.parametrize("eta", [-0.7, 0.0, 0.4, 3.0])
def test_differences_of_the_likelihood_are_those_of_the_binomial(eta):
    x_c, n_c, x_b, n_b = 7.0, 500.0, 41.0, 9500.0

    def exact(log_ratio):
        return scipy_stats.binom.logpmf(x_c, x_c + x_b, n_c * math.exp(log_ratio) / (n_c * math.exp(log_ratio) + n_b))

    assert float(log_likelihood(x_c, n_c, x_b, n_b, eta)) == pytest.approx(exact(eta) - exact(0.0), abs=1e-9)


def test_a_window_without_anything_says_nothing():
    assert float(log_likelihood(0.0, 0.0, 0.0, 0.0, 1.0)) == 0.0
    assert float(down_weight(0.0, 0.0, 0.0, 0.2)) == 1.0


def expectation(log_e, eta, total=60, n_c=300.0, n_b=2700.0):
    """Of an e-value over all outcomes of one window with `total` events, when the true log ratio is eta."""
    share = n_c * math.exp(eta) / (n_c * math.exp(eta) + n_b)
    x_c = np.arange(total + 1.0)
    return float(np.sum(scipy_stats.binom.pmf(x_c, total, share) * np.exp(log_e(x_c, n_c, total - x_c, n_b))))


@pytest.mark.parametrize("eta", [-1.0, 0.0, math.log(1.1)])
def test_rollback_bets_are_unfair_to_the_bettor_wherever_the_canary_is_within_tolerance(eta):
    tolerance = math.log(1.1)

    def log_e(*window):
        at, beyond = log_likelihood(*window, eta=tolerance), np.stack([log_likelihood(*window, eta=tolerance + g) for g in GAPS], axis=-1)
        return rollback_mixture(at, beyond, 1.0, BETS)

    assert expectation(log_e, eta) <= 1 + 1e-12
    assert expectation(log_e, math.log(3)) > 50


@pytest.mark.parametrize("eta", [math.log(1.5), math.log(2), 2.0])
def test_promote_bets_are_unfair_wherever_the_canary_violates_the_margin(eta):
    margin = math.log(1.5)

    def log_e(*window):
        at, inside = log_likelihood(*window, eta=margin), np.stack([log_likelihood(*window, eta=margin - g) for g in GAPS], axis=-1)
        return promote_mixture(at, inside, 1.0)

    assert expectation(log_e, eta) <= 1 + 1e-12
    assert expectation(log_e, 0.0) > 1


def test_promotion_bets_most_on_no_change():
    """With nothing on the grid coming true, what is left is 0.8 of the likelihood ratio of no change."""
    log_e = promote_mixture(np.array(-3.0), np.full(14, -1e9), 1.0)
    assert float(log_e) == pytest.approx(math.log(NO_CHANGE_BET) + 3.0)


@pytest.mark.parametrize("events", [10.0, 1e4, 1e9])
def test_a_window_informs_at_most_as_much_as_one_over_the_square_of_the_wander(events):
    omega, n_c, n_b = 0.2, 50.0, 950.0
    kept = float(down_weight(events, n_c, n_b, omega))
    assert kept <= 1
    assert kept * events * 0.05 * 0.95 < 1 / omega**2


def test_the_pooled_ratio_is_mantel_haenszel_with_half_an_event():
    x_c, n_c, x_b, n_b = np.array([[3.0, 5.0]]), np.array([[100.0, 300.0]]), np.array([[10.0, 8.0]]), np.array([[900.0, 700.0]])
    above, below = 3 * 0.9 + 5 * 0.7, 10 * 0.1 + 8 * 0.3
    assert pooled_ratio(x_c, n_c, x_b, n_b)[0] == pytest.approx((above + 0.5) / (below + 0.5))
    nothing = np.zeros((1, 0))
    assert pooled_ratio(nothing, nothing, nothing, nothing)[0] == 1
