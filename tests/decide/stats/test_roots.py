"""Where a rising curve crosses zero."""

import math

import numpy as np
import pytest
from scipy import optimize

from tfcanary.decide.stats.roots import first_root


def test_each_row_finds_its_own_root():
    roots = np.array([-0.3, 0.71])
    found = first_root(lambda x: (x - roots[:, None]) * (1 + x * x), np.array([-1.0, -1.0]), np.array([1.0, 1.0]))
    assert found == pytest.approx(roots, abs=2e-3)


def test_a_curve_that_never_rises_ends_at_the_end_and_one_that_always_has_at_the_beginning():
    found = first_root(lambda x: np.stack([x[0] - 9, x[1] + 9]), np.array([-1.0, -1.0]), np.array([1.0, 1.0]))
    assert found.tolist() == [1.0, -1.0]


def test_a_flat_curve_below_zero_ends_at_the_end():
    assert first_root(lambda x: 0 * x - 1, np.array([0.0]), np.array([2.0])).tolist() == [2.0]


@pytest.mark.parametrize("curve", [math.tanh, math.sinh, math.expm1, lambda x: x**3 + x, lambda x: math.log(x + 3.0) - 1.0])
def test_the_root_is_near_scipys(curve):
    truth = optimize.brentq(curve, -1.1, 0.9)
    found = first_root(np.vectorize(curve), np.array([-1.1]), np.array([0.9]))
    assert found[0] == pytest.approx(truth, abs=2e-3)
