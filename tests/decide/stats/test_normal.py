"""The normal distribution far out, against SciPy, and the mixture over it, against numerical integration."""

import math

import numpy as np
import pytest
from scipy import integrate
from scipy import stats as scipy_stats

from tfcanary.decide.stats.normal import log_cdf, log_half_normal_mixture


@pytest.mark.parametrize("z", [*np.linspace(-40, 9, 99).tolist(), -8.0, -7.999999, -8.000001, -1e4])
def test_log_cdf_agrees_with_scipy_in_both_tails(z):
    assert log_cdf(z) == pytest.approx(scipy_stats.norm.logcdf(z), rel=3e-8, abs=1e-15)


@pytest.mark.parametrize(
    ("s", "information", "scale"), [(0.0, 0.0, 0.01), (3.0, 4.0, 0.5), (-3.0, 4.0, 0.5), (40.0, 900.0, 0.05), (-40.0, 900.0, 0.05)]
)
def test_the_mixture_is_the_integral_that_it_says(s, information, scale):
    def integrand(x):
        return 2 / (scale * math.sqrt(2 * math.pi)) * math.exp(-0.5 * (x / scale) ** 2 + x * s - 0.5 * x * x * information)

    integral, _ = integrate.quad(integrand, 0, 12 * scale)
    assert log_half_normal_mixture(s, information, scale) == pytest.approx(math.log(integral), abs=1e-6)


def test_the_mixture_is_a_fair_bet_where_the_mean_is_zero():
    """Its expectation over a normal sum with this variance is 1: the martingale that optional stopping rests on."""
    information, scale = 9.0, 0.4

    def weighted(s):
        return math.exp(log_half_normal_mixture(s, information, scale)) * scipy_stats.norm.pdf(s, scale=math.sqrt(information))

    assert integrate.quad(weighted, -40, 60)[0] == pytest.approx(1.0, abs=1e-6)
