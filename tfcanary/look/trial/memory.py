"""Measures the peak memory of a part of the trial."""

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
"""Seconds between two measurements."""


class PeakMemory:
    """A context manager that measures by how many bytes the process grows at most while it is open."""

    def __init__(self) -> None:
        self.bytes = 0
        self._began = resident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        """Start the measurements in a thread."""
        release()
        self._began = resident()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Measure a last time and stop the thread."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, resident() - self._began)
            if self._over.wait(INTERVAL):
                self.bytes = max(self.bytes, resident() - self._began)
                return


def resident() -> int:
    """Bytes of this process in memory; where the system does not tell them, the peak so far."""
    if STATM.exists():
        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    # Kilobytes on Linux, bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def release() -> None:
    """Return freed memory to the system, so that the next measurement does not include it."""
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
