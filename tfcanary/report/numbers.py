"""Numbers as people read them, in one place: 1,234; 0.21 %; 3.4 times; 45 s; 12 min."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

RATIO = "ratio to stable"
"""The unit whose axis is logarithmic and whose `no difference` is 1."""
_SHARES = ("share", "fraction", "part of", "difference of")
"""How the unit of a value begins that is written in percent, for example `share of rows`."""
_PART = "part of"
"""Such a share is all of it where both tracks are alike."""
_ODD = {math.inf: "∞", -math.inf: "−∞"}


def plain(value: float) -> str:
    """Whole numbers with thousands, others with three significant digits: 1,234, 0.0213, 12.4, 0.000032."""
    if not math.isfinite(value):
        return _ODD.get(value, "unknown")
    if abs(value) >= 1e15:
        return _minus("{}·10^{}".format(*f"{value:.1e}".split("e+")))
    if value == int(value):
        return _minus(f"{int(value):,}")
    if abs(value) >= 999.5:
        return _minus(f"{value:,.0f}")
    if 1e-7 <= abs(value) < 1e-4:
        return _minus(f"{float(f'{value:.3g}'):.10f}".rstrip("0"))
    return _minus(f"{value:.3g}")


def share(value: float) -> str:
    """A fraction as percent: 0.0021 is 0.21 %."""
    return f"{plain(float(f'{100 * value:.3g}'))} %" if math.isfinite(value) else plain(value)


def ratio(value: float) -> str:
    """A ratio, two decimals near 1 where they matter: 3.4, 1.02, 12."""
    if not math.isfinite(value) or value <= 0:
        return plain(value)
    digits = 3 if abs(value - 1) < 0.02 else 2 if value < 2 else 1
    return f"{value:,.{digits}f}" if 0.1 <= value < 100 else plain(float(f"{value:.2g}"))


def times(value: float) -> str:
    """A ratio in a sentence: 3.4 times."""
    return f"{ratio(value)} times"


def duration(value: float | timedelta) -> str:
    """Seconds as people say them: 12.3 ms, 45 s, 12 min, 1 h 30 min, 3 d 4 h."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not math.isfinite(seconds):
        return plain(seconds)
    if seconds < 0:
        return f"−{duration(-seconds)}"
    if seconds < 1:
        return f"{plain(float(f'{1000 * seconds:.3g}'))} ms" if seconds else "0 s"
    if seconds < 90 and seconds != 60:
        return f"{plain(float(f'{seconds:.3g}'))} s"
    return _two(seconds)


def _two(seconds: float) -> str:
    """The two largest units that are not zero."""
    left, parts = round(seconds), list[str]()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        parts += [f"{count} {unit}"] if count or parts else []
    return " ".join(part for part in parts[:2] if not part.startswith("0 "))


def moment(at: datetime) -> str:
    """An instant in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def clock(at: datetime) -> str:
    """The time of day of an instant, in UTC."""
    return f"{at.astimezone(UTC):%H:%M:%S}"


def writer(unit: str) -> Callable[[float], str]:
    """How a value of this unit is written; `unit_words` says whether the unit stays beside it."""
    if unit == RATIO:
        return ratio
    if unit.startswith(_SHARES):
        return share
    return duration if unit == "seconds" else plain


def ticks(unit: str) -> Callable[[float], str]:
    """How a round value beside an axis is written: as any other, but a ratio without digits that say nothing."""
    return plain if unit == RATIO else writer(unit)


def unit_words(unit: str) -> str:
    """The unit as it is written beside a number of `writer`; nothing where the number says it."""
    return "" if unit in ("share", "fraction", "seconds") else unit


def same(unit: str) -> float:
    """The value that means that both tracks are alike."""
    return 1.0 if unit == RATIO or unit.startswith(_PART) else 0.0


def figure(value: float | str) -> str:
    """A figure of an evidence: what is a text stays one."""
    return value if isinstance(value, str) else plain(value)


def _minus(text: str) -> str:
    return text.replace("-", "−", 1) if text.startswith("-") else text
