"""Two distributions over each other: where the reference's rows lie, and where the current ones do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfcanary.report.plots.markup import Markup, element, percent, picture
from tfcanary.report.plots.text import cut

HEIGHT = 96
_BASE = 74
"""Where the bars stand, from the top."""
_GAP = 0.12
"""Of a bar's place, left and right of it."""
_LABEL = 28
"""Characters beneath the picture."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One place, and the share of each side's rows that lies there."""

    label: str
    reference: float
    current: float


def histogram(pairs: Sequence[Pair], name: str) -> Markup:
    """A bar each side and place: the reference wide and pale, the current rows narrow in front of it; the labels of first and last."""
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


def _bars(pair: Pair, left: float, width: float, highest: float) -> tuple[Markup, Markup]:
    wide, narrow = width * (1 - 2 * _GAP), width * (1 - 5 * _GAP)
    return (
        _bar(left + _GAP * width, wide, pair.reference / highest, "stable"),
        _bar(left + 2.5 * _GAP * width, narrow, pair.current / highest, "canary"),
    )


def _bar(left: float, width: float, share: float, class_: str) -> Markup:
    height = (_BASE - 6) * share
    return element("rect", x=percent(left), y=_BASE - height, width=percent(width), height=height, class_=class_)


def _labels(pairs: Sequence[Pair]) -> tuple[Markup, ...]:
    if not pairs:
        return ()
    first = element("text", cut(pairs[0].label, _LABEL), x="0%", y=HEIGHT - 6, class_="tick", text_anchor="start")
    if len(pairs) == 1:
        return (first,)
    return first, element("text", cut(pairs[-1].label, _LABEL), x="100%", y=HEIGHT - 6, class_="tick", text_anchor="end")
