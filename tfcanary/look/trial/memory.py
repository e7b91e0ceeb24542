"""How much memory a part of the trial takes at its peak."""

from __future__ import annotations

import ctypes
import resource
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

STATM = Path("/proc/self/statm")
INTERVAL = 0.005
"""Seconds between two looks."""


class Peak:
    """While it is open, notes how far the process grows beyond what it had at the beginning."""

    def __init__(self) -> None:
        self.bytes = 0
        self._began = resident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        """Begin to look."""
        release()
        self._began = resident()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Look a last time."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, resident() - self._began)
            if self._over.wait(INTERVAL):
                self.bytes = max(self.bytes, resident() - self._began)
                return


def resident() -> int:
    """Bytes of this process in memory; its peak so far where the system says no more."""
    if STATM.exists():
        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    # Kilobytes on Linux, bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def release() -> None:
    """Give freed memory back, so that it is not counted as somebody else's."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
