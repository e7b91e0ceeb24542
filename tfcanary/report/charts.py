"""Composes the pictures of a report: criteria with their intervals, the release over time, distributions, and waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tfcanary.core.domain import Evidence, Finding
from tfcanary.report.blocks import NAME, SENTENCE, Badge, CriteriaChart, DistributionChart, HistoryChart, WaitsChart
from tfcanary.report.evidence_blocks import figures_line, interval_words
from tfcanary.report.history import criterion_ids, finding_periods, interval_series, request_rates, short_labels, time_span, weight_changes
from tfcanary.report.numbers import RATIO, duration, moment, no_difference, plain, tick_writer, writer
from tfcanary.report.plots.glyph import glyph
from tfcanary.report.plots.histogram import share_plot
from tfcanary.report.plots.interval import Measure, interval_plot
from tfcanary.report.plots.markup import Child, Markup, code, element, join
from tfcanary.report.plots.over_time import DecisionMark, findings_plot, intervals_plot, requests_plot, weight_plot
from tfcanary.report.plots.text import cut
from tfcanary.report.plots.time_axis import TimeSpan, time_axis
from tfcanary.report.plots.waits import wait_axis, wait_plot
from tfcanary.report.wording import evidence_badge, finding_badge

_MOST = 40
"""The largest number of criteria that are drawn over time."""


def criteria_chart(block: CriteriaChart, badge: Callable[[Badge], Markup]) -> Markup:
    """Return one row for each evidence: its finding, id and reason on the left, its interval on the right."""
    legend = (_interval_legend(any(e.unit == RATIO for e in block.evidence)),) if block.legend else ()
    return join([*legend, *(_criterion(e, badge) for e in block.evidence)])


def _criterion(evidence: Evidence, badge: Callable[[Badge], Markup]) -> Markup:
    notes = [interval_words(evidence), figures_line(evidence), "" if evidence.gating else "shown only: it does not decide"]
    words = element(
        "div",
        element("div", badge(evidence_badge(evidence)), code(cut(evidence.about, NAME)), class_="head"),
        element("p", element("bdi", cut(evidence.reason, SENTENCE))),
        *(element("small", element("bdi", cut(note, SENTENCE))) for note in notes if note),
    )
    assert evidence.interval is not None
    tone = evidence_badge(evidence).tone
    plot = interval_plot(evidence.interval, _measure(evidence), tone, f"Interval: {cut(evidence.about, NAME)}")
    return element("div", words, element("div", plot, class_="shown"), class_="criterion")


def _measure(evidence: Evidence) -> Measure:
    unit = evidence.unit
    return Measure(writer(unit), tick_writer(unit), evidence.tolerance, evidence.margin, no_difference(unit), unit == RATIO)


def _interval_legend(ratios: bool) -> Markup:
    alike = "both tracks alike (1 for a ratio; ratios on a logarithmic scale)" if ratios else "both tracks alike"
    return _legend(
        (_line_sign("tolerance"), "tolerance: only a value beyond it may cause a rollback"),
        (_line_sign("margin"), "margin: a promotion must exclude values beyond it"),
        (_line_sign("same"), alike),
    )


def _legend(*entries: tuple[Markup, str]) -> Markup:
    return element("div", *(element("span", sign, words) for sign, words in entries), class_="legend")


def _line_sign(name: str) -> Markup:
    return element("svg", element("line", x1=0, x2=22, y1=7, y2=7, class_=name), width=22, height=14, aria_hidden="true")


def _box_sign(name: str, height: int) -> Markup:
    box = element("rect", x=0, y=13 - height, width=13, height=height, class_=name)
    return element("svg", box, width=14, height=14, aria_hidden="true")


def history_chart(history: HistoryChart) -> Markup:
    """Return all rows of a release on one time axis; empty where there is neither a poll nor an event."""
    span = time_span(history)
    if span is None:
        return Markup("")
    period = element(
        "p", f"From {moment(span.begins)} to {moment(span.ends)}; the axis below shows the time since the beginning.", class_="quiet"
    )
    return element("div", period, *_rows(history, span), class_="history")


def _rows(history: HistoryChart, span: TimeSpan) -> Iterator[Markup]:
    bands = history.bands
    changes = weight_changes(history.timeline, history.events)
    signs = _decision_legend(history.marks)
    yield _row(join(["Canary weight", *signs]), weight_plot(span, changes, bands, history.marks))
    if history.timeline.points:
        legends = (_legend((_box_sign("canary", 10), "canary")), _legend((_box_sign("stable", 10), "stable")))
        yield _row(join(["Requests a second", *legends]), requests_plot(span, request_rates(history.timeline), bands, plain))
    names = criterion_ids(history)[:_MOST]
    short = short_labels(names)
    for about in names:
        name = element("code", cut(short[about], NAME), title=cut(about, NAME))
        yield _row(name, findings_plot(span, finding_periods(history.timeline, about), bands, cut(about, NAME)), "row tight")
    yield _row("", time_axis(span, tuple(duration(t) for t in span.ticks())), "row tight")
    if names:
        yield _findings_legend()
    yield from _interval_rows(history, span, names)


def _decision_legend(marks: tuple[DecisionMark, ...]) -> tuple[Markup, ...]:
    """Return the legend of the decisions, with the sign of the last one; empty where there is none."""
    if not marks:
        return ()
    tone = marks[-1].tone
    decided = element("svg", glyph(tone, 14), width=14, height=14, aria_hidden="true")
    ring = element("circle", cx=7, cy=7, r=4, class_=f"force {tone.value}")
    in_force = element("svg", ring, width=14, height=14, aria_hidden="true")
    has_change = any(mark.in_force for mark in marks)
    return (_legend((decided, "decided")), *((_legend((in_force, "in force")),) if has_change else ()))


def _findings_legend() -> Markup:
    heights = ((Finding.FAIL, 12), (Finding.WARN, 7), (Finding.PASS, 4), (Finding.INCONCLUSIVE, 2))
    signs = ((_box_sign(f"run {finding_badge(f).tone.value}", height), f.value) for f, height in heights)
    return _row("", _legend(*signs))


def _interval_rows(history: HistoryChart, span: TimeSpan, names: tuple[str, ...]) -> Iterator[Markup]:
    """Return how the intervals became narrower, for the criteria of the last verdict that have more than one."""
    all_series = [(about, interval_series(history.timeline, about)) for about in names if about in history.criteria]
    long_series = [(about, series) for about, series in all_series if len(series) > 1]
    if not long_series:
        return
    yield element("h3", "Intervals over time")
    yield _interval_legend(any(history.criteria[about].unit == RATIO for about, _ in long_series))
    short = short_labels(names)
    for about, series in long_series:
        plot = intervals_plot(span, series, _measure(history.criteria[about]), history.bands, cut(about, NAME))
        yield _row(code(cut(short[about], NAME), title=cut(about, NAME)), plot)
    yield _row("", time_axis(span, tuple(duration(t) for t in span.ticks())), "row tight")


def _row(name: Child, picture: Markup, kind: str = "row") -> Markup:
    return element("div", element("div", name, class_="name"), picture, class_=kind)


def distribution_chart(block: DistributionChart) -> Markup:
    """Return one row for each category or range of values of a column, with a legend; each row has its label and both shares."""
    legend = _legend((_box_sign("stable", 12), "reference"), (_box_sign("canary", 12), "current"))
    highest = max((max(pair.reference, pair.current) for pair in block.pairs), default=0.0)
    rows = (
        _row(
            element("span", element("bdi", cut(pair.label, NAME)), title=cut(pair.label, NAME)), share_plot(pair, highest), "row tight wide"
        )
        for pair in block.pairs
    )
    return element("div", legend, *rows, class_="history")


def waits_chart(block: WaitsChart) -> Markup:
    """Return one bar for each outcome, on one time axis, with a legend."""
    rows = [_row(cut(one.label, NAME), wait_plot(one, block.minimum, block.maximum), "row tight") for one in block.waits]
    legend = _legend(
        (_box_sign("band", 12), "up to the stage's maximum time, on a logarithmic axis"), (_line_sign("stage"), "the stage's minimum time")
    )
    return element("div", legend, *rows, _row("", wait_axis(duration), "row tight"), class_="history")
