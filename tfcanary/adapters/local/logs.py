"""Limits of logs: a demo that runs for weeks, or a model that prints, does not fill the disk."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from pathlib import Path

from tfcanary.adapters.local.folder import Folder

INTERVAL = 10.0
"""Seconds between two inspections of the logs."""
LOG = 64 << 20
"""Bytes after which a log is copied to `<name>.log.1` and emptied."""
REQUESTS = 1 << 30
"""Bytes of the newest recorded requests that are kept for each server."""

log = logging.getLogger("tfcanary.local")


async def limit_logs(folder: Folder) -> None:
    """Shorten the logs of a state folder every INTERVAL seconds; never returns."""
    while True:
        await asyncio.sleep(INTERVAL)
        try:
            for file in sorted(folder.root.glob("run/*/*.log")):
                shorten(file, LOG)
            for recorded in sorted(folder.root.glob("requests/*/*/")):
                remove_oldest(recorded, REQUESTS)
        except OSError as error:
            log.warning("logs cannot be kept short: %s", error)


def shorten(file: Path, limit: int) -> None:
    """Copy and empty a log of more than `limit` bytes; its writer appends, and need not know."""
    if file.stat().st_size > limit:
        shutil.copyfile(file, file.with_suffix(".log.1"))
        os.truncate(file, 0)


def remove_oldest(recorded: Path, limit: int) -> None:
    """Remove the oldest files, whose names sort by time, until all together have at most `limit` bytes."""
    total = 0
    for file in sorted(recorded.glob("[!.]*"), reverse=True):
        total += file.stat().st_size
        if total > limit:
            file.unlink()
