"""How a push goes, for whoever waits for it: bytes, share and rate."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

EVERY = 5.0
"""Seconds between two lines in a log."""
OFTEN = 0.1
"""The same in a terminal, where the bar is drawn over itself."""


class Told:
    """Tells how a push goes: a bar that is drawn over itself in a terminal, a line now and then in a log."""

    def __init__(self, total: int, into: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._into, self._clock = total, into or sys.stderr, clock
        self._done, self._began, self._told = 0, clock(), clock()
        self._lock = threading.Lock()

    def __call__(self, count: int) -> None:
        """So many bytes more; told at once where they are the last, else not more often than anybody reads."""
        with self._lock:
            self._done += count
            now, terminal = self._clock(), self._into.isatty()
            ended = self._done >= self._total
            if ended or now - self._told >= (OFTEN if terminal else EVERY):
                self._told = now
                line = self.line(now - self._began)
                self._into.write(f"\r{line}{chr(10) * ended}" if terminal else f"{line}\n")
                self._into.flush()

    def line(self, seconds: float) -> str:
        """For example `push and read back [#####-----] 50 %, 104.9 of 209.7 MB at 52.4 MB/s`."""
        share = self._done / self._total if self._total else 1.0
        bar = "#" * int(20 * share)
        rate = self._done / seconds / 1e6 if seconds > 0 else 0.0
        return f"push and read back [{bar:-<20}] {share:.0%}, {self._done / 1e6:.1f} of {self._total / 1e6:.1f} MB at {rate:.1f} MB/s"
