"""A track's recorded answers: from the servers' own log, or from a folder with one subfolder for each track."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from tfcanary.core.domain import Track
from tfcanary.core.ports import Platform
from tfcanary.run.steps.model_files import fetch

EVERYTHING = "all"
"""The value of a plan's `drift.time` that asks for all rows, without a window of time."""
Window = tuple[datetime, datetime]


def read_answers(
    platform: Platform,
    source: str,
    track: Track,
    window: Window,
    time: str,
    fetch_files: Callable[[str], Path] = fetch,
    unreadable: list[int] | None = None,
) -> Iterator[Any]:
    """Yield a track's requests with their answers and ids, in batches of rows, from one window of time.

    Args:
        platform: Its log is read where the source is `log`.
        source: `log`, or a folder or `gs://` prefix with the subfolders `stable` and `canary`.
        track: Whose answers are read; of the stable track the log's are those of both pools of the stable version.
        window: From when until when, in UTC.
        time: The column of the time; `all` reads every row, whatever its time.
        fetch_files: Copies a URI to this machine and returns where it lies.
        unreadable: The number of rows that could not be read is appended, once for each file that has some.
    """
    from tfcanary.look.evaluate import sources

    since, until = window
    if source == "log":
        for one in (Track.STABLE, Track.BASELINE) if track is Track.STABLE else (track,):
            # The baseline is the stable version, too: at 50 % it gets all of its requests.
            yield from platform.log.answered(one, since, until)
        return
    whole = time == EVERYTHING
    selection = sources.Selection(ids=True) if whole else sources.Selection(time=time, since=since, until=until, ids=True)
    dropped = [] if unreadable is None else unreadable
    for piece in sources.pieces(fetch_files(f"{source.rstrip('/')}/{track.value}")):
        for batch, _ in sources.read(piece, selection, dropped.append):
            yield batch
