"""The machine's clock as an adapter of `ports.Clock`, for both platforms."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """The time of the machine's clock."""

    def now(self) -> datetime:
        """The present time, with time zone UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        time.sleep(seconds)
