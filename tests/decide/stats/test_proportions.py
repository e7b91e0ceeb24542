"""Intervals for proportions against SciPy, against brute force, and by counting how often they cover."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tfcanary.decide.stats.proportions import paired_difference, wilson


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (1, 10), (10, 10), (37, 120), (499, 500)])
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_wilson_agrees_with_scipy(successes, n, alpha):
    theirs = scipy_stats.binomtest(successes, n).proportion_ci(confidence_level=1 - alpha, method="wilson")
    ours = wilson(successes, n, alpha)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert ours.estimate == successes / n


def test_nothing_counted_is_nothing_known():
    assert (wilson(0, 0, 0.05).low, wilson(0, 0, 0.05).high) == (0, 1)
    assert (paired_difference(0, 0, 0, 0.05).low, paired_difference(0, 0, 0, 0.05).high) == (-1, 1)


def test_where_nobody_differs_the_paired_interval_has_a_closed_form():
    z2 = scipy_stats.norm.isf(0.025) ** 2
    ours = paired_difference(0, 0, 44, 0.05)
    assert (ours.low, ours.estimate, ours.high) == pytest.approx((-z2 / (44 + z2), 0, z2 / (44 + z2)), abs=1e-12)


def test_the_ends_of_the_paired_interval_are_where_the_score_test_rejects():
    """Against a plain maximisation of the likelihood over a fine grid of the nuisance parameter."""
    b, c, n, alpha = 9, 3, 60, 0.05
    interval = paired_difference(b, c, n, alpha)
    for difference in (interval.low, interval.high):
        q = np.linspace(max(0, -difference) + 1e-9, (1 - difference) / 2 - 1e-9, 400_001)
        likelihood = b * np.log(q + difference) + c * np.log(q) + (n - b - c) * np.log(1 - 2 * q - difference)
        best = q[np.argmax(likelihood)]
        z = (b - c - n * difference) / math.sqrt(n * (2 * best + difference - difference**2))
        assert abs(z) == pytest.approx(scipy_stats.norm.isf(alpha / 2), abs=1e-3)


def test_swapping_the_classifiers_turns_the_interval_round():
    one, other = paired_difference(7, 2, 50, 0.05), paired_difference(2, 7, 50, 0.05)
    assert (one.low, one.estimate, one.high) == pytest.approx((-other.high, -other.estimate, -other.low))


def test_the_paired_interval_covers_about_as_often_as_it_says():
    counts = np.random.default_rng(3).multinomial(200, [0.08, 0.05, 0.87], size=2000)
    covers = [i.low <= 0.03 <= i.high for i in (paired_difference(b, c, 200, 0.05) for b, c, _ in counts.tolist())]
    assert 0.935 <= np.mean(covers) <= 0.97


def test_all_rows_may_differ_one_way():
    interval = paired_difference(30, 0, 30, 0.05)
    assert interval.estimate == interval.high == 1
    assert 0.7 < interval.low < 1


@pytest.mark.parametrize("call", [lambda: wilson(3, 2, 0.05), lambda: wilson(1, 2, 0), lambda: paired_difference(2, 2, 3, 0.05)])
def test_impossible_counts_are_refused(call):
    with pytest.raises(ValueError, match="must"):
        call()
