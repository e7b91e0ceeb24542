"""What happened over time: weight, requests, findings and intervals, each a row on the same span."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tfcanary.core.domain import Finding, Interval
from tfcanary.report.plots.glyph import Tone, glyph
from tfcanary.report.plots.interval import Measure, axis, known
from tfcanary.report.plots.markup import Markup, element, join, number, percent, picture
from tfcanary.report.plots.scale import Scale
from tfcanary.report.plots.text import cut
from tfcanary.report.plots.time_axis import Band, Span, bands_behind

# Paths have no percentages: they are drawn on a field of 1000 by 1000 that is stretched over the picture.
_FIELD = 1000
_TITLE = 300


@dataclass(frozen=True, slots=True)
class Mark:
    """A decision on the picture of the weight."""

    at: datetime
    tone: Tone
    words: str


@dataclass(frozen=True, slots=True)
class Column:
    """Requests a second of both tracks between two instants."""

    begins: datetime
    ends: datetime
    stable: float
    canary: float


@dataclass(frozen=True, slots=True)
class Run:
    """One finding that lasted."""

    begins: datetime
    ends: datetime
    finding: Finding


def weight_plot(span: Span, changes: Sequence[tuple[datetime, int]], bands: tuple[Band, ...], marks: Sequence[Mark]) -> Markup:
    """The canary's weight as a step line from each change to the next, stages behind it, decisions above it."""
    scale = Scale(0.0, 100.0)
    said = "; ".join(f"{weight} % from {at:%H:%M:%S}" for at, weight in changes)
    steps = _steps(span, changes, scale)
    return picture(
        "Weight over time",
        said or "no traffic",
        _grid(scale, (0.0, 50.0, 100.0), lambda v: f"{v:.0f} %"),
        bands_behind(span, bands),
        _stretched(element("path", d=f"{steps}V{_FIELD}H0z", class_="area"), element("path", d=steps, class_="step")),
        *(_band_label(span, band) for band in bands),
        *(_mark(span, mark) for mark in marks),
        class_="plot rows",
        width="100%",
        height=132,
    )


def requests_plot(span: Span, columns: Sequence[Column], bands: tuple[Band, ...], write: Callable[[float], str]) -> Markup:
    """Requests a second as columns, the canary's on top of the stable's: what each track really got."""
    highest = max((c.stable + c.canary for c in columns), default=0.0)
    top = Scale(0.0, 1.1 * highest if highest > 0 else 1.0)
    said = f"At most {write(highest)} requests a second" if highest > 0 else "No request was counted"
    return picture(
        "Requests over time",
        said,
        _grid(top, top.ticks(3), write),
        bands_behind(span, bands),
        *(_column(span, column, top) for column in columns),
        class_="plot rows",
        width="100%",
        height=96,
    )


# A finding's height as a share of the row, so that it is read without colour, too.
_HEIGHTS = {Finding.PASS: 0.3, Finding.WARN: 0.6, Finding.INCONCLUSIVE: 0.12, Finding.FAIL: 1.0}
_TONES = {Finding.PASS: Tone.GOOD, Finding.WARN: Tone.WARN, Finding.INCONCLUSIVE: Tone.DOUBT, Finding.FAIL: Tone.BAD}


def findings_plot(span: Span, runs: Sequence[Run], bands: tuple[Band, ...], name: str) -> Markup:
    """One criterion's finding as a strip: the worse, the higher."""
    said = "; ".join(f"{run.finding.value} from {run.begins:%H:%M:%S}" for run in runs[:40])
    return picture(
        f"Finding over time: {name}",
        said or "never asked",
        bands_behind(span, bands),
        *(_run(span, run) for run in runs),
        class_="plot strip",
        width="100%",
        height=18,
    )


def intervals_plot(
    span: Span,
    series: Sequence[tuple[datetime, Interval]],
    measure: Measure,
    bands: tuple[Band, ...],
    name: str,
) -> Markup:
    """How one criterion's interval closed in on its limits; the axis is that of the last interval."""
    series = [(at, known(interval)) for at, interval in series]
    last = series[-1][1]
    scale = axis(last, measure)
    estimate, low, high = (measure.write(v) for v in (last.estimate, last.low, last.high))
    return picture(
        f"Interval over time: {name}",
        f"At the end {estimate}, from {low} to {high}",
        _grid(scale, scale.ticks(4), measure.tick),
        bands_behind(span, bands),
        _stretched(
            element("path", d=_ribbon(span, series, scale), class_="ribbon"), element("path", d=_trace(span, series, scale), class_="trace")
        ),
        *_limit_lines(scale, measure),
        class_="plot rows",
        width="100%",
        height=92,
    )


def _grid(scale: Scale, values: Sequence[float], write: Callable[[float], str]) -> Markup:
    parts: list[Markup] = []
    for value in values:
        y = percent(1 - scale.at(value))
        parts.append(element("line", x1="0%", x2="100%", y1=y, y2=y, class_="grid"))
        parts.append(element("text", write(value), x=-8, y=y, dy="0.35em", class_="tick", text_anchor="end"))
    return join(parts)


def _stretched(*paths: Markup) -> Markup:
    return element("svg", *paths, viewBox=f"0 0 {_FIELD} {_FIELD}", preserveAspectRatio="none", width="100%", height="100%")


def _steps(span: Span, changes: Sequence[tuple[datetime, int]], scale: Scale) -> str:
    path = f"M0 {_FIELD}"
    for at, weight in changes:
        path += f"H{number(_FIELD * span.at(at))}V{number(_FIELD * (1 - scale.at(weight)))}"
    return f"{path}H{_FIELD}"


def _band_label(span: Span, band: Band) -> Markup:
    """Left out where the stage is too narrow for it: the table of the stages names them all."""
    left, right = span.at(band.begins), span.at(band.ends)
    if right - left < 0.016 * len(band.label):
        return Markup("")
    return element("text", band.label, x=percent(left), dx=6, y=14, class_="label")


def _mark(span: Span, mark: Mark) -> Markup:
    position = span.at(mark.at)
    x = percent(position)
    shift = -8 if 0.01 < position < 0.99 else -15 if position >= 0.99 else 0
    sign = element("svg", element("g", glyph(mark.tone, 16), transform=f"translate({shift} 24)"), x=x, y=0, overflow="visible")
    return element(
        "g", element("title", cut(mark.words, _TITLE)), element("line", x1=x, x2=x, y1=0, y2="100%", class_=f"mark {mark.tone.value}"), sign
    )


def _column(span: Span, column: Column, top: Scale) -> Markup:
    left, right = span.at(column.begins), span.at(column.ends)
    width = percent(max(right - left, 0.0) * 0.86)
    stable, both = top.at(column.stable), top.at(column.stable + column.canary)
    return join(
        [
            element("rect", x=percent(left), y=percent(1 - stable), width=width, height=percent(stable), class_="stable"),
            element("rect", x=percent(left), y=percent(1 - both), width=width, height=percent(both - stable), class_="canary"),
        ]
    )


def _run(span: Span, run: Run) -> Markup:
    left, right = span.at(run.begins), span.at(run.ends)
    height = _HEIGHTS[run.finding]
    shape = {"x": percent(left), "width": percent(right - left), "y": percent(1 - height), "height": percent(height)}
    return element("rect", element("title", run.finding.value), **shape, class_=f"run {_TONES[run.finding].value}")


def _place(span: Span, at: datetime, value: float, scale: Scale) -> str:
    return f"{number(_FIELD * span.at(at))} {number(_FIELD * (1 - scale.at(value)))}"


def _ribbon(span: Span, series: Sequence[tuple[datetime, Interval]], scale: Scale) -> str:
    above = [_place(span, at, interval.high, scale) for at, interval in series]
    below = [_place(span, at, interval.low, scale) for at, interval in reversed(series)]
    return f"M{'L'.join([*above, *below])}z"


def _trace(span: Span, series: Sequence[tuple[datetime, Interval]], scale: Scale) -> str:
    return "M" + "L".join(_place(span, at, interval.estimate, scale) for at, interval in series)


def _limit_lines(scale: Scale, measure: Measure) -> list[Markup]:
    rows = ((word, percent(1 - scale.at(value))) for word, value in measure.lines)
    return [element("line", x1="0%", x2="100%", y1=y, y2=y, class_=word) for word, y in rows]
