"""The picture of one criterion: its interval on its own axis, beside its tolerance and its margin."""

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
"""Vertical position of the interval, in pixels from the top."""
_ROOM = 0.3
"""Part of the width that is free beside the outermost line, for its label."""
_LARGEST_RATIO = 33.0
"""A ratio above this, or below its inverse, is cut and drawn as an arrow, because a wider axis would show nothing else."""
_LARGEST_VALUE = 1e15
"""Values beyond this are treated as infinite."""


@dataclass(frozen=True, slots=True)
class Measure:
    """The limits of a criterion, and how its values are written."""

    write: Callable[[float], str]
    """Writes a value in a few characters."""
    tick: Callable[[float], str]
    """Writes a round value beside an axis."""
    tolerance: float | None = None
    margin: float | None = None
    no_difference: float | None = None
    """The value that means that both tracks are alike."""
    logarithmic: bool = False
    """True for ratios."""

    @property
    def lines(self) -> tuple[tuple[str, float], ...]:
        """The names and values of tolerance and margin, without those that are absent or cannot be drawn."""
        limits = (("tolerance", self.tolerance), ("margin", self.margin))
        return tuple((name, value) for name, value in limits if value is not None and self._can_be_drawn(value))

    def _can_be_drawn(self, value: float) -> bool:
        return 1 / _LARGEST_VALUE < value < _LARGEST_VALUE if self.logarithmic else abs(value) < _LARGEST_VALUE


def interval_plot(interval: Interval, measure: Measure, tone: Tone, name: str) -> Markup:
    """Return the axis, the limits with their labels, and the interval with its estimate; a bound beyond the axis is drawn as an arrow."""
    interval = with_infinite_bounds(interval)
    scale = axis(interval, measure)
    return picture(
        name,
        _description(interval, measure),
        _ticks(scale, measure),
        _limits(scale, measure),
        _bar(scale, interval),
        class_=f"plot interval {tone.value}",
        height=HEIGHT,
        width="100%",
    )


def _description(interval: Interval, measure: Measure) -> str:
    low, estimate, high = (measure.write(v) for v in (interval.low, interval.estimate, interval.high))
    limits = "; ".join(f"{name} {measure.write(value)}" for name, value in measure.lines)
    return f"Estimate {estimate}, interval from {low} to {high}; {limits or 'no limit'}"


def with_infinite_bounds(interval: Interval) -> Interval:
    """Return the interval with infinity in place of NaN and of values that are too large for any axis."""
    return Interval(
        low=_or_infinite(interval.low, unknown=-math.inf),
        estimate=_or_infinite(interval.estimate, unknown=math.inf),
        high=_or_infinite(interval.high, unknown=math.inf),
    )


def _or_infinite(value: float, unknown: float) -> float:
    if math.isnan(value):
        return unknown
    return value if abs(value) < _LARGEST_VALUE else math.copysign(math.inf, value)


def axis(interval: Interval, measure: Measure) -> Scale:
    """Return an axis that shows the interval and the limits with room for their labels, and cuts values that lie too far away."""
    transform: Callable[[float], float] = _log if measure.logarithmic else float
    lines = [transform(value) for _, value in measure.lines]
    fixed = [*lines, *([] if measure.no_difference is None else [transform(measure.no_difference)])]
    low, high = _ends([transform(v) for v in (interval.low, interval.estimate, interval.high)], fixed, measure.logarithmic)
    low, high = _with_room(low, high, min(lines, default=None), max(lines, default=None))
    return Scale(math.exp(low), math.exp(high), True) if measure.logarithmic else Scale(low, high)


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


def _ends(values: list[float], fixed: list[float], logarithmic: bool) -> tuple[float, float]:
    """Return both ends of the axis in transformed values: `fixed` is always inside, `values` only within the reach of the axis."""
    finite = [v for v in values if math.isfinite(v)]
    reach = math.log(_LARGEST_RATIO) if logarithmic else _reach(finite, fixed)
    middle = fixed[-1] if fixed else (finite[0] if finite else 0.0)
    inside = [*fixed, *(min(max(v, middle - reach), middle + reach) for v in finite)] or [0.0]
    pad = 0.08 * (max(inside) - min(inside)) or 0.08 * (abs(inside[0]) or 1.0)
    return min(inside) - pad, max(inside) + pad


def _reach(finite: list[float], fixed: list[float]) -> float:
    """Return how far a linear axis goes from its middle: ten times the distance of the lines, or everything where there are none."""
    span = max(fixed, default=0.0) - min(fixed, default=0.0)
    return 10 * span if span > 0 else 2 * max((abs(v) for v in [*finite, *fixed]), default=0.0)


def _with_room(low: float, high: float, first: float | None, last: float | None) -> tuple[float, float]:
    """Return wider ends, with `_ROOM` outside the first and the last line; each of the 20 rounds leaves (0.3/0.7)^2 of the missing room."""
    if first is None or last is None:
        return low, high
    for _ in range(20):
        low = min(low, (first - _ROOM * high) / (1 - _ROOM))
        high = max(high, (last - _ROOM * low) / (1 - _ROOM))
    return low, high


def _ticks(scale: Scale, measure: Measure) -> Markup:
    marks = [element("line", x1="0%", x2="100%", y1=44, y2=44, class_="axis")]
    for value in scale.ticks():
        position = scale.at(value)
        # A text at an edge stays inside the picture.
        side = "start" if position < 0.04 else "end" if position > 0.96 else "middle"
        x = percent(position)
        marks.append(element("line", x1=x, x2=x, y1=44, y2=48, class_="axis"))
        marks.append(element("text", measure.tick(value), x=x, y=60, class_="tick", text_anchor=side))
    if measure.no_difference is not None and scale.holds(measure.no_difference):
        x = percent(scale.at(measure.no_difference))
        marks.append(element("line", x1=x, x2=x, y1=18, y2=44, class_="same"))
    return join(marks)


def _limits(scale: Scale, measure: Measure) -> Markup:
    """Return a solid line for the tolerance and a dashed one for the margin, with labels on the outer sides."""
    leftmost = min(measure.lines, key=lambda line: line[1], default=None)
    return join(_limit(scale, line, line == leftmost, measure) for line in measure.lines)


def _limit(scale: Scale, line: tuple[str, float], left: bool, measure: Measure) -> Markup:
    name, value = line
    x = percent(scale.at(value))
    offset, side = (-4, "end") if left else (4, "start")
    label = element("text", f"{name} {measure.write(value)}", x=x, y=11, dx=offset, text_anchor=side, class_="label")
    return join([element("line", x1=x, x2=x, y1=2, y2=44, class_=name), label])


def _bar(scale: Scale, interval: Interval) -> Markup:
    left, right = scale.at(interval.low), scale.at(interval.high)
    parts = [element("line", x1=percent(left), x2=percent(right), y1=_BAR, y2=_BAR, class_="bar")]
    parts += [_end(left, not scale.holds(interval.low), "‹"), _end(right, not scale.holds(interval.high), "›")]
    if scale.holds(interval.estimate):
        parts.append(element("circle", cx=percent(scale.at(interval.estimate)), cy=_BAR, r=5, class_="estimate"))
    return join(parts)


def _end(position: float, beyond_axis: bool, arrow: str) -> Markup:
    """Return a short vertical stroke at a bound, or an arrow where the bound lies beyond the axis."""
    x = percent(position)
    if beyond_axis:
        return element("text", arrow, x=x, y=_BAR + 6, class_="arrow", text_anchor="start" if position < 0.5 else "end")
    return element("line", x1=x, x2=x, y1=_BAR - 6, y2=_BAR + 6, class_="end")
