"""The long-run variance against its definition."""

import numpy as np
import pytest

from tfcanary.decide.stats.longrun import bartlett_sum, long_run_variance


def by_definition(u, lag):
    total = np.sum(u * u)
    for j in range(1, min(lag, len(u) - 1) + 1):
        total += 2 * (1 - j / (lag + 1)) * np.sum(u[j:] * u[:-j])
    return max(total, 0.0)


@pytest.mark.parametrize("lag", [0, 1, 4, 10, 29, 30, 100])
@pytest.mark.parametrize("windows", [1, 2, 30])
def test_moving_sums_give_the_bartlett_weighted_variance(lag, windows):
    series = np.random.default_rng(7).standard_normal((3, windows)).cumsum(axis=1)
    assert long_run_variance(series, lag) == pytest.approx([by_definition(u, lag) for u in series], rel=1e-9)


def test_no_windows_have_no_variance():
    assert long_run_variance(np.zeros((2, 0)), 4).tolist() == [0.0, 0.0]


def test_independent_noise_is_not_inflated_and_slow_noise_is():
    rng = np.random.default_rng(5)
    white = rng.standard_normal((1, 20_000))
    slow = np.repeat(rng.standard_normal((1, 2_000)), 10, axis=1)
    assert long_run_variance(white, 10)[0] / 20_000 == pytest.approx(1, abs=0.15)
    assert long_run_variance(slow, 40)[0] / 20_000 > 6


def test_the_inflation_of_a_sum_follows_its_definition():
    rho, lag = np.exp(-30 / 120), 4
    assert bartlett_sum(lag, rho) == pytest.approx(1 + 2 * sum((1 - j / 5) * rho**j for j in range(1, 5)))
    assert bartlett_sum(0, rho) == 1
