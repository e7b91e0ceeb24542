"""Logs have an end: a demo that runs for weeks, or a model that prints, does not fill the disk."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from pathlib import Path

from tfcanary.adapters.local.folder import Folder

LOOK = 10.0
"""Seconds between two looks."""
LOG = 64 << 20
"""Bytes after which a log is moved to `<name>.1` and begins anew."""
REQUESTS = 1 << 30
"""Bytes of recorded requests that are kept of a version: the newest."""

log = logging.getLogger("tfcanary.local")


async def keep_short(folder: Folder) -> None:
    """Look again and again."""
    while True:
        await asyncio.sleep(LOOK)
        try:
            for file in sorted(folder.root.glob("run/*/*.log")):
                shorten(file, LOG)
            for recorded in sorted(folder.root.glob("requests/*/*/")):
                forget(recorded, REQUESTS)
        except OSError as error:
            log.warning("logs cannot be kept short: %s", error)


def shorten(file: Path, limit: int) -> None:
    """Copy and empty a log of more than `limit` bytes: who writes it appends, and need not know."""
    if file.stat().st_size > limit:
        shutil.copyfile(file, file.with_suffix(".log.1"))
        os.truncate(file, 0)


def forget(recorded: Path, limit: int) -> None:
    """Remove the oldest files, whose names sort by time, where all together have more than `limit` bytes."""
    kept = 0
    for file in sorted(recorded.glob("[!.]*"), reverse=True):
        kept += file.stat().st_size
        if kept > limit:
            file.unlink()
