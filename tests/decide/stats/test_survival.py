"""A histogram as a curve."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tfcanary.core.domain import LATENCY_BOUNDS
from tfcanary.decide.stats.survival import Survival


def lognormal_buckets(median, spread, n=1e6):
    below = scipy_stats.norm.cdf(np.log(np.array(LATENCY_BOUNDS) / median) / spread)
    return n * np.diff(np.concatenate([[0], below, [1]]))


def test_a_lognormal_is_known_exactly_between_the_bounds():
    survival = Survival.of(LATENCY_BOUNDS, lognormal_buckets(40_000, 0.45).tolist())
    x = np.array([15_000, 33_333, 50_000, 111_111.0])
    assert survival(x) == pytest.approx(scipy_stats.norm.sf(np.log(x / 40_000) / 0.45), rel=1e-6)


def test_beyond_the_bounds_the_curve_is_flat_and_never_quite_0_or_1():
    survival = Survival.of((10.0, 20.0), (5.0, 90.0, 5.0))
    assert survival(np.array([1.0, 10.0])).tolist() == pytest.approx([0.95, 0.95])
    assert survival(np.array([20.0, 1e9])).tolist() == pytest.approx([0.05, 0.05])
    empty_ends = Survival.of((10.0, 20.0), (0.0, 90.0, 0.0))
    assert 0 < empty_ends(np.array([1e9]))[0] < empty_ends(np.array([1.0]))[0] < 1
