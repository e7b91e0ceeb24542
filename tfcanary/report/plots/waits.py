"""Bars that show how long outcomes take, on one logarithmic time axis, beside the time that a stage has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tfcanary.report.plots.glyph import Tone
from tfcanary.report.plots.markup import Markup, element, join, percent, picture
from tfcanary.report.plots.scale import Scale

AXIS = Scale(10.0, 30 * 86400.0, logarithmic=True)
"""Ten seconds to a month; the axis is the same in all pictures, so that they can be compared."""
_TICKS = (10.0, 60.0, 600.0, 3600.0, 21600.0, 86400.0, 604800.0)
_HEIGHT = 18


@dataclass(frozen=True, slots=True)
class Wait:
    """The time until a named outcome."""

    label: str
    seconds: float | None
    """None where the outcome does not come within the axis."""
    tone: Tone
    words: str
    """The time in words, for screen readers and Markdown."""


def wait_plot(wait: Wait, minimum: float, maximum: float) -> Markup:
    """Return a bar up to the time of the outcome; the shaded part ends at `maximum`, the vertical line stands at `minimum`, both in seconds."""
    position, least = AXIS.at(AXIS.high if wait.seconds is None else wait.seconds), percent(AXIS.at(minimum))
    bar = element(
        "rect",
        x="0%",
        width=percent(position),
        y=5,
        height=8,
        class_=f"run {wait.tone.value}",
        opacity=0.3 if wait.seconds is None else None,
    )
    return picture(
        wait.label,
        wait.words,
        element("rect", x="0%", width=percent(AXIS.at(maximum)), y=0, height="100%", class_="band"),
        element("line", x1=least, x2=least, y1=0, y2="100%", class_="stage"),
        bar,
        class_="plot strip",
        width="100%",
        height=_HEIGHT,
    )


def wait_axis(write: Callable[[float], str]) -> Markup:
    """Return the axis below the bars; `write` writes a number of seconds."""
    marks = [element("line", x1="0%", x2="100%", y1=0, y2=0, class_="axis")]
    for seconds in _TICKS:
        x = percent(AXIS.at(seconds))
        marks.append(element("line", x1=x, x2=x, y1=0, y2=4, class_="axis"))
        marks.append(element("text", write(seconds), x=x, y=17, class_="tick", text_anchor="start" if seconds == AXIS.low else "middle"))
    return element("svg", join(marks), class_="plot clock", width="100%", height=20, aria_hidden="true")
