"""The values by which data sets are read: a piece of a data set, and the selection of its rows and columns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

KNOWN = "Parquet, Arrow, CSV, JSON lines and lists, TFRecord of tf.Example or PredictionLog, KServe logger records and Envoy taps are read"


class Format(StrEnum):
    """The known file formats, by their names in sentences."""

    PARQUET = "Parquet"
    ARROW = "Arrow"
    STREAM = "an Arrow stream"
    CSV = "CSV"
    LINES = "JSON lines"
    LIST = "a JSON list"
    EXAMPLES = "TFRecord of tf.Example"
    PREDICTIONS = "TFRecord of PredictionLog"
    LOGGED = "logged requests"


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows and columns of a data set that are read."""

    columns: tuple[str, ...] = ()
    """Names of the top-level columns; empty for all."""
    time: str = ""
    """Column of the time: instants, or seconds since 1970. Logged requests and PredictionLog have a time of their own."""
    since: datetime | None = None
    """Time of the first rows; None for all earlier rows."""
    until: datetime | None = None
    """Time before which the last rows are; None for all later rows."""
    ids: bool = False
    """Whether logged requests get a column `id`, by which labels join; it is null for a request of several rows."""

    @property
    def windowed(self) -> bool:
        """Whether rows are selected by time."""
        return self.since is not None or self.until is not None

    @property
    def seconds(self) -> tuple[float, float]:
        """Begin and end of the window in seconds since 1970."""
        low, high = (at.replace(tzinfo=at.tzinfo or UTC).timestamp() if at else None for at in (self.since, self.until))
        return (-1e18 if low is None else low, 1e18 if high is None else high)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a data set that can be read alone: a file, one row group of a file, or all files of a logger."""

    path: Path
    format: Format
    size: int
    """Approximate number of bytes."""
    group: int = 0
    """Number of the row group in a Parquet file."""
    more: tuple[Path, ...] = ()
    """Further files that are read with this one: a logger may write requests and answers into different files."""
    types: tuple[tuple[str, str], ...] = ()
    """The columns of a CSV file, each with the type that its values have in all files of the data set; empty where it is not known yet."""

    @property
    def name(self) -> str:
        """The name of the piece in sentences."""
        return f"{self.path}: row group {self.group}" if self.format is Format.PARQUET else str(self.path)
