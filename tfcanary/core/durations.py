"""The units in which people write times, in plans and in the sentences about them."""

from __future__ import annotations

from datetime import timedelta

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
"""Seconds of each unit, the smallest first."""


def written(time: timedelta) -> str:
    """Return a time as a plan writes it, in the largest unit that it is a whole number of: 10s, 90m, 2h."""
    milliseconds = round(time / timedelta(milliseconds=1))
    whole = (unit for unit in reversed(UNITS) if milliseconds % round(1000 * UNITS[unit]) == 0)
    unit = next(whole) if milliseconds else "s"
    return f"{milliseconds // round(1000 * UNITS[unit])}{unit}"
