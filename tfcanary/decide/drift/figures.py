"""Formats numbers, shares and values for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from tfcanary.decide.drift.cells import Centres, CountArray, Keys, upper_edge
from tfcanary.decide.drift.comparison_result import Bar, ComparisonSettings
from tfcanary.decide.drift.counts import ColumnCounts
from tfcanary.decide.drift.layout import ColumnKind

LONGEST = 40
"""Largest number of characters of a category's value that are shown."""
BARS = 10
"""Largest number of bars of a picture."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def percent(share: float) -> str:
    """Return a share as text, for example `31 %`, `4.1 %`, `0.02 %`."""
    points = 100 * share
    decimals = 0 if 10 <= points <= 90 or points in (0, 100) else 1 if points >= 1 else 2
    return f"{points:.{decimals}f} %"


def shares_text(reference: float, current: float, settings: ComparisonSettings) -> str:
    """Return two shares as text, for example `31 % of the canary's answers against 12 % of stable's`."""
    return f"{percent(current)} of {settings.current}'s {settings.rows} against {percent(reference)} of {settings.reference}'s"


def row_counts(reference: int, current: int) -> str:
    """Return two numbers of rows as text, for example `2,140 and 9,800 rows`: the current ones first, as everywhere."""
    return f"{current:,} and {reference:,} rows"


def value_label(key: bytes) -> str:
    """Return a category's value as short text; what is not UTF-8 is escaped."""
    text = key.decode("utf-8", errors="backslashreplace")
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text) or "(empty text)"
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def edge_labels(tally: ColumnCounts, keys: Keys, counts: CountArray, at: Sequence[int]) -> list[str]:
    """Return the upper edges of the cells at the indexes `at` as text, with as many digits as the spread of the counts needs."""
    centres = tally.column.centres
    if tally.column.kind is ColumnKind.TIME:
        return [_time_label(upper_edge(int(keys[i]), centres)) for i in at]
    spread = _middle_width(keys, counts, centres)
    return [_number_label(upper_edge(int(keys[i]), centres), spread, tally.whole) for i in at]


def bars_of_cells(tally: ColumnCounts, keys: Keys, reference: CountArray, current: CountArray) -> tuple[Bar, ...]:
    """Return about ten bars between the deciles of both sides together."""
    below = [np.cumsum(side) / max(1, side.sum()) for side in (reference, current)]
    middle = (below[0] + below[1]) / 2
    ends = sorted({min(int(np.searchsorted(middle, (i + 1) / BARS - 1e-12)), len(keys) - 1) for i in range(BARS)})
    heights = [np.diff(side[ends], prepend=0.0) for side in below]
    labels = edge_labels(tally, keys, reference + current, ends)
    return tuple(Bar(f"up to {label}", float(a), float(b)) for label, a, b in zip(labels, *heights, strict=True))


def bars_of_values(labels: Sequence[str], reference: CountArray, current: CountArray, at: Sequence[int]) -> tuple[Bar, ...]:
    """Return a bar for each value at the indexes `at`, and one for all others."""
    n, m = max(1, int(reference.sum())), max(1, int(current.sum()))
    bars = [Bar(label, float(reference[i] / n), float(current[i] / m)) for label, i in zip(labels, at, strict=True)]
    if len(at) < len(reference):
        bars.append(Bar("all others", max(0.0, 1 - sum(bar.reference for bar in bars)), max(0.0, 1 - sum(bar.current for bar in bars))))
    return tuple(bars)


def _middle_width(keys: Keys, counts: CountArray, centres: Centres) -> float:
    """Return the width of the middle 80 % of the rows."""
    below = np.cumsum(counts) / counts.sum()
    low, high = (upper_edge(int(keys[int(np.searchsorted(below, share))]), centres) for share in (0.1, 0.9))
    return high - low


def _number_label(number: float, spread: float, whole: bool) -> str:
    if not math.isfinite(number):
        return "infinity" if number > 0 else "-infinity"
    if whole and abs(number) < 1e15:
        return f"{math.floor(number):,}"
    scale = spread if 0 < spread < math.inf else abs(number)
    decimals = 2 - math.floor(math.log10(scale)) if scale > 0 else 0
    if decimals > 9 or abs(number) >= 1e15:
        return f"{number:.6g}"
    return f"{number:,.{max(0, decimals)}f}"


def _time_label(microseconds: float) -> str:
    try:
        return (EPOCH + timedelta(microseconds=microseconds)).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
    except OverflowError:
        return f"{microseconds / 31_556_952e6 + 1970:,.0f} (year)"
