"""Rows over time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from tfcanary.core.domain import Finding, Interval
from tfcanary.report import style
from tfcanary.report.plots.glyph import Tone
from tfcanary.report.plots.interval import Measure
from tfcanary.report.plots.markup import Markup
from tfcanary.report.plots.over_time import (
    DecisionMark,
    FindingPeriod,
    RequestRates,
    findings_plot,
    intervals_plot,
    requests_plot,
    weight_plot,
)
from tfcanary.report.plots.time_axis import StageBand, TimeSpan, time_axis

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def after(minutes: float) -> datetime:
    """So long after noon."""
    return NOON + timedelta(minutes=minutes)


SPAN = TimeSpan(NOON, after(10))
BANDS = (StageBand(NOON, after(4), "stage 0"), StageBand(after(4), after(10), "stage 1"))


def parsed(picture: Markup) -> ElementTree.Element:
    """As XML."""
    return ElementTree.fromstring(picture.text)


def plain(value: float) -> str:
    """As short as can be."""
    return f"{value:g}"


def of_class(picture: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """All elements whose class begins with this word."""
    return [e for e in picture.iter() if e.get("class", "").split()[:1] == [name]]


def percent_of(element: ElementTree.Element, key: str) -> float:
    """A coordinate."""
    return float(element.get(key, "").removesuffix("%"))


def test_the_weight_is_a_step_line_from_change_to_change() -> None:
    picture = parsed(weight_plot(SPAN, [(NOON, 5), (after(4), 25), (after(9), 0)], BANDS, ()))
    (step,) = of_class(picture, "step")
    assert step.get("d") == "M0 1000H0V950H400V750H900V1000H1000"


def test_stages_are_bands_with_their_names() -> None:
    picture = parsed(weight_plot(SPAN, [(NOON, 5)], BANDS, ()))
    assert ["".join(e.itertext()) for e in of_class(picture, "label")] == ["stage 0", "stage 1"]
    assert [(e.get("x"), e.get("width")) for e in of_class(picture, "band")] == [("0%", "40%")]


@pytest.mark.parametrize(("minutes", "label"), [(0.2, []), (0.5, ["0"]), (2.0, ["stage 0"])])
def test_a_stage_too_narrow_for_its_name_has_its_number_and_a_sliver_has_nothing(minutes: float, label: list[str]) -> None:
    bands = (StageBand(NOON, after(minutes), "stage 0"), StageBand(after(minutes), after(10), "stage 1"))
    picture = parsed(weight_plot(SPAN, [(NOON, 5)], bands, ()))
    assert ["".join(e.itertext()) for e in of_class(picture, "label")] == [*label, "stage 1"]


def test_the_word_of_a_stage_can_be_hidden_where_the_page_is_narrow() -> None:
    picture = parsed(weight_plot(SPAN, [(NOON, 5)], BANDS, ()))
    assert [e.text for e in of_class(picture, "word")] == ["stage ", "stage "]
    assert ".tfcanary .label .word { display: none; }" in style.SHEET.partition("@media (max-width: 640px)")[2]


def test_decisions_are_marked_and_named() -> None:
    picture = parsed(weight_plot(SPAN, [(NOON, 5)], BANDS, [DecisionMark(after(5), 5, Tone.BAD, "rollback: errors")]))
    (mark,) = of_class(picture, "mark")
    assert (mark.get("x1"), mark.get("class")) == ("50%", "mark bad")
    assert "rollback: errors" in "".join(picture.itertext())
    assert of_class(picture, "force") == []


def test_a_decision_lies_on_the_weight_line_where_it_was_made_and_where_it_came_into_force() -> None:
    mark = DecisionMark(after(5), 25, Tone.BAD, "rollback", in_force=(after(6), 0))
    picture = parsed(weight_plot(SPAN, [(NOON, 25), (after(6), 0)], BANDS, [mark]))
    (sign,) = [e for e in picture.iter("svg") if e.get("overflow")]
    (force,) = of_class(picture, "force")
    assert (sign.get("x"), sign.get("y")) == ("50%", "75%")
    assert (force.get("cx"), force.get("cy"), force.get("class")) == ("60%", "100%", "force bad")


def test_both_tracks_stand_on_top_of_each_other() -> None:
    picture = parsed(requests_plot(SPAN, [RequestRates(NOON, after(5), 30.0, 10.0)], BANDS, plain))
    (stable,), (canary,) = of_class(picture, "stable"), of_class(picture, "canary")
    assert percent_of(stable, "height") == pytest.approx(3 * percent_of(canary, "height"), abs=0.02)
    assert percent_of(canary, "y") + percent_of(canary, "height") == pytest.approx(percent_of(stable, "y"), abs=0.02)


def test_no_request_at_all_is_said() -> None:
    assert parsed(requests_plot(SPAN, [RequestRates(NOON, after(5), 0.0, 0.0)], (), plain)).findtext("desc") == "No request was counted"


def test_findings_are_told_apart_by_their_height() -> None:
    runs = [FindingPeriod(after(i), after(i + 1), finding) for i, finding in enumerate(Finding)]
    heights = [e.get("height") for e in of_class(parsed(findings_plot(SPAN, runs, (), "errors")), "run")]
    assert len(set(heights)) == len(Finding)
    assert heights[list(Finding).index(Finding.FAIL)] == "100%"


def test_the_intervals_close_in_from_left_to_right() -> None:
    measure = Measure(plain, plain, 1.1, 1.5, 1.0, logarithmic=True)
    series = [(after(i), Interval(1 / (5 - i), 1.0, 5.0 - i)) for i in range(4)]
    picture = parsed(intervals_plot(SPAN, series, measure, BANDS, "errors"))
    (ribbon,) = of_class(picture, "ribbon")
    points = [tuple(map(float, p.split())) for p in ribbon.get("d", "").strip("Mz").split("L")]
    assert [x for x, _ in points] == [0, 100, 200, 300, 300, 200, 100, 0]
    widths = [low - high for (_, high), (_, low) in zip(points[:4], reversed(points[4:]), strict=True)]
    assert widths == sorted(widths, reverse=True)
    assert picture.findtext("desc") == "At the end 1, from 0.5 to 2"


@pytest.mark.parametrize("minutes", [0.5, 10, 33, 75, 60 * 24, 60 * 24 * 30])
def test_the_axis_of_time_has_few_round_ticks(minutes: float) -> None:
    span = TimeSpan(NOON, after(minutes))
    assert 2 <= len(span.ticks()) <= 8
    assert all(tick.total_seconds() <= span.seconds for tick in span.ticks())
    axis = parsed(time_axis(span, tuple(str(t) for t in span.ticks())))
    assert len(list(axis.iter("text"))) == len(span.ticks())


def test_a_span_of_one_instant_has_a_length() -> None:
    assert TimeSpan(NOON, NOON).at(NOON) == 0.0
    assert TimeSpan(NOON, NOON).ticks()[0] == timedelta(0)
