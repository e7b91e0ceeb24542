"""Recorded answers of a track: of the servers' own log, or of a folder with one folder a track."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from tfcanary.core.domain import Track
from tfcanary.core.ports import Platform
from tfcanary.run.steps.model_files import fetch

EVERYTHING = "all"
"""A plan's `drift.time` where no window is taken."""
Window = tuple[datetime, datetime]


def answered(
    platform: Platform,
    source: str,
    track: Track,
    window: Window,
    time: str,
    fetched: Callable[[str], Path] = fetch,
    lost: list[int] | None = None,
) -> Iterator[Any]:
    """A track's answered requests of these minutes, with their ids. What could not be read is added to `lost`."""
    from tfcanary.look.evaluate import sources

    since, until = window
    if source == "log":
        yield from platform.log.answered(track, since, until)
        return
    whole = time == EVERYTHING
    chosen = sources.Selection(ids=True) if whole else sources.Selection(time=time, since=since, until=until, ids=True)
    dropped = [] if lost is None else lost
    for piece in sources.pieces(fetched(f"{source.rstrip('/')}/{track.value}")):
        for batch, _ in sources.read(piece, chosen, dropped.append):
            yield batch
