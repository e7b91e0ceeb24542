"""CRC32C: computed in pieces, written `crc32c:` and 8 hexadecimal digits, and kept beside the files of a directory.

CRC32C is what Cloud Storage shows in its listings; directories use it too, so that one comparison serves both. It
finds damage, not forgery: the identity of a version is its SHA-256 manifest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

PIECE = 1 << 20
"""Bytes in memory at a time: larger pieces made no copy faster."""


def pieces(source: BinaryIO, size: int = PIECE) -> Iterator[bytes]:
    """The rest of a file, piece by piece."""
    while piece := source.read(size):
        yield piece


def copy(source: BinaryIO, into: BinaryIO | None = None) -> str:
    """Read the rest of `source`, copy it into `into` if given, and return its checksum."""
    import google_crc32c

    value = 0
    for piece in pieces(source):
        value = google_crc32c.extend(value, piece)
        if into is not None:
            into.write(piece)
    return as_text(value)


def as_text(value: int) -> str:
    """How a checksum is written in a listing."""
    return f"crc32c:{value:08x}"


class ChecksumIndex:
    """Checksums of files, so that a listing need not read them again.

    An entry holds for one inode, size, time of modification and time of change. The last cannot be set by a program, so
    a file that was altered with its time put back is read again. Losing the index costs time, nothing else.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str, stat: os.stat_result) -> str | None:
        """The checksum, if it was noted for the file in this very state."""
        try:
            state, _, checksum = self._entry(name).read_text().partition(" ")
        except OSError:
            return None
        # A reader may come while the entry is being written.
        return checksum if state == _state(stat) and len(checksum) == len(as_text(0)) else None

    def put(self, name: str, stat: os.stat_result, checksum: str) -> None:
        """Note a checksum; without effect where the folder cannot be written."""
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._entry(name).write_text(f"{_state(stat)} {checksum}")

    def drop(self, name: str) -> None:
        """Forget a name."""
        with suppress(OSError):
            self._entry(name).unlink()

    def _entry(self, name: str) -> Path:
        # Hashed, since the path of a name would need folders that have to be made and removed.
        return self._folder / hashlib.sha256(name.encode()).hexdigest()[:32]


def _state(stat: os.stat_result) -> str:
    return f"{stat.st_ino}-{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ctime_ns}"
