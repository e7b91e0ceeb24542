"""One criterion as a picture: its interval on its own axis, beside what is tolerated and what promotion must exclude."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tfcanary.core.domain import Interval
from tfcanary.report.plots.glyph import Tone
from tfcanary.report.plots.markup import Markup, element, join, percent, picture
from tfcanary.report.plots.scale import Scale

HEIGHT = 62
_BAR = 30
"""Where the interval lies, from the top."""
_ROOM = 0.3
"""Share of the width left and right of the outermost line: its label stands there."""
_FARTHEST = 33.0
"""A ratio beyond this (or below its inverse) is cut, with an arrow: a wide axis shows nothing."""
_ENDLESS = 1e15
"""What is larger than this is nowhere on an axis."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What a criterion is measured against, and how its values are written."""

    write: Callable[[float], str]
    """A value in human words, short."""
    tick: Callable[[float], str]
    """A round value beside an axis."""
    tolerance: float | None = None
    margin: float | None = None
    same: float | None = None
    """The value of "no difference"."""
    logarithmic: bool = False
    """For ratios."""

    @property
    def lines(self) -> tuple[tuple[str, float], ...]:
        """Tolerance and margin, where there are any that can be drawn."""
        named = (("tolerance", self.tolerance), ("margin", self.margin))
        return tuple((word, value) for word, value in named if value is not None and self._drawable(value))

    def _drawable(self, value: float) -> bool:
        return 1 / _ENDLESS < value < _ENDLESS if self.logarithmic else abs(value) < _ENDLESS


def interval_plot(interval: Interval, measure: Measure, tone: Tone, name: str) -> Markup:
    """A row as wide as its place: axis, lines with their labels, the interval and its estimate; a bound that is not finite gets an arrow."""
    interval = known(interval)
    scale = axis(interval, measure)
    return picture(
        name,
        _described(interval, measure),
        _ticks(scale, measure),
        _lines(scale, measure),
        _bar(scale, interval),
        class_=f"plot interval {tone.value}",
        height=HEIGHT,
        width="100%",
    )


def _described(interval: Interval, measure: Measure) -> str:
    low, estimate, high = (measure.write(v) for v in (interval.low, interval.estimate, interval.high))
    said = "; ".join(f"{word} {measure.write(value)}" for word, value in measure.lines)
    return f"Estimate {estimate}, interval from {low} to {high}; {said or 'no limit'}"


def known(interval: Interval) -> Interval:
    """A bound that is not a number, or beyond every axis, is an unknown one: infinitely far away."""
    return Interval(
        low=_near(interval.low, unknown=-math.inf), estimate=_near(interval.estimate, math.inf), high=_near(interval.high, unknown=math.inf)
    )


def _near(value: float, unknown: float) -> float:
    if math.isnan(value):
        return unknown
    return value if abs(value) < _ENDLESS else math.copysign(math.inf, value)


def axis(interval: Interval, measure: Measure) -> Scale:
    """An axis that shows interval and lines, leaves room for the labels, and cuts what lies too far away."""
    bend: Callable[[float], float] = _log if measure.logarithmic else float
    lines = [bend(value) for _, value in measure.lines]
    fixed = [*lines, *([] if measure.same is None else [bend(measure.same)])]
    low, high = _spread([bend(v) for v in (interval.low, interval.estimate, interval.high)], fixed, measure.logarithmic)
    low, high = _with_room(low, high, min(lines, default=None), max(lines, default=None))
    return Scale(math.exp(low), math.exp(high), True) if measure.logarithmic else Scale(low, high)


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


def _spread(values: list[float], fixed: list[float], logarithmic: bool) -> tuple[float, float]:
    """The ends of the axis on the bent scale."""
    finite = [v for v in values if math.isfinite(v)]
    reach = math.log(_FARTHEST) if logarithmic else _reach(finite, fixed)
    middle = fixed[-1] if fixed else (finite[0] if finite else 0.0)
    shown = [*fixed, *(min(max(v, middle - reach), middle + reach) for v in finite)] or [0.0]
    pad = 0.08 * (max(shown) - min(shown)) or 0.08 * (abs(shown[0]) or 1.0)
    return min(shown) - pad, max(shown) + pad


def _reach(finite: list[float], fixed: list[float]) -> float:
    """How far a linear axis goes: ten times what the lines span, or everything where there are no lines."""
    span = max(fixed, default=0.0) - min(fixed, default=0.0)
    return 10 * span if span > 0 else 2 * max((abs(v) for v in [*finite, *fixed]), default=0.0)


def _with_room(low: float, high: float, first: float | None, last: float | None) -> tuple[float, float]:
    """Widened until the outermost lines have `_ROOM` beside them; each round leaves (0.3/0.7)^2 of the gap."""
    if first is None or last is None:
        return low, high
    for _ in range(20):
        low = min(low, (first - _ROOM * high) / (1 - _ROOM))
        high = max(high, (last - _ROOM * low) / (1 - _ROOM))
    return low, high


def _ticks(scale: Scale, measure: Measure) -> Markup:
    marks = [element("line", x1="0%", x2="100%", y1=44, y2=44, class_="axis")]
    for value in scale.ticks():
        x = percent(scale.at(value))
        marks.append(element("line", x1=x, x2=x, y1=44, y2=48, class_="axis"))
        marks.append(element("text", measure.tick(value), x=x, y=60, class_="tick", text_anchor=anchor(scale.at(value))))
    if measure.same is not None and scale.holds(measure.same):
        x = percent(scale.at(measure.same))
        marks.append(element("line", x1=x, x2=x, y1=18, y2=44, class_="same"))
    return join(marks)


def anchor(position: float) -> str:
    """How a text at this position stays inside the picture."""
    return "start" if position < 0.04 else "end" if position > 0.96 else "middle"


def _lines(scale: Scale, measure: Measure) -> Markup:
    """The tolerance is a solid line, the margin a dashed one; the labels stand on the outer sides."""
    leftmost = min(measure.lines, key=lambda line: line[1], default=None)
    return join(_line(scale, line, line == leftmost, measure) for line in measure.lines)


def _line(scale: Scale, line: tuple[str, float], left: bool, measure: Measure) -> Markup:
    word, value = line
    x = percent(scale.at(value))
    away, side = (-4, "end") if left else (4, "start")
    label = element("text", f"{word} {measure.write(value)}", x=x, y=11, dx=away, text_anchor=side, class_="label")
    return join([element("line", x1=x, x2=x, y1=2, y2=44, class_=word), label])


def _bar(scale: Scale, interval: Interval) -> Markup:
    left, right = scale.at(interval.low), scale.at(interval.high)
    parts = [element("line", x1=percent(left), x2=percent(right), y1=_BAR, y2=_BAR, class_="bar")]
    parts += [_end(left, not scale.holds(interval.low), "‹"), _end(right, not scale.holds(interval.high), "›")]
    if scale.holds(interval.estimate):
        parts.append(element("circle", cx=percent(scale.at(interval.estimate)), cy=_BAR, r=5, class_="estimate"))
    return join(parts)


def _end(position: float, beyond: bool, arrow: str) -> Markup:
    """A cross stroke where the interval ends, an arrow where it goes on beyond the axis."""
    x = percent(position)
    if beyond:
        return element("text", arrow, x=x, y=_BAR + 6, class_="arrow", text_anchor="start" if position < 0.5 else "end")
    return element("line", x1=x, x2=x, y1=_BAR - 6, y2=_BAR + 6, class_="end")
