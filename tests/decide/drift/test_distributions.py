"""The tails that chance is measured by, against SciPy and against brute force."""

import math

import numpy as np
import pytest
from scipy import special
from scipy import stats as scipy_stats

from tfcanary.decide.stats.chisquare import chi_square_critical, chi_square_tail
from tfcanary.decide.stats.hypergeometric import difference_tail
from tfcanary.decide.stats.kolmogorov import kolmogorov_critical, kolmogorov_tail
from tfcanary.decide.stats.multiplicity import alpha_of_look, benjamini_hochberg


@pytest.mark.parametrize("freedom", [1, 2, 3, 10, 100, 1_000, 65_535])
@pytest.mark.parametrize("deviations", [-3, -1, 0, 1, 3, 8, 20])
def test_the_chi_square_tail_is_scipys(freedom, deviations):
    x = max(0.01, freedom + deviations * math.sqrt(2 * freedom))
    assert chi_square_tail(x, freedom) == pytest.approx(scipy_stats.chi2.sf(x, freedom), rel=1e-8)


@pytest.mark.parametrize("freedom", [1, 2, 5, 50, 5_000])
@pytest.mark.parametrize("p", [0.05, 0.001])
def test_the_critical_value_is_near_scipys(freedom, p):
    assert chi_square_critical(p, freedom) == pytest.approx(scipy_stats.chi2.isf(p, freedom), rel=0.04)


def test_no_distance_is_no_surprise_and_no_freedom_is_a_mistake():
    assert chi_square_tail(0, 3) == kolmogorov_tail(0) == difference_tail(3, 5, 5, 0) == 1
    with pytest.raises(ValueError, match="must be positive"):
        chi_square_tail(1, 0)


def test_the_kolmogorov_tail_is_scipys_also_far_out():
    for x in (0.05, 0.3, 0.7, 0.99, 1.0, 1.01, 1.5, 3, 6):
        assert kolmogorov_tail(x) == pytest.approx(special.kolmogorov(x), rel=1e-9, abs=1e-13)
    assert kolmogorov_tail(kolmogorov_critical(1e-4)) == pytest.approx(1e-4, rel=0.01)


@pytest.mark.parametrize("seed", range(20))
def test_the_difference_of_two_shares_is_tested_exactly(seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 300, 2).tolist()
    successes = int(rng.integers(0, n + m + 1))
    distance = float(rng.random()) ** 2
    k = np.arange(max(0, successes - m), min(n, successes) + 1)
    chances = scipy_stats.hypergeom.pmf(k, n + m, successes, n)
    truth = chances[np.abs(k / n - (successes - k) / m) >= distance * (1 - 1e-9)].sum()
    assert difference_tail(successes, n, m, distance) == pytest.approx(truth, rel=1e-8, abs=1e-200)


def test_the_difference_of_two_shares_of_a_thousand_million_rows_is_normal():
    ours = difference_tail(10**8, 10**9, 10**9, 5e-5)
    assert ours == pytest.approx(2 * scipy_stats.norm.sf(5e-5 / math.sqrt(0.05 * 0.95 * 2e-9)), rel=0.01)


def test_benjamini_hochberg_takes_all_up_to_the_last_that_lies_below_its_line():
    assert benjamini_hochberg([0.001, 0.04, 0.03, 0.5], 0.05) == (True, False, False, False)
    assert benjamini_hochberg([0.001, 0.037, 0.03, 0.5], 0.05) == (True, True, True, False)  # 0.03 lies above its own line
    assert benjamini_hochberg([], 0.05) == ()


@pytest.mark.parametrize("seed", range(10))
def test_benjamini_hochberg_flags_the_tests_that_scipys_corrected_p_values_flag(seed):
    rng = np.random.default_rng(seed)
    p_values = rng.random(200) ** rng.integers(1, 6)
    assert benjamini_hochberg(p_values.tolist(), 0.05) == tuple((scipy_stats.false_discovery_control(p_values) <= 0.05).tolist())


@pytest.mark.parametrize("p", [0.2, 0.05, 0.001, 1e-6])
def test_the_critical_distance_is_near_scipys(p):
    assert kolmogorov_critical(p) == pytest.approx(special.kolmogi(p), rel=0.01)


def test_all_looks_together_spend_alpha():
    assert sum(alpha_of_look(look, 0.05) for look in range(1, 10_000)) == pytest.approx(0.05, rel=1e-3)
    with pytest.raises(ValueError, match="from 1"):
        alpha_of_look(0, 0.05)
