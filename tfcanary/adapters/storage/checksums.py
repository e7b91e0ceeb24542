"""CRC32C checksums: computed in pieces, written as `crc32c:` and 8 hexadecimal digits, and kept beside the files of a directory.

Cloud Storage shows CRC32C in its listings; the other storages use it too, so that one comparison serves all. It detects damage, not
forgery: a version is identified by its SHA-256 manifest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

PIECE = 1 << 20
"""Bytes in memory at a time; larger pieces make no copy faster."""


def pieces(source: BinaryIO, size: int = PIECE) -> Iterator[bytes]:
    """Yield the rest of a file in pieces of `size` bytes."""
    while piece := source.read(size):
        yield piece


def copy(source: BinaryIO, into: BinaryIO | None = None) -> str:
    """Read the rest of `source`, copy it into `into` where that is given, and return its checksum."""
    return copy_pieces(pieces(source), into)


def copy_pieces(content: Iterable[bytes], into: BinaryIO | None = None) -> str:
    """Take content in pieces, write it into `into` where that is given, and return its checksum."""
    import google_crc32c

    value = 0
    for piece in content:
        value = google_crc32c.extend(value, piece)
        if into is not None:
            into.write(piece)
    return as_text(value)


def as_text(value: int) -> str:
    """The text of a checksum in a listing."""
    return f"crc32c:{value:08x}"


class ChecksumIndex:
    """Stores the checksums of files, so that a listing need not read the files again.

    An entry is valid for one inode, size, time of modification and time of change. No program can set the last, so a file that was
    altered and given its old time of modification is read again. The index may be deleted: that costs time, nothing else.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str, stat: os.stat_result) -> str | None:
        """The stored checksum of the file, None where its state has changed since or none is stored."""
        try:
            state, _, checksum = self._entry(name).read_text().partition(" ")
        except OSError:
            return None
        # Another process may be writing the entry at this moment.
        return checksum if state == _state(stat) and len(checksum) == len(as_text(0)) else None

    def put(self, name: str, stat: os.stat_result, checksum: str) -> None:
        """Store a checksum; without effect where the folder cannot be written."""
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._entry(name).write_text(f"{_state(stat)} {checksum}")

    def drop(self, name: str) -> None:
        """Remove the entry of a name."""
        with suppress(OSError):
            self._entry(name).unlink()

    def _entry(self, name: str) -> Path:
        # Hashed, since the path of a name would need folders that must be made and removed.
        return self._folder / hashlib.sha256(name.encode()).hexdigest()[:32]


def _state(stat: os.stat_result) -> str:
    return f"{stat.st_ino}-{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ctime_ns}"
