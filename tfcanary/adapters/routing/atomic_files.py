"""Files that several processes read and write at the same time: each text is replaced as a whole, and a lock keeps writers apart.

Envoy notices nothing but a rename; a reader sees the old text or the new one, never a part.
"""

from __future__ import annotations

import fcntl
import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfcanary.core.errors import Unavailable

PATIENCE = 10.0
"""Seconds to wait for a lock: it is held for one write, so whoever holds it longer was stopped in the middle."""


def write_aside(path: Path, text: str, durable: bool = False) -> None:
    """Replace the file at `path` by a rename; with `durable` the new text also survives a loss of power. Raises OSError."""
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.rename(aside, path)
    except OSError:
        Path(aside).unlink(missing_ok=True)
        raise
    if durable:
        _sync(path.parent)


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Hold the lock of the file at `path` for the block: nobody else who asks for it writes the file meanwhile.

    Raises Unavailable where another process holds the lock for longer than PATIENCE, or the lock file cannot be made.
    """
    # The lock is a file beside the other one, which is a new file after each write.
    try:
        handle = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise Unavailable(f"{path}: cannot be locked ({error.strerror})") from error
    deadline = time.monotonic() + PATIENCE
    try:
        while not _lock(handle):
            if time.monotonic() > deadline:
                raise Unavailable(f"{path}: another process has held its lock for {PATIENCE:.0f} s")
            time.sleep(random.uniform(0.001, 0.005))
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
