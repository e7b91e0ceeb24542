"""One row of a distribution: the share of the reference's rows and of the current rows at one category or range of values."""

from __future__ import annotations

from dataclasses import dataclass

from tfcanary.report.numbers import share
from tfcanary.report.plots.markup import Markup, element, percent, picture
from tfcanary.report.plots.text import cut

_HEIGHT = 24
_BAR_HEIGHT = 8
_LONGEST_BAR = 0.7
"""The width of the longest bar, as a part of the picture; the shares are written behind the bars."""
_LABEL = 60
"""The largest number of characters of a label in the description."""


@dataclass(frozen=True, slots=True)
class SharePair:
    """One place of a distribution (a category or a range of values) with the share of rows of both sides, between 0 and 1."""

    label: str
    reference: float
    current: float


def share_plot(pair: SharePair, highest: float) -> Markup:
    """Return two bars, the reference above the current rows, and both shares in percent; `highest` is the longest bar of the distribution."""
    scale = _LONGEST_BAR / highest if highest > 0 else 0.0
    words = f"{share(_rounded(pair.reference))} → {share(_rounded(pair.current))}"
    end = max(pair.reference, pair.current) * scale
    return picture(
        cut(pair.label, _LABEL) or "(empty)",
        f"{share(_rounded(pair.reference))} of the reference, {share(_rounded(pair.current))} of the current rows",
        element("rect", x=0, y=3, width=percent(pair.reference * scale), height=_BAR_HEIGHT, class_="stable"),
        element("rect", x=0, y=3 + _BAR_HEIGHT, width=percent(pair.current * scale), height=_BAR_HEIGHT, class_="canary"),
        element("text", words, x=percent(end), dx=8, y=3 + _BAR_HEIGHT, dy="0.35em", class_="label"),
        class_="plot histogram",
        height=_HEIGHT,
        width="100%",
    )


def _rounded(value: float) -> float:
    """Return a share with two significant digits, because the bars show no more."""
    return float(f"{value:.2g}")
