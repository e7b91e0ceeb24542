"""Axes: positions and round values."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tfcanary.report.plots.scale import Scale

FINITE = st.floats(-1e12, 1e12)


def test_a_linear_scale() -> None:
    scale = Scale(10.0, 20.0)
    assert [scale.at(v) for v in (10, 15, 20)] == [0.0, 0.5, 1.0]


def test_on_a_logarithmic_scale_equal_ratios_have_equal_lengths() -> None:
    scale = Scale(0.25, 4.0, logarithmic=True)
    assert [scale.at(v) for v in (0.25, 0.5, 1.0, 2.0, 4.0)] == pytest.approx([0, 0.25, 0.5, 0.75, 1])


@pytest.mark.parametrize("value", [0.0, -1.0, -math.inf])
def test_what_is_too_small_lies_at_the_left_edge(value: float) -> None:
    assert Scale(0.5, 2.0, logarithmic=True).at(value) == 0.0
    assert not Scale(0.5, 2.0).holds(value)


def test_what_is_too_large_lies_at_the_right_edge() -> None:
    assert Scale(0.5, 2.0).at(math.inf) == 1.0


@pytest.mark.parametrize(("low", "high", "logarithmic"), [(1.0, 1.0, False), (2.0, 1.0, False), (0.0, 1.0, True), (math.nan, 1.0, False)])
def test_a_scale_that_does_not_rise_is_refused(low: float, high: float, logarithmic: bool) -> None:
    with pytest.raises(ValueError, match="must rise"):
        Scale(low, high, logarithmic)


@pytest.mark.parametrize(
    ("scale", "ticks"),
    [
        (Scale(0.0, 100.0), (0, 20, 40, 60, 80, 100)),
        (Scale(0.94, 1.16, logarithmic=True), (0.95, 1.0, 1.05, 1.1, 1.15)),  # narrow: as on a linear one
        (Scale(0.4, 9.0, logarithmic=True), (0.5, 1, 2, 5)),
        (Scale(0.05, 30.0, logarithmic=True), (0.1, 0.3, 1, 3, 10, 30)),
        (Scale(-0.016, 0.004), (-0.015, -0.01, -0.005, 0)),
    ],
)
def test_ticks_are_round(scale: Scale, ticks: tuple[float, ...]) -> None:
    assert scale.ticks() == pytest.approx(ticks)


@given(FINITE, FINITE, st.integers(2, 8))
@settings(max_examples=300, deadline=None)
def test_ticks_lie_on_the_axis_and_are_few(low: float, high: float, most: int) -> None:
    assume(high - low > 1e-9 * max(abs(low), abs(high), 1e-3))
    ticks = Scale(low, high).ticks(most)
    slack = 1e-6 * (high - low) + 1e-11
    assert len(ticks) <= most
    assert all(low - slack <= t <= high + slack for t in ticks)


@given(st.floats(1e-30, 1e30), st.floats(1.001, 1e60), st.integers(2, 8))
@settings(max_examples=300, deadline=None)
def test_ticks_of_ratios_are_few_whatever_the_decades(low: float, factor: float, most: int) -> None:
    assert len(Scale(low, low * factor, logarithmic=True).ticks(most)) <= most
