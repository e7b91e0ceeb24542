"""The clock of the machine behind the Clock port; both platforms use it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from tfcanary.core.errors import TfcanaryError

log = logging.getLogger("tfcanary.clock")


class SystemClock:
    """The time of this machine."""

    def now(self) -> datetime:
        """Return the present time, with time zone UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        time.sleep(seconds)

    @contextmanager
    def beside(self, seconds: float, call: Callable[[], None]) -> Iterator[None]:
        """Make `call` every so many seconds in a thread of its own until the block ends; a call that raises ends the calls, and nothing else.

        The end of the block waits for a call that is being made, so that no call ever outlives the block.
        """
        over = threading.Event()
        thread = threading.Thread(target=_repeat, args=(seconds, call, over), name="beside", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _repeat(seconds: float, call: Callable[[], None], over: threading.Event) -> None:
    while not over.wait(seconds):
        try:
            call()
        except TfcanaryError as error:
            log.warning("the calls beside the work end: %s", error)
            return
