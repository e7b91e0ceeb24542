"""How long things take, each a bar on one logarithmic axis of time, beside the time that there is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tfcanary.report.plots.glyph import Tone
from tfcanary.report.plots.markup import Markup, element, join, percent, picture
from tfcanary.report.plots.scale import Scale

AXIS = Scale(10.0, 30 * 86400.0, logarithmic=True)
"""Ten seconds to a month: all pictures of waiting have the same axis, so that they can be compared."""
_TICKS = (10.0, 60.0, 600.0, 3600.0, 21600.0, 86400.0, 604800.0)
_HEIGHT = 18


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that takes so long."""

    label: str
    seconds: float | None
    """None: it never comes."""
    tone: Tone
    words: str
    """The same in words."""


def wait_plot(wait: Wait, minimum: float, maximum: float) -> Markup:
    """A bar from the left to the time; the shaded part is the time that there is, the line the least of it."""
    here, least = AXIS.at(AXIS.high if wait.seconds is None else wait.seconds), percent(AXIS.at(minimum))
    bar = element(
        "rect", x="0%", width=percent(here), y=5, height=8, class_=f"run {wait.tone.value}", opacity=0.3 if wait.seconds is None else None
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
    """The axis beneath the bars."""
    marks = [element("line", x1="0%", x2="100%", y1=0, y2=0, class_="axis")]
    for seconds in _TICKS:
        x = percent(AXIS.at(seconds))
        marks.append(element("line", x1=x, x2=x, y1=0, y2=4, class_="axis"))
        marks.append(element("text", write(seconds), x=x, y=17, class_="tick", text_anchor="start" if seconds == AXIS.low else "middle"))
    return element("svg", join(marks), class_="plot clock", width="100%", height=20, aria_hidden="true")
