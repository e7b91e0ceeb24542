"""The axis of time that all the pictures of one release share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tfcanary.report.plots.markup import Markup, element, join, percent

# Seconds between two ticks.
_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_MOST = 7


@dataclass(frozen=True, slots=True)
class Span:
    """From the beginning of a picture to its end."""

    begins: datetime
    ends: datetime

    @property
    def seconds(self) -> float:
        """Its length; never 0, so that a release of one poll has a picture, too."""
        return max((self.ends - self.begins).total_seconds(), 1.0)

    def at(self, when: datetime) -> float:
        """The position of an instant, between 0 and 1."""
        return min(max((when - self.begins).total_seconds() / self.seconds, 0.0), 1.0)

    def ticks(self) -> tuple[timedelta, ...]:
        """Round times since the beginning, at most `_MOST` of them."""
        step = next((s for s in _STEPS if self.seconds / s < _MOST), _days(self.seconds))
        return tuple(timedelta(seconds=i * step) for i in range(int(self.seconds // step) + 1))


@dataclass(frozen=True, slots=True)
class Band:
    """A stage as a part of the span."""

    begins: datetime
    ends: datetime
    label: str


def _days(seconds: float) -> int:
    """Whole days between two ticks."""
    return 86400 * (int(seconds / 86400 / _MOST) + 1)


def bands_behind(span: Span, bands: tuple[Band, ...]) -> Markup:
    """Every second stage shaded, and a line where each begins."""
    parts: list[Markup] = []
    for i, band in enumerate(bands):
        left, right = span.at(band.begins), span.at(band.ends)
        if i % 2 == 0:
            parts.append(element("rect", x=percent(left), y=0, width=percent(right - left), height="100%", class_="band"))
        parts.append(element("line", x1=percent(left), x2=percent(left), y1=0, y2="100%", class_="stage"))
    return join(parts)


def time_axis(span: Span, words: tuple[str, ...]) -> Markup:
    """The ticks of the span with their words, one word a tick; the pictures above say the rest."""
    marks: list[Markup] = []
    for tick, word in zip(span.ticks(), words, strict=True):
        position = min(tick.total_seconds() / span.seconds, 1.0)
        marks.append(element("line", x1=percent(position), x2=percent(position), y1=0, y2=4, class_="axis"))
        side = "start" if position < 0.02 else "end" if position > 0.95 else "middle"
        marks.append(element("text", word, x=percent(position), y=17, class_="tick", text_anchor=side))
    base = element("line", x1="0%", x2="100%", y1=0, y2=0, class_="axis")
    return element("svg", base, *marks, class_="plot clock", width="100%", height=20, aria_hidden="true")
