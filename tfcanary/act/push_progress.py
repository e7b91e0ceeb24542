"""The progress of a push: a bar where a person watches a terminal, a line now and then where a log keeps what is printed."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

LOG_INTERVAL = 5.0
"""Seconds between two lines in a log."""
BAR_INTERVAL = 0.1
"""Seconds between two redraws of the bar in a terminal."""
TITLE = "push and read back"


class ProgressLine:
    """Shows the progress of a push of `total` bytes, as a context manager that is called with each number of bytes, also from several threads."""

    def __init__(self, total: int, into: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`into` is stderr by default, which is the step's log; `clock` returns seconds."""
        self._total, self._into, self._clock = total, into or sys.stderr, clock
        self._count, self._began, self._printed = 0, clock(), clock()
        self._lock = threading.Lock()
        self._bar = _bar(self._into, total) if self._into.isatty() else None

    def __enter__(self) -> ProgressLine:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, count: int) -> None:
        """Add `count` bytes to those that were copied or read back; the last ones are shown at once, others at the next interval."""
        with self._lock:
            self._count += count
            now = self._clock()
            if self._bar:
                self._bar.update(self._bar.task_ids[0], completed=self._count)
            elif self._count >= self._total or now - self._printed >= LOG_INTERVAL:
                self._printed = now
                print(self._line(now - self._began), file=self._into, flush=True)

    def _line(self, seconds: float) -> str:
        """For example `push and read back: 50 %, 104.9 of 209.7 MB at 52.4 MB/s`."""
        share = self._count / self._total if self._total else 1.0
        rate = self._count / seconds / 1e6 if seconds > 0 else 0.0
        return f"{TITLE}: {100 * share:.0f} %, {self._count / 1e6:.1f} of {self._total / 1e6:.1f} MB at {rate:.1f} MB/s"


def _bar(into: TextIO, total: int) -> Progress:
    # 45 ms: a step whose log is a file does not pay for it.
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), DownloadColumn(), TransferSpeedColumn())
    bar = Progress(*columns, console=Console(file=into), refresh_per_second=1 / BAR_INTERVAL)
    bar.add_task(TITLE, total=total)
    return bar
