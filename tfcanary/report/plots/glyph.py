"""Small signs that distinguish findings by their shape, for readers who cannot distinguish the colours."""

from __future__ import annotations

from enum import StrEnum

from tfcanary.report.plots.markup import Markup, element


class Tone(StrEnum):
    """The meaning of a word or mark: it selects the CSS class of its colour and the shape of its sign."""

    GOOD = "good"
    WARN = "warn"
    DOUBT = "doubt"
    """Undecided."""
    BAD = "bad"
    PLAIN = "plain"
    """Neither good nor bad."""


# Shapes on a field of 16 by 16: a tick in a disc, a triangle, a dashed ring, a cross in a square, a dot.
_SHAPES: dict[Tone, tuple[Markup, ...]] = {
    Tone.GOOD: (
        element("circle", cx=8, cy=8, r=7, class_="solid"),
        element("path", d="M4.8 8.4l2.3 2.3 4.2-5", class_="cut"),
    ),
    Tone.WARN: (
        element("path", d="M8 1.2L15.2 14.4H.8z", class_="solid"),
        element("path", d="M8 5.8v4M8 11.6v1.2", class_="cut"),
    ),
    Tone.DOUBT: (
        element("circle", cx=8, cy=8, r=6.2, class_="ring"),
        element("path", d="M5 8h6", class_="ink"),
    ),
    Tone.BAD: (
        element("rect", x=1, y=1, width=14, height=14, rx=2.5, class_="solid"),
        element("path", d="M5 5l6 6M11 5l-6 6", class_="cut"),
    ),
    Tone.PLAIN: (element("circle", cx=8, cy=8, r=3, class_="solid"),),
}


def glyph(tone: Tone, size: int = 14) -> Markup:
    """Return the sign of a tone, `size` pixels wide. Screen readers skip it, because the word beside it has the same meaning."""
    return element("svg", *_SHAPES[tone], class_=f"glyph {tone.value}", viewBox="0 0 16 16", width=size, height=size, aria_hidden="true")
