"""A piece of a data set, and which of its rows and columns are wanted: values only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

KNOWN = "Parquet, Arrow, CSV, JSON lines, TFRecord of tf.Example or PredictionLog, KServe logger records and Envoy taps are read"


class Format(StrEnum):
    """How a file is read."""

    PARQUET = "Parquet"
    ARROW = "Arrow"
    STREAM = "an Arrow stream"
    CSV = "CSV"
    LINES = "JSON lines"
    EXAMPLES = "TFRecord of tf.Example"
    PREDICTIONS = "TFRecord of PredictionLog"
    LOGGED = "logged requests"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows and columns are read."""

    columns: tuple[str, ...] = ()
    """Top-level columns; empty: all."""
    time: str = ""
    """The column of the window: an instant, or seconds since 1970. Logged requests and PredictionLog bring their own."""
    since: datetime | None = None
    until: datetime | None = None
    """Rows from `since` until before this."""
    ids: bool = False
    """Logged requests get a column `id`, by which labels join; a request of several rows has none that could be joined."""

    @property
    def windowed(self) -> bool:
        """Whether rows are chosen by time."""
        return self.since is not None or self.until is not None

    @property
    def seconds(self) -> tuple[float, float]:
        """The window in seconds since 1970."""
        low, high = (at.replace(tzinfo=at.tzinfo or UTC).timestamp() if at else None for at in (self.since, self.until))
        return (-1e18 if low is None else low, 1e18 if high is None else high)


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, or one row group of it: what a shard is made of."""

    path: Path
    format: Format
    size: int
    """Bytes, about."""
    group: int = 0
    more: tuple[Path, ...] = ()
    """Files that are read with it: a logger writes request and answer into files of their own, and they are joined."""

    @property
    def name(self) -> str:
        """For sentences."""
        return f"{self.path}: row group {self.group}" if self.format is Format.PARQUET else str(self.path)
