"""Waiting for what must happen, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK = 0.05
"""Seconds between two looks."""

SHOWN = 3000
"""Characters of a value that never was good."""


def until(read: Callable[[], T], good: Callable[[T], object] = bool, seconds: float = 30.0) -> T:
    """Read until the value is good; returns it. AssertionError shows the last one."""
    deadline = time.monotonic() + seconds
    while not good(value := read()):
        assert time.monotonic() < deadline, f"not so within {seconds:.0f} s: {str(value)[:SHOWN]}"
        time.sleep(LOOK)
    return value
