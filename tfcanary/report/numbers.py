"""Numbers as the pages and the command line write them: 1,234; 0.21 %; 45 s; 12 min."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

RATIO = "ratio to stable"
"""The unit of a ratio of the canary to the stable version; its axis is logarithmic and its value for "no difference" is 1."""
_SHARES = ("share", "fraction", "part of", "difference of")
"""Beginnings of units whose values are written in percent, for example `share of rows`."""
_PART = "part of"
"""Beginning of units whose value is 1 where both tracks are alike."""
_NOT_FINITE = {math.inf: "∞", -math.inf: "−∞"}


def plain(value: float) -> str:
    """Write whole numbers with thousands separators and others with three significant digits: 1,234, 0.0213, 12.4, 0.000032."""
    if not math.isfinite(value):
        return _NOT_FINITE.get(value, "unknown")
    if abs(value) >= 1e15:
        return _with_minus_sign("{}·10^{}".format(*f"{value:.1e}".split("e+")))
    if value == int(value):
        return _with_minus_sign(f"{int(value):,}")
    if abs(value) >= 999.5:
        return _with_minus_sign(f"{value:,.0f}")
    if 1e-7 <= abs(value) < 1e-4:
        return _with_minus_sign(f"{float(f'{value:.3g}'):.10f}".rstrip("0"))
    return _with_minus_sign(f"{value:.3g}")


def share(value: float) -> str:
    """Write a fraction as percent: 0.0021 is written `0.21 %`."""
    return f"{plain(float(f'{100 * value:.3g}'))} %" if math.isfinite(value) else plain(value)


def ratio(value: float) -> str:
    """Write a ratio, with more decimals the nearer it is to 1: 3.4, 1.02, 12."""
    if not math.isfinite(value) or value <= 0:
        return plain(value)
    digits = 3 if abs(value - 1) < 0.02 else 2 if value < 2 else 1
    return f"{value:,.{digits}f}" if 0.1 <= value < 100 else plain(float(f"{value:.2g}"))


def duration(value: float | timedelta) -> str:
    """Write seconds in units that people use: 12.3 ms, 45 s, 12 min, 1 h 30 min, 3 d 4 h."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not math.isfinite(seconds):
        return plain(seconds)
    if seconds < 0:
        return f"−{duration(-seconds)}"
    if seconds < 1:
        return f"{plain(float(f'{1000 * seconds:.3g}'))} ms" if seconds else "0 s"
    if seconds < 90 and seconds != 60:
        return f"{plain(float(f'{seconds:.3g}'))} s"
    return _two_units(seconds)


def _two_units(seconds: float) -> str:
    """Write the two largest units of a duration, without a unit whose count is zero."""
    left, parts = round(seconds), list[str]()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        parts += [f"{count} {unit}"] if count or parts else []
    return " ".join(part for part in parts[:2] if not part.startswith("0 "))


def moment(at: datetime) -> str:
    """Write an instant in UTC, to the second, with its zone: `2026-01-31 12:00:00 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def clock(at: datetime) -> str:
    """Write the time of day of an instant in UTC; the caller names the zone, for example in the heading of the column."""
    return f"{at.astimezone(UTC):%H:%M:%S}"


def writer(unit: str) -> Callable[[float], str]:
    """Return the function that writes values of this unit; `unit_words` returns what has to stand beside the number."""
    if unit == RATIO:
        return ratio
    if unit.startswith(_SHARES):
        return share
    return duration if unit == "seconds" else plain


def tick_writer(unit: str) -> Callable[[float], str]:
    """Return the function that writes the round values beside an axis: as `writer`, but a ratio without decimals that are zero."""
    return plain if unit == RATIO else writer(unit)


def unit_words(unit: str) -> str:
    """Return the unit as it is written beside a number of `writer`; empty where the number already contains its unit."""
    return "" if unit in ("share", "fraction", "seconds") else unit


def no_difference(unit: str) -> float:
    """Return the value of this unit that means that both tracks are alike."""
    return 1.0 if unit == RATIO or unit.startswith(_PART) else 0.0


def figure(value: float | str) -> str:
    """Write a figure of an evidence; a text is returned unchanged."""
    return value if isinstance(value, str) else plain(value)


def _with_minus_sign(text: str) -> str:
    return text.replace("-", "−", 1) if text.startswith("-") else text
