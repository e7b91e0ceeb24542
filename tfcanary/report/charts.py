"""The pictures of a report: criteria with their intervals, and the release over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tfcanary.core.domain import Evidence, Finding
from tfcanary.report.blocks import NAME, SENTENCE, Badge, History, Waits
from tfcanary.report.evidence_blocks import figures_line, interval_words
from tfcanary.report.history import asked, changes, columns, labels, runs, series, span
from tfcanary.report.numbers import RATIO, duration, moment, plain, same, ticks, writer
from tfcanary.report.plots.histogram import Pair, histogram
from tfcanary.report.plots.interval import Measure, interval_plot
from tfcanary.report.plots.markup import Child, Markup, code, element, join
from tfcanary.report.plots.over_time import findings_plot, intervals_plot, requests_plot, weight_plot
from tfcanary.report.plots.text import cut
from tfcanary.report.plots.time_axis import Span, time_axis
from tfcanary.report.plots.waits import wait_axis, wait_plot
from tfcanary.report.wording import of_finding

_MOST = 40
"""Criteria that are drawn over time."""


def criteria(evidence: tuple[Evidence, ...], badge: Callable[[Badge], Markup]) -> Markup:
    """A row each: finding, question and answer on one side, the interval on the other."""
    return join([_interval_legend(any(e.unit == RATIO for e in evidence)), *(_criterion(e, badge) for e in evidence)])


def _criterion(evidence: Evidence, badge: Callable[[Badge], Markup]) -> Markup:
    notes = [interval_words(evidence), figures_line(evidence), "" if evidence.gating else "shown only: it does not decide"]
    said = element(
        "div",
        element("div", badge(of_finding(evidence.finding)), code(cut(evidence.about, NAME)), class_="head"),
        element("p", element("bdi", cut(evidence.reason, SENTENCE))),
        *(element("small", element("bdi", cut(note, SENTENCE))) for note in notes if note),
    )
    return element("div", said, element("div", _plot(evidence), class_="shown"), class_="criterion")


def _plot(evidence: Evidence) -> Markup:
    assert evidence.interval is not None
    tone = of_finding(evidence.finding).tone
    name = f"Interval: {cut(evidence.about, NAME)}"
    return interval_plot(evidence.interval, _measure(evidence), tone, name)


def _measure(evidence: Evidence) -> Measure:
    unit = evidence.unit
    return Measure(writer(unit), ticks(unit), evidence.tolerance, evidence.margin, same(unit), unit == RATIO)


def _interval_legend(ratios: bool) -> Markup:
    alike = "both tracks alike (1 for a ratio; ratios on a logarithmic scale)" if ratios else "both tracks alike"
    return _legend(
        (_line_sign("tolerance"), "tolerance: what may not cause a rollback"),
        (_line_sign("margin"), "margin: what promotion must exclude"),
        (_line_sign("same"), alike),
    )


def _legend(*entries: tuple[Markup, str]) -> Markup:
    return element("div", *(element("span", sign, words) for sign, words in entries), class_="legend")


def _line_sign(name: str) -> Markup:
    return element("svg", element("line", x1=0, x2=22, y1=7, y2=7, class_=name), width=22, height=14, aria_hidden="true")


def _box_sign(name: str, height: int) -> Markup:
    box = element("rect", x=0, y=13 - height, width=13, height=height, class_=name)
    return element("svg", box, width=14, height=14, aria_hidden="true")


def over_time(history: History) -> Markup:
    """All rows on one span; nothing where nothing was seen."""
    reach = span(history)
    if reach is None:
        return Markup("")
    began = element("p", f"From {moment(reach.begins)} to {moment(reach.ends)}; time since the beginning below.", class_="quiet")
    return element("div", began, *_rows(history, reach), class_="history")


def _rows(history: History, reach: Span) -> Iterator[Markup]:
    bands = history.bands
    yield _row("Canary weight", weight_plot(reach, changes(history), bands, history.marks))
    if history.timeline.points:
        yield _row(_requests_name(), requests_plot(reach, columns(history.timeline), bands, plain))
    names = asked(history)[:_MOST]
    short = labels(names)
    for about in names:
        name = element("code", cut(short[about], NAME), title=cut(about, NAME))
        yield _row(name, findings_plot(reach, runs(history.timeline, about), bands, cut(about, NAME)), "row tight")
    yield _row("", time_axis(reach, tuple(duration(t) for t in reach.ticks())), "row tight")
    if names:
        yield _findings_legend()
    yield from _closing_in(history, reach, names)


def _requests_name() -> Markup:
    parts = (_legend((_box_sign("canary", 10), "canary")), _legend((_box_sign("stable", 10), "stable")))
    return join(["Requests a second", *parts])


def _findings_legend() -> Markup:
    heights = ((Finding.FAIL, 12), (Finding.WARN, 7), (Finding.PASS, 4), (Finding.INCONCLUSIVE, 2))
    signs = ((_box_sign(f"run {of_finding(f).tone.value}", height), f.value) for f, height in heights)
    return _row("", _legend(*signs))


def _closing_in(history: History, reach: Span, names: tuple[str, ...]) -> Iterator[Markup]:
    """How the intervals closed in on their limits, for criteria that the last verdict still knows."""
    drawn = [(about, series(history.timeline, about)) for about in names if about in history.criteria]
    drawn = [(about, seen) for about, seen in drawn if len(seen) > 1]
    if not drawn:
        return
    yield element("h3", "How the evidence came together")
    yield _interval_legend(any(history.criteria[about].unit == RATIO for about, _ in drawn))
    short = labels(names)
    for about, seen in drawn:
        measure = _measure(history.criteria[about])
        yield _row(
            code(cut(short[about], NAME), title=cut(about, NAME)), intervals_plot(reach, seen, measure, history.bands, cut(about, NAME))
        )
    yield _row("", time_axis(reach, tuple(duration(t) for t in reach.ticks())), "row tight")


def _row(name: Child, picture: Markup, kind: str = "row") -> Markup:
    return element("div", element("div", name, class_="name"), picture, class_=kind)


def overlaid(pairs: tuple[Pair, ...], name: str) -> Markup:
    """Both distributions of a column with their legend."""
    legend = _legend((_box_sign("stable", 12), "reference"), (_box_sign("canary", 12), "current"))
    return element("div", legend, histogram(pairs, f"Distribution: {name}"))


def waiting(block: Waits) -> Markup:
    """A bar each, on one axis of time."""
    rows = [_row(cut(one.label, NAME), wait_plot(one, block.minimum, block.maximum), "row tight") for one in block.waits]
    legend = _legend(
        (_box_sign("band", 12), "the time that the plan gives it, on a logarithmic axis"), (_line_sign("stage"), "the least of it")
    )
    return element("div", legend, *rows, _row("", wait_axis(duration), "row tight"), class_="history")
