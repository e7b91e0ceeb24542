"""Pictures of a release over time: weight, requests, findings and intervals, each a row on the same time axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tfcanary.core.domain import Finding, Interval
from tfcanary.report.numbers import clock
from tfcanary.report.plots.glyph import Tone, glyph
from tfcanary.report.plots.interval import Measure, axis, with_infinite_bounds
from tfcanary.report.plots.markup import Markup, element, join, number, percent, picture
from tfcanary.report.plots.scale import Scale
from tfcanary.report.plots.text import cut
from tfcanary.report.plots.time_axis import StageBand, TimeSpan, bands_behind

# A path cannot use percentages, so it is drawn on a field of 1000 by 1000 that is stretched over the picture.
_FIELD = 1000
_LETTER_WIDTH = 0.016
"""Width of a letter of a stage's name, as a part of a picture 420 pixels wide; the style sheet hides the word on narrower pages."""
_NUMBER_WIDTH = 0.03
"""The least width of a stage, as a part of the picture, whose number is written."""
_TITLE = 300
"""The largest number of characters of a mark's tooltip."""


@dataclass(frozen=True, slots=True)
class DecisionMark:
    """A decision on the line of the weight: where it was made, and where the new weight came into force."""

    at: datetime
    weight: int
    """The weight in percent at the time of the decision."""
    tone: Tone
    words: str
    """The text of the tooltip."""
    in_force: tuple[datetime, int] | None = None
    """The time of the next change of the weight, and the new weight; None where it is not known."""


@dataclass(frozen=True, slots=True)
class RequestRates:
    """Requests a second of both tracks between two instants."""

    begins: datetime
    ends: datetime
    stable: float
    canary: float


@dataclass(frozen=True, slots=True)
class FindingPeriod:
    """A period in which a criterion had one finding."""

    begins: datetime
    ends: datetime
    finding: Finding


def weight_plot(
    span: TimeSpan, changes: Sequence[tuple[datetime, int]], bands: tuple[StageBand, ...], marks: Sequence[DecisionMark]
) -> Markup:
    """Return the canary's weight as a step line, with the stages as background and the decisions as marks."""
    scale = Scale(0.0, 100.0)
    description = "; ".join(f"{weight} % from {clock(at)} UTC" for at, weight in changes)
    steps = _steps(span, changes, scale)
    return picture(
        "Weight over time",
        description or "no traffic",
        _grid(scale, (0.0, 50.0, 100.0), lambda v: f"{v:.0f} %"),
        bands_behind(span, bands),
        _stretched(element("path", d=f"{steps}V{_FIELD}H0z", class_="area"), element("path", d=steps, class_="step")),
        *(_band_label(span, band) for band in bands),
        *(_mark(span, mark, scale) for mark in marks),
        class_="plot rows",
        width="100%",
        height=132,
    )


def requests_plot(span: TimeSpan, rates: Sequence[RequestRates], bands: tuple[StageBand, ...], write: Callable[[float], str]) -> Markup:
    """Return the counted requests a second as columns, the canary's on top of the stable version's; `write` writes a number."""
    highest = max((r.stable + r.canary for r in rates), default=0.0)
    top = Scale(0.0, 1.1 * highest if highest > 0 else 1.0)
    description = f"At most {write(highest)} requests a second" if highest > 0 else "No request was counted"
    return picture(
        "Requests over time",
        description,
        _grid(top, top.ticks(3), write),
        bands_behind(span, bands),
        *(_columns(span, one, top) for one in rates),
        class_="plot rows",
        width="100%",
        height=96,
    )


# The height of a finding as a part of the row, so that findings differ without colour.
_HEIGHTS = {Finding.PASS: 0.3, Finding.WARN: 0.6, Finding.INCONCLUSIVE: 0.12, Finding.FAIL: 1.0}
_TONES = {Finding.PASS: Tone.GOOD, Finding.WARN: Tone.WARN, Finding.INCONCLUSIVE: Tone.DOUBT, Finding.FAIL: Tone.BAD}


def findings_plot(span: TimeSpan, periods: Sequence[FindingPeriod], bands: tuple[StageBand, ...], name: str) -> Markup:
    """Return the findings of one criterion as a strip; a worse finding is higher."""
    description = "; ".join(f"{period.finding.value} from {clock(period.begins)} UTC" for period in periods[:40])
    return picture(
        f"Finding over time: {name}",
        description or "the criterion was never judged",
        bands_behind(span, bands),
        *(_period(span, period) for period in periods),
        class_="plot strip",
        width="100%",
        height=18,
    )


def intervals_plot(
    span: TimeSpan,
    series: Sequence[tuple[datetime, Interval]],
    measure: Measure,
    bands: tuple[StageBand, ...],
    name: str,
) -> Markup:
    """Return how the interval of one criterion became narrower; the axis is that of the last interval."""
    series = [(at, with_infinite_bounds(interval)) for at, interval in series]
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


def _steps(span: TimeSpan, changes: Sequence[tuple[datetime, int]], scale: Scale) -> str:
    path = f"M0 {_FIELD}"
    for at, weight in changes:
        path += f"H{number(_FIELD * span.at(at))}V{number(_FIELD * (1 - scale.at(weight)))}"
    return f"{path}H{_FIELD}"


def _band_label(span: TimeSpan, band: StageBand) -> Markup:
    """Return the name of the stage; only its number where the stage or the page is narrow, nothing where not even the number has room."""
    word, _, stage_number = band.label.rpartition(" ")
    width = span.at(band.ends) - span.at(band.begins)
    if width < _NUMBER_WIDTH:
        return Markup("")
    words = (element("tspan", f"{word} ", class_="word"),) if width >= _LETTER_WIDTH * len(band.label) else ()
    return element("text", *words, stage_number, x=percent(span.at(band.begins)), dx=6, y=14, class_="label")


def _mark(span: TimeSpan, mark: DecisionMark, scale: Scale) -> Markup:
    """Return a thin line and a sign on the weight line at the decision, and a ring where the new weight came into force."""
    x, y = percent(span.at(mark.at)), percent(1 - scale.at(mark.weight))
    line = element("line", x1=x, x2=x, y1=0, y2="100%", class_=f"mark {mark.tone.value}")
    sign = element("svg", element("g", glyph(mark.tone, 16), transform="translate(-8 -8)"), x=x, y=y, overflow="visible")
    parts = [element("title", cut(mark.words, _TITLE)), line, sign]
    if mark.in_force:
        at, weight = mark.in_force
        place = {"cx": percent(span.at(at)), "cy": percent(1 - scale.at(weight))}
        parts.append(element("circle", **place, r=4, class_=f"force {mark.tone.value}"))
    return element("g", *parts)


def _columns(span: TimeSpan, rates: RequestRates, top: Scale) -> Markup:
    left, right = span.at(rates.begins), span.at(rates.ends)
    width = percent(max(right - left, 0.0) * 0.86)
    stable, both = top.at(rates.stable), top.at(rates.stable + rates.canary)
    return join(
        [
            element("rect", x=percent(left), y=percent(1 - stable), width=width, height=percent(stable), class_="stable"),
            element("rect", x=percent(left), y=percent(1 - both), width=width, height=percent(both - stable), class_="canary"),
        ]
    )


def _period(span: TimeSpan, period: FindingPeriod) -> Markup:
    left, right = span.at(period.begins), span.at(period.ends)
    height = _HEIGHTS[period.finding]
    shape = {"x": percent(left), "width": percent(right - left), "y": percent(1 - height), "height": percent(height)}
    return element("rect", element("title", period.finding.value), **shape, class_=f"run {_TONES[period.finding].value}")


def _place(span: TimeSpan, at: datetime, value: float, scale: Scale) -> str:
    return f"{number(_FIELD * span.at(at))} {number(_FIELD * (1 - scale.at(value)))}"


def _ribbon(span: TimeSpan, series: Sequence[tuple[datetime, Interval]], scale: Scale) -> str:
    """Return the path around the area between the upper and the lower bounds."""
    upper = [_place(span, at, interval.high, scale) for at, interval in series]
    lower = [_place(span, at, interval.low, scale) for at, interval in reversed(series)]
    return f"M{'L'.join([*upper, *lower])}z"


def _trace(span: TimeSpan, series: Sequence[tuple[datetime, Interval]], scale: Scale) -> str:
    """Return the path along the estimates."""
    return "M" + "L".join(_place(span, at, interval.estimate, scale) for at, interval in series)


def _limit_lines(scale: Scale, measure: Measure) -> list[Markup]:
    rows = ((name, percent(1 - scale.at(value))) for name, value in measure.lines)
    return [element("line", x1="0%", x2="100%", y1=y, y2=y, class_=name) for name, y in rows]
