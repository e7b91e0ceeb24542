"""Sums of exponentials, also of those that fit into no double."""

import numpy as np
import pytest
from scipy.special import logsumexp

from tfcanary.decide.stats.logarithms import log_sum_exp


@pytest.mark.parametrize("scale", [1.0, 1e4, 1e-6])
def test_log_sum_exp_agrees_with_scipy(scale):
    values = scale * np.random.default_rng(1).standard_normal((2, 5, 9))
    assert log_sum_exp(values) == pytest.approx(logsumexp(values, axis=-1))
    assert log_sum_exp(values[0, 0]) == pytest.approx(logsumexp(values[0, 0]))


def test_nothing_overflows():
    assert log_sum_exp(np.array([1e6, 1e6])) == pytest.approx(1e6 + np.log(2))
    assert log_sum_exp(np.array([-1e6, -1e6])) == pytest.approx(-1e6 + np.log(2))
