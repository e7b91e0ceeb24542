"""Two distributions overlaid: for each place the share of the reference's rows and the share of the current rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfcanary.report.plots.markup import Markup, element, percent, picture
from tfcanary.report.plots.text import cut

HEIGHT = 96
_BASE = 74
"""Vertical position of the base line, in pixels from the top."""
_GAP = 0.12
"""Free width left and right of a bar, as a part of its place."""
_LABEL = 28
"""The largest number of characters of a label below the picture."""


@dataclass(frozen=True, slots=True)
class SharePair:
    """One place of a distribution (a category or a range of values) with the share of rows of both sides, between 0 and 1."""

    label: str
    reference: float
    current: float


def histogram(pairs: Sequence[SharePair], name: str) -> Markup:
    """Return two bars for each place: the reference wide and pale, the current rows narrow in front of it; the first and last place have labels."""
    highest = max((max(pair.reference, pair.current) for pair in pairs), default=0.0) or 1.0
    bars = (bar for place, pair in enumerate(pairs) for bar in _bars(pair, place / len(pairs), 1 / len(pairs), highest))
    return picture(
        name,
        "; ".join(f"{cut(pair.label, _LABEL)}: {pair.reference:.1%} before, {pair.current:.1%} now" for pair in pairs),
        *bars,
        element("line", x1="0%", x2="100%", y1=_BASE, y2=_BASE, class_="axis"),
        *_labels(pairs),
        class_="plot histogram",
        height=HEIGHT,
        width="100%",
    )


def _bars(pair: SharePair, left: float, width: float, highest: float) -> tuple[Markup, Markup]:
    wide, narrow = width * (1 - 2 * _GAP), width * (1 - 5 * _GAP)
    return (
        _bar(left + _GAP * width, wide, pair.reference / highest, "stable"),
        _bar(left + 2.5 * _GAP * width, narrow, pair.current / highest, "canary"),
    )


def _bar(left: float, width: float, share: float, class_: str) -> Markup:
    height = (_BASE - 6) * share
    return element("rect", x=percent(left), y=_BASE - height, width=percent(width), height=height, class_=class_)


def _labels(pairs: Sequence[SharePair]) -> tuple[Markup, ...]:
    if not pairs:
        return ()
    first = element("text", cut(pairs[0].label, _LABEL), x="0%", y=HEIGHT - 6, class_="tick", text_anchor="start")
    if len(pairs) == 1:
        return (first,)
    return first, element("text", cut(pairs[-1].label, _LABEL), x="100%", y=HEIGHT - 6, class_="tick", text_anchor="end")
