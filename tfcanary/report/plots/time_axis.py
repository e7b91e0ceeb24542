"""The time axis that all pictures of one release share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tfcanary.report.plots.markup import Markup, element, join, percent

# Possible distances between two ticks, in seconds.
_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_MOST = 7


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """The period that a picture shows, from its left edge to its right edge."""

    begins: datetime
    ends: datetime

    @property
    def seconds(self) -> float:
        """Its length in seconds; at least 1, so that a release with a single poll has a picture."""
        return max((self.ends - self.begins).total_seconds(), 1.0)

    def at(self, instant: datetime) -> float:
        """Return the position of an instant, between 0 and 1."""
        return min(max((instant - self.begins).total_seconds() / self.seconds, 0.0), 1.0)

    def ticks(self) -> tuple[timedelta, ...]:
        """Return round times since the beginning of the period, at most `_MOST` + 1 of them."""
        whole_days = 86400 * (int(self.seconds / 86400 / _MOST) + 1)
        step = next((s for s in _STEPS if self.seconds / s < _MOST), whole_days)
        return tuple(timedelta(seconds=i * step) for i in range(int(self.seconds // step) + 1))


@dataclass(frozen=True, slots=True)
class StageBand:
    """The part of the period in which one stage was watched."""

    begins: datetime
    ends: datetime
    label: str


def bands_behind(span: TimeSpan, bands: tuple[StageBand, ...]) -> Markup:
    """Return a shaded background for every second stage, and a vertical line at the beginning of each stage."""
    parts: list[Markup] = []
    for i, band in enumerate(bands):
        left, right = span.at(band.begins), span.at(band.ends)
        if i % 2 == 0:
            parts.append(element("rect", x=percent(left), y=0, width=percent(right - left), height="100%", class_="band"))
        parts.append(element("line", x1=percent(left), x2=percent(left), y1=0, y2="100%", class_="stage"))
    return join(parts)


def time_axis(span: TimeSpan, labels: tuple[str, ...]) -> Markup:
    """Return the axis with one label for each of `span.ticks()`; screen readers skip it."""
    marks: list[Markup] = []
    for tick, label in zip(span.ticks(), labels, strict=True):
        position = min(tick.total_seconds() / span.seconds, 1.0)
        marks.append(element("line", x1=percent(position), x2=percent(position), y1=0, y2=4, class_="axis"))
        side = "start" if position < 0.02 else "end" if position > 0.95 else "middle"
        marks.append(element("text", label, x=percent(position), y=17, class_="tick", text_anchor=side))
    base = element("line", x1="0%", x2="100%", y1=0, y2=0, class_="axis")
    return element("svg", base, *marks, class_="plot clock", width="100%", height=20, aria_hidden="true")
