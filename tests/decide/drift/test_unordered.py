"""Categories: the share of moved rows, the test of the mix and unseen values, against simulation and SciPy."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tfcanary.decide.drift.unordered import MixComparison, compare_mix, moved_share, new_values, pool_rare


def pair(n, m, first, second, seed):
    """Counts of two samples; values that occur in neither are left out, as a profile leaves them out."""
    rng = np.random.default_rng(seed)
    a, b = rng.multinomial(n, first), rng.multinomial(m, second)
    return a[a + b > 0], b[a + b > 0]


def flat(k):
    return np.full(k, 1 / k)


@pytest.mark.parametrize(("n", "m"), [(800, 600), (81, 60)])
def test_the_moved_share_is_the_mean_over_random_halvings(n, m):
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(20))
    a, b = pair(n, m, shares, np.roll(shares, 1) * 0.6 + shares * 0.4, 1)

    def half_difference():
        a1, b1 = rng.multivariate_hypergeometric(a, n // 2), rng.multivariate_hypergeometric(b, m // 2)
        risen = np.sign(b1 / (m // 2) - a1 / (n // 2))
        return float(np.sum(risen * ((b - b1) / (m - m // 2) - (a - a1) / (n - n // 2)))) / 2

    assert moved_share(a, b) == pytest.approx(np.mean([half_difference() for _ in range(4_000)]), abs=0.003)


@pytest.mark.parametrize(
    ("k", "n", "m"), [(2, 500, 500), (10, 500, 2_000), (200, 500, 500), (50_000, 20_000, 20_000), (50_000, 300_000, 100_000)]
)
def test_without_drift_no_rows_moved_however_many_values_there_are(k, n, m):
    moved = [moved_share(*pair(n, m, flat(k), flat(k), seed)) for seed in range(4)]
    plain = [float(np.abs(a / n - b / m).sum() / 2) for a, b in (pair(n, m, flat(k), flat(k), seed) for seed in range(4))]
    assert np.mean(moved) < 0.02
    assert k <= 10 or np.mean(plain) > 0.1  # what the plain distance says


def test_a_class_that_takes_a_fifth_of_the_rows_is_measured():
    first = np.array([0.5, 0.3, 0.1, 0.1])
    a, b = pair(20_000, 5_000, first, np.array([0.3, 0.3, 0.3, 0.1]), 0)
    assert moved_share(a, b) == pytest.approx(0.2, abs=0.02)
    assert moved_share(np.array([9_000, 0]), np.array([0, 100])) == pytest.approx(1)


def test_one_row_is_compared_plainly():
    assert moved_share(np.array([1, 0]), np.array([0, 7])) == 1


@pytest.mark.parametrize("k", [3, 20, 300])
def test_the_chi_square_test_is_scipys_where_all_values_have_as_many_rows(k):
    a = np.random.default_rng(k).binomial(20_000, 0.5, k)
    b = 20_000 - a
    assert compare_mix(a, b).p_value == pytest.approx(scipy_stats.chi2_contingency(np.stack([a, b]), correction=False).pvalue, rel=0.01)
    assert compare_mix(a, b).freedom == pytest.approx(k - 1, rel=0.01)


def test_two_values_are_tested_exactly():
    a, b = np.array([7, 23]), np.array([20, 20])
    assert compare_mix(a, b).p_value == pytest.approx(scipy_stats.fisher_exact(np.stack([a, b])).pvalue, rel=0.3)
    assert compare_mix(np.array([30]), np.array([10])) == MixComparison()


def test_rare_values_are_pooled_by_their_sums_until_each_group_lets_expect_two():
    a, b = np.array([1, 500, 0, 1, 2, 1]), np.array([1, 400, 1, 1, 1, 1])
    first, second = pool_rare(a, b)
    assert (first.sum(), second.sum()) == (a.sum(), b.sum())
    both, least = first + second, min(a.sum(), b.sum()) / (a.sum() + b.sum())
    assert len(both) == 3  # 0 + 1, 1 + 1 and 1 + 1 rows go together, and 1 + 1 and 2 + 1
    assert (both * least >= 2).all()


@pytest.mark.parametrize(("k", "n", "m"), [(2, 300, 300), (200, 500, 500), (1_000, 2_000, 300), (50_000, 20_000, 20_000)])
def test_equal_mixes_are_rarely_called_different(k, n, m):
    shares = 1 / np.arange(1, k + 1)
    chances = [compare_mix(*pair(n, m, shares / shares.sum(), shares / shares.sum(), seed)).p_value for seed in range(60)]
    assert np.mean(np.array(chances) < 0.1) < 0.22  # five standard deviations above 0.1


@pytest.mark.parametrize("shares", [[0.99, 0.007, 0.003], [0.9, 0.09, 0.01], [0.95, *[1e-4] * 500], [0.98, *[0.001] * 20]])
@pytest.mark.parametrize(("n", "m"), [(500, 500), (20_000, 500), (500, 5_000), (100, 60)])
def test_few_rows_of_rare_values_are_not_called_different(shares, n, m):
    chances = np.array([compare_mix(*pair(n, m, shares, shares, seed)).p_value for seed in range(400)])
    assert np.sum(chances < 0.01) <= 14  # of 4 to be expected: five standard deviations
    assert chances.min() > 2e-5


def test_a_drift_of_frequent_values_is_not_drowned_by_rare_ones():
    shares = 1 / np.arange(1, 201) ** 0.8
    shares /= shares.sum()
    moved = shares * np.where(np.random.default_rng(7).permutation(200) % 2, 1.4, 0.6)
    pairs = [pair(500, 500, shares, moved / moved.sum(), seed) for seed in range(200)]
    found = [compare_mix(*one).p_value < 0.007 for one in pairs]
    by_chi_square = [scipy_stats.chi2_contingency(np.stack(one), correction=False).pvalue < 0.007 for one in pairs]
    assert np.mean(found) > np.mean(by_chi_square) + 0.15


def test_the_share_that_is_seen_is_found_about_half_the_time():
    k, n, alpha = 10, 600, 0.001
    share = compare_mix(np.full(k, n // k), np.full(k, n // k)).detectable_share(alpha)
    moved = flat(k) + np.where(np.arange(k) % 2, 1, -1) * share * 2 / k
    found = [compare_mix(*pair(n, n, flat(k), moved, seed)).p_value < alpha for seed in range(200)]
    assert 0.3 < np.mean(found) < 0.7


def test_unseen_values_are_expected_as_often_as_values_were_seen_once():
    new, expected, p_value = np.mean([new_values(*pair(500, 500, flat(1_000), flat(1_000), seed)) for seed in range(20)], axis=0)
    assert new == pytest.approx(0.6, abs=0.03)
    assert expected == pytest.approx(new, abs=0.02)
    assert p_value > 0.1


@pytest.mark.parametrize(("k", "n", "m"), [(200, 500, 500), (1_000, 2_000, 300), (5_000, 500, 3_000)])
def test_unseen_values_without_drift_are_never_a_surprise(k, n, m):
    shares = 1 / np.arange(1, k + 1)
    chances = [new_values(*pair(n, m, shares / shares.sum(), shares / shares.sum(), seed))[2] for seed in range(40)]
    assert min(chances) > 0.01


def test_a_new_value_and_many_rare_new_values_are_a_surprise():
    first = np.append(flat(50), np.zeros(31))
    second = np.concatenate([0.95 * flat(50), np.zeros(1), np.full(30, 0.05 / 30)])
    new, expected, p_value = new_values(*pair(5_000, 5_000, first, second, 0))
    assert (round(new, 2), expected) == (0.05, 0)
    assert p_value < 1e-6
    assert new_values(np.array([500, 0]), np.array([450, 50]))[2] < 1e-6
    assert new_values(np.array([500]), np.array([500]))[2] == 1
