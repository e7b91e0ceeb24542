"""One criterion as a picture."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcanary.core.domain import Interval
from tfcanary.report.plots.glyph import Tone
from tfcanary.report.plots.interval import Measure, axis, interval_plot


def plain(value: float) -> str:
    """As short as can be."""
    return f"{value:g}"


def ratio(tolerance: float | None = 1.1, margin: float | None = 1.5) -> Measure:
    """Of errors, say."""
    return Measure(plain, plain, tolerance, margin, no_difference=1.0, logarithmic=True)


def drawn(interval: Interval, measure: Measure) -> ElementTree.Element:
    """The picture, parsed."""
    return ElementTree.fromstring(interval_plot(interval, measure, Tone.BAD, "errors").text)


def at(element: ElementTree.Element, key: str) -> float:
    """A position in percent."""
    return float(element.get(key, "nan").removesuffix("%"))


def one(picture: ElementTree.Element, name: str) -> ElementTree.Element:
    """The element of a class."""
    (found,) = [e for e in picture.iter() if e.get("class") == name]
    return found


def test_interval_estimate_and_lines_stand_in_their_order() -> None:
    picture = drawn(Interval(1.9, 4.1, 8.8), ratio())
    bar, estimate = one(picture, "bar"), one(picture, "estimate")
    places = [at(one(picture, "same"), "x1"), at(one(picture, "tolerance"), "x1"), at(one(picture, "margin"), "x1"), at(bar, "x1")]
    places += [at(estimate, "cx"), at(bar, "x2")]
    assert places == sorted(places)
    assert len(set(places)) == 6


def test_a_doubling_is_as_far_to_the_right_as_a_halving_to_the_left() -> None:
    picture = drawn(Interval(0.5, 1.0, 2.0), ratio())
    bar, estimate = one(picture, "bar"), at(one(picture, "estimate"), "cx")
    assert at(bar, "x2") - estimate == pytest.approx(estimate - at(bar, "x1"), abs=0.02)


def test_labels_stand_on_the_outer_sides_of_their_lines() -> None:
    words = {e.text: e.get("text-anchor") for e in drawn(Interval(0.9, 1.0, 1.2), ratio()).iter("text") if e.get("class") == "label"}
    assert words == {"tolerance 1.1": "end", "margin 1.5": "start"}


def test_where_higher_is_better_the_margin_lies_left() -> None:
    measure = Measure(plain, plain, tolerance=-0.003, margin=-0.01, no_difference=0.0)
    picture = drawn(Interval(-0.001, 0.001, 0.003), measure)
    words = {e.text: e.get("text-anchor") for e in picture.iter("text") if e.get("class") == "label"}
    assert words == {"margin -0.01": "end", "tolerance -0.003": "start"}
    assert at(one(picture, "margin"), "x1") < at(one(picture, "tolerance"), "x1") < at(one(picture, "same"), "x1")


@pytest.mark.parametrize(
    ("interval", "arrows"),
    [
        (Interval(-math.inf, 1.0, 1.2), ["‹"]),
        (Interval(0.9, 1.0, math.inf), ["›"]),
        (Interval(math.nan, 1.0, math.nan), ["‹", "›"]),
    ],
)
def test_an_open_end_is_an_arrow(interval: Interval, arrows: list[str]) -> None:
    assert [e.text for e in drawn(interval, ratio()).iter("text") if e.get("class") == "arrow"] == arrows


def test_a_criterion_without_limits_has_a_picture() -> None:
    picture = drawn(Interval(3.0, 4.0, 5.0), Measure(plain, plain))
    assert picture.findtext("desc") == "Estimate 4, interval from 3 to 5; no limit"


def test_it_says_in_words_what_it_shows() -> None:
    assert drawn(Interval(1.9, 4.1, 8.8), ratio()).findtext("desc") == "Estimate 4.1, interval from 1.9 to 8.8; tolerance 1.1; margin 1.5"


ODD = st.floats(allow_nan=True, allow_infinity=True)


@given(ODD, ODD, ODD, st.none() | ODD, st.none() | ODD, st.booleans())
@settings(max_examples=400, deadline=None)
def test_no_number_breaks_the_picture(
    low: float, estimate: float, high: float, tolerance: float | None, margin: float | None, logarithmic: bool
) -> None:
    measure = Measure(plain, plain, tolerance, margin, no_difference=1.0 if logarithmic else 0.0, logarithmic=logarithmic)
    for element in drawn(Interval(low, estimate, high), measure).iter():
        for key in ("x", "x1", "x2", "cx"):
            if element.get(key):
                assert 0 <= at(element, key) <= 100


@given(st.floats(1.001, 20), st.floats(1.001, 20))
@settings(max_examples=100, deadline=None)
def test_labels_always_have_room(tolerance: float, factor: float) -> None:
    """Three tenths of the width on each side, whatever the limits."""
    measure = ratio(tolerance, tolerance * factor)
    scale = axis(Interval(0.8, 1.0, 1.3), measure)
    assert scale.at(tolerance) >= 0.299
    assert scale.at(tolerance * factor) <= 0.701
