"""TFRecord files: how TensorFlow keeps records one after the other, plain or GZIP.

Each record is a length (8 bytes), its checksum (4), the content, and its checksum (4); checksums are masked CRC32C. Used
for recorded requests, warm-up files and examples. Nothing is believed before its checksum is right, and no more than one
record or block is in memory.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from google_crc32c import value as crc32c

from tfcanary.errors import Refused

LARGEST_RECORD = 64 << 20
"""Bytes in one record: a larger length is damage or malice, and is refused before anything is allocated."""
BLOCK = 4 << 20
"""Bytes that are read at once."""

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_FRAME = _HEADER.size + _FOOTER.size


@dataclass(frozen=True, slots=True)
class Block:
    """Some records of a file, still in the bytes they were read in."""

    content: bytes
    first: int
    """The number of the first record in its file, from 1."""
    spans: tuple[tuple[int, int], ...]
    """Where each record begins and ends in `content`."""

    def records(self) -> Iterator[bytes]:
        """The records themselves, copied."""
        return (self.content[begin:end] for begin, end in self.spans)


def read(path: Path) -> Iterator[bytes]:
    """Every record; raises Refused, with file and record number, at the first one that is damaged or cut off."""
    for block in read_blocks(path):
        yield from block.records()


def read_blocks(path: Path, size: int = BLOCK) -> Iterator[Block]:
    """The records, some `size` bytes at a time, or one record where it is larger; raises Refused as `read` does."""
    first, rest = 1, b""
    try:
        with _opened(path) as file:
            while more := file.read(max(size, _missing(rest))):
                block = _block(path, rest + more, first)
                first += len(block.spans)
                rest = block.content[block.spans[-1][1] + _FOOTER.size :] if block.spans else block.content
                if block.spans:
                    yield block
    except (OSError, EOFError, zlib.error) as error:
        raise Refused(f"{path}: record {first}: cannot be read ({error})") from error
    if rest:
        raise Refused(f"{path}: record {first}: the file ends in the middle of it")


def write(path: Path, records: Iterable[bytes], compressed: bool = False) -> None:
    """A new file with these records."""
    with gzip.open(path, "wb") if compressed else path.open("wb") as file:
        for record in records:
            file.write(frame(record))


def frame(record: bytes) -> bytes:
    """One record with its length and checksums, ready to be appended to a file."""
    length = struct.pack("<Q", len(record))
    return length + _FOOTER.pack(_masked(length)) + record + _FOOTER.pack(_masked(record))


def is_tfrecord(start: bytes) -> bool:
    """Whether a file that begins like this (12 bytes are enough) is a TFRecord, plain or GZIP."""
    return _framed(start) or start[:2] == b"\x1f\x8b"


def _framed(start: bytes) -> bool:
    return len(start) >= _HEADER.size and _masked(start[:8]) == _HEADER.unpack_from(start)[1]


def _opened(path: Path) -> BinaryIO:
    # A plain file may begin like GZIP (a record of 35,615 bytes does); the length's checksum tells them apart.
    with path.open("rb") as file:
        start = file.read(_HEADER.size)
    compressed = is_tfrecord(start) and not _framed(start)
    return gzip.open(path, "rb") if compressed else path.open("rb")  # type: ignore[return-value]  # GzipFile is a BinaryIO


def _missing(rest: bytes) -> int:
    """How many bytes the record lacks whose beginning is `rest`; its header was checked."""
    return _FRAME + int(_HEADER.unpack_from(rest)[0]) - len(rest) if len(rest) >= _HEADER.size else 0


def _block(path: Path, content: bytes, first: int) -> Block:
    """All whole records in `content`, checked."""
    spans: list[tuple[int, int]] = []
    at = 0
    while at + _HEADER.size <= len(content):
        length, checksum = _HEADER.unpack_from(content, at)
        if _masked(content[at : at + 8]) != checksum:
            raise Refused(f"{path}: record {first + len(spans)}: the checksum of its length is wrong: damaged, or not a TFRecord file")
        if length > LARGEST_RECORD:
            raise Refused(f"{path}: record {first + len(spans)}: {length} bytes; at most {LARGEST_RECORD} are read")
        begin = at + _HEADER.size
        at = begin + length + _FOOTER.size
        if at > len(content):
            break
        if _masked(content[begin : begin + length]) != _FOOTER.unpack_from(content, begin + length)[0]:
            raise Refused(f"{path}: record {first + len(spans)}: the checksum of its content is wrong: damaged")
        spans.append((begin, begin + length))
    return Block(content, first, tuple(spans))


def _masked(content: bytes) -> int:
    """CRC32C, rotated and shifted by a constant, as TensorFlow masks it (tsl/lib/hash/crc32c.h)."""
    crc: int = crc32c(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
