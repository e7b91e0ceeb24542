"""Files that another process reads while they change: written aside, then renamed.

Envoy notices nothing but the rename; a reader sees the old text or the new one, never a part.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_aside(path: Path, text: str, durable: bool = False) -> None:
    """Replace the file at `path`; `durable`: the new text also survives a loss of power."""
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


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
