"""Cells: near enough to the exact distance on shapes that break histograms, and nothing falls through."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from tfcanary.decide.drift import cells, profile
from tfcanary.decide.drift.counts import align
from tfcanary.decide.drift.ordered import largest_gap

ROWS = 100_000


def prices(rng, s):
    return np.round(rng.lognormal(3 + s, 1, ROWS)) + 0.99


SHAPES = {
    "years": lambda rng, s: rng.integers(1950 + int(50 * s), 2025, ROWS),
    "epoch seconds": lambda rng, s: rng.integers(1_600_000_000, 1_700_000_000 + int(1e8 * s), ROWS),
    "a million and a bit": lambda rng, s: 1e6 + rng.normal(s, 1, ROWS),
    "Cauchy": lambda rng, s: rng.standard_cauchy(ROWS) + s,
    "prices ending in .99": prices,
    "90 % zeros": lambda rng, s: np.where(rng.random(ROWS) < 0.9 - s, 0, rng.exponential(1, ROWS)),
    "two narrow modes": lambda rng, s: np.where(rng.random(ROWS) < 0.5, 0, 1e6) + rng.normal(s * 1e-3, 1e-3, ROWS),
    "ten narrow modes": lambda rng, s: rng.choice(7 * 10.0 ** np.arange(10), ROWS) + rng.normal(s * 1e-2, 1e-2, ROWS),
    "fifty narrow modes": lambda rng, s: rng.choice(np.arange(50) * 1e5, ROWS) + rng.normal(s * 1e-2, 1e-2, ROWS),
    "shares near 0 and 1": lambda rng, s: 1 / (1 + np.exp(-rng.normal(s, 8, ROWS))),
    "lognormal over ten decades": lambda rng, s: rng.lognormal(s, 4, ROWS),
    "Pareto": lambda rng, s: rng.pareto(1.1, ROWS) * (1 + s),
    "float32": lambda rng, s: rng.normal(s, 1, ROWS).astype(np.float32),
    "whole numbers above 2^53": lambda rng, s: 2**60 + rng.integers(0, 1_000 + int(1_000 * s), ROWS),
    "1e-30": lambda rng, s: rng.normal(s, 1, ROWS) * 1e-30,
}


def counted(first, second):
    """Both columns in the cells of the first."""
    reference = profile(pa.table({"x": first}).to_batches())
    current = profile(pa.table({"x": second}).to_batches(), reference.layout)
    return align(reference.tallies[0], current.tallies[0])[1:]


@pytest.mark.parametrize("drift", [0, 0.2])
@pytest.mark.parametrize("shape", SHAPES)
def test_hard_shapes_lie_within_a_thousandth_of_the_exact_distance(shape, drift):
    rng = np.random.default_rng(5)
    first, second = SHAPES[shape](rng, 0), SHAPES[shape](rng, drift)
    exact = scipy_stats.ks_2samp(first, second, method="asymp").statistic
    assert largest_gap(*counted(first, second)).distance == pytest.approx(exact, abs=1e-3)


def test_a_narrow_mode_far_away_gets_a_centre_of_its_own():
    rng = np.random.default_rng(0)
    centres = cells.choose_centres(np.concatenate([rng.normal(0, 1, 5_000), 1e9 + rng.normal(0, 1, 4_000)]))
    assert len(centres) == 2
    assert centres[1] == pytest.approx(1e9, abs=1)


def test_an_atom_gets_a_centre_that_is_the_atom():
    values = np.concatenate([np.random.default_rng(0).normal(0, 1, 5_000), np.full(3_000, 12.99)])
    assert 12.99 in cells.choose_centres(values)


def test_a_smooth_column_keeps_one_centre():
    assert len(cells.choose_centres(np.random.default_rng(0).normal(7, 3, 60_000))) == 1


@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=40), st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4, unique=True))
def test_a_larger_value_never_lies_in_a_lower_cell(values, centres):
    centres = sorted(centres)
    keys = [int(cells.count(np.array([value]), centres)[0][0]) for value in sorted(values)]
    assert keys == sorted(keys)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=40), st.integers(-(2**63), 2**63 - 1))
def test_nor_does_a_larger_whole_number_even_at_the_ends_of_64_bits(values, centre):
    keys = [int(cells.count(np.array([value], np.int64), [centre])[0][0]) for value in sorted(values)]
    assert keys == sorted(keys)


@given(st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=40), st.floats(-1e6, 1e6))
def test_a_value_lies_below_the_upper_edge_of_its_cell(values, centre):
    for value in values:
        key = int(cells.count(np.array([value]), [centre])[0][0])
        slack = 1e-6 * (abs(value) + abs(centre)) + 1e-37
        assert value <= cells.upper_edge(key, [centre]) + slack
        if key:
            assert value >= cells.upper_edge(key - 1, [centre]) - slack


def test_many_values_are_counted_as_few_are():
    values = np.random.default_rng(1).normal(0, 1, 3 * cells.BLOCK + 17)
    many = cells.count(values, [0.0, 1.0])
    parts = [cells.count(part, [0.0, 1.0]) for part in np.array_split(values, 60)]
    total = {}
    for keys, counts, *_ in parts:
        for key, number in zip(keys.tolist(), counts.tolist(), strict=True):
            total[key] = total.get(key, 0) + number
    assert dict(zip(many[0].tolist(), many[1].tolist(), strict=True)) == total


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_nan_is_counted_apart_and_infinity_lies_beyond_all_numbers(kind):
    largest = np.finfo(kind).max
    values = np.array([np.nan, -np.nan, np.inf, -np.inf, largest, -largest, 0.0], kind)
    keys, counts, nans, whole = cells.count(values, [0.0])
    assert nans == 2
    assert counts.tolist() == [1, 1, 1, 1, 1]
    assert [cells.upper_edge(int(key), [0.0]) for key in (keys[0], keys[-1])] == [-np.inf, np.inf]
    assert whole  # the largest floats are whole numbers


def test_neighbours_above_two_to_the_53_are_told_apart():
    _, counts, *_ = cells.count(np.array([2**60, 2**60 + 1, 2**60 + 1, 2**60 + 2]), [2**60])
    assert counts.tolist() == [1, 2, 1]
    _, counts, *_ = cells.count(np.array([2**64 - 1, 2**64 - 1, 5], np.uint64), cells.choose_centres(np.array([2**64 - 1], np.uint64)))
    assert counts.tolist() == [1, 2]


def test_no_values_at_all_can_be_laid_out_and_counted():
    assert cells.choose_centres(np.array([np.nan, np.inf])) == (0,)
    assert cells.count(np.zeros(0), (0,))[1].tolist() == []
