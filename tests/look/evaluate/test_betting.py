"""Intervals that may be looked at all the time: they cover the truth over all looks, and close in on it."""

import numpy as np
import pytest

from tfcanary.look.evaluate.betting import difference, paired_difference, share

LOOKS = np.unique(np.geomspace(5, 2_000, 8).astype(int))


@pytest.mark.parametrize("p", [0.002, 0.05, 0.5, 0.9])
def test_a_share_is_covered_at_all_looks_together(p):
    rng = np.random.default_rng(int(1000 * p))
    outside = 0
    for _ in range(200):
        seen = np.cumsum(rng.random(2_000) < p)
        intervals = (share(int(seen[n - 1]), int(n), 0.05) for n in LOOKS)
        outside += any(not interval.low <= p <= interval.high for interval in intervals)
    assert outside <= 16  # 10 are expected at most


@pytest.mark.parametrize(("b", "c"), [(0.02, 0.02), (0.1, 0.05), (0.3, 0.3)])
def test_a_paired_difference_is_covered_at_all_looks_together(b, c):
    rng = np.random.default_rng(7)
    outside = 0
    for _ in range(40):
        draws = rng.random(2_000)
        only_first, only_second = np.cumsum(draws < b), np.cumsum((draws >= b) & (draws < b + c))
        intervals = (paired_difference(int(only_first[n - 1]), int(only_second[n - 1]), int(n), 0.05) for n in LOOKS)
        outside += any(not interval.low <= b - c <= interval.high for interval in intervals)
    assert outside <= 5  # 2 are expected at most


def test_nothing_seen_says_nothing_and_counts_that_cannot_be_are_refused():
    assert (share(0, 0, 0.05).low, share(0, 0, 0.05).high) == (0, 1)
    assert (paired_difference(0, 0, 0, 0.05).low, paired_difference(0, 0, 0, 0.05).high) == (-1, 1)
    for wrong in (lambda: share(3, 2, 0.05), lambda: paired_difference(1, 1, 1, 0.05), lambda: share(1, 2, 0.0)):
        with pytest.raises(ValueError, match="at alpha"):
            wrong()


def test_bounds_close_in_and_stay_inside():
    widths = [share(n // 10, n, 0.05).high - share(n // 10, n, 0.05).low for n in (10, 100, 1_000, 10_000)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.03
    for n in (10, 1_000):
        never, always = share(0, n, 0.05), share(n, n, 0.05)
        assert (never.low, always.high) == (0, 1)
        assert paired_difference(n, 0, n, 0.05).high == 1
        assert paired_difference(0, n, n, 0.05).low == -1


def test_equal_models_that_hardly_differ_are_known_to_be_equal_within_a_few_hundred_rows():
    interval = paired_difference(6, 6, 400, 0.05)
    assert -0.05 < interval.low < 0 < interval.high < 0.05


def test_a_difference_of_two_tracks_is_that_of_their_shares():
    interval = difference((900, 1_000), (950, 1_000), 0.05)
    assert interval.low < -0.05 < interval.high
    assert interval.estimate == pytest.approx(-0.05)
    assert difference((500, 1_000), (950, 1_000), 0.05).high < -0.3
