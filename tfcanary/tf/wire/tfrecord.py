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
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from google_crc32c import value as crc32c
from numpy.typing import NDArray

from tfcanary.core.errors import Refused

LARGEST_RECORD = 64 << 20
"""Bytes in one record: a larger length is damage or malice, and is refused before anything is allocated."""
BLOCK = 1 << 20
"""Bytes that are read at once: what is decoded of them together stays in the cache."""

_LENGTH = struct.Struct("<Q")
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_FRAME = _HEADER.size + _FOOTER.size


@dataclass(frozen=True, slots=True)
class Block:
    """Some records of a file, still in the bytes they were read in."""

    content: bytes
    first: int
    """The number of the first record in its file, from 1."""
    begins: NDArray[np.int64]
    """Where each record begins in `content`."""
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.begins)

    def records(self) -> list[bytes]:
        """The records themselves, copied."""
        content = self.content
        return [content[begin:end] for begin, end in zip(self.begins.tolist(), self.ends.tolist(), strict=True)]


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
                first += len(block)
                rest = block.content[block.ends[-1] + _FOOTER.size :] if len(block) else block.content
                if len(block):
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
    return length + _FOOTER.pack(_checksum(length)) + record + _FOOTER.pack(_checksum(record))


def is_tfrecord(start: bytes) -> bool:
    """Whether a file that begins like this (12 bytes are enough) is a TFRecord, plain or GZIP."""
    return _framed(start) or start[:2] == b"\x1f\x8b"


def _framed(start: bytes) -> bool:
    return len(start) >= _HEADER.size and _checksum(start[:8]) == _HEADER.unpack_from(start)[1]


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
    """All whole records in `content`, checked, and the length of the one that is cut off."""
    starts, checksums = _walked(content)
    lengths = _numbers(content, starts, "<u8")
    damaged = np.flatnonzero(_length_checksums(content, starts) != _numbers(content, starts + 8, "<u4"))
    if damaged.size:
        raise Refused(f"{path}: record {first + damaged[0]}: the checksum of its length is wrong: damaged, or not a TFRecord file")
    if (lengths > LARGEST_RECORD).any():
        large = int(np.argmax(lengths > LARGEST_RECORD))
        raise Refused(f"{path}: record {first + large}: {lengths[large]} bytes; at most {LARGEST_RECORD} are read")
    begins = starts + _HEADER.size
    ends = begins + lengths.astype(np.int64)
    whole = len(ends) - int(len(ends) > 0 and ends[-1] + _FOOTER.size > len(content))
    block = Block(content, first, begins[:whole], ends[:whole])
    damaged = np.flatnonzero(_masked(checksums[:whole]) != _numbers(content, block.ends, "<u4"))
    if damaged.size:
        raise Refused(f"{path}: record {first + damaged[0]}: the checksum of its content is wrong: damaged")
    return block


def _walked(content: bytes) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Where the records start, the last one perhaps cut off, and the checksums of what they hold; each step believes the length before."""
    starts, checksums, at, last = [], [], 0, len(content) - _HEADER.size
    length_at, header, footer = _LENGTH.unpack_from, _HEADER.size, _FOOTER.size
    while at <= last:
        begin = at + header
        end = begin + length_at(content, at)[0]
        starts.append(at)
        checksums.append(crc32c(content[begin:end]))
        at = end + footer
    return np.array(starts, np.int64), np.array(checksums, np.uint32)


def _numbers(content: bytes, at: NDArray[np.int64], kind: str) -> NDArray[Any]:
    """The little-endian numbers at these positions."""
    width = np.dtype(kind).itemsize
    return np.ndarray(max(0, len(content) - width + 1), kind, content, strides=(1,))[at]


def _length_checksums(content: bytes, starts: NDArray[np.int64]) -> NDArray[np.uint32]:
    """The masked checksums of all lengths at once: CRC is linear, so it is the sum (XOR) of what each byte contributes."""
    tables = _contributions()
    octets = np.frombuffer(content, np.uint8)
    checksums = np.full(len(starts), crc32c(bytes(8)), np.uint32)
    for i in range(8):
        checksums ^= tables[i][octets[starts + i]]
    return _masked(checksums)


@cache
def _contributions() -> NDArray[np.uint32]:
    """By position and value of a byte of the length: how the checksum differs from that of eight zeros."""
    lengths = (bytes(i) + bytes([value]) + bytes(7 - i) for i in range(8) for value in range(256))
    table = np.fromiter(map(crc32c, lengths), np.uint32, 8 * 256) ^ np.uint32(crc32c(bytes(8)))
    return table.reshape(8, 256)


def _masked(checksums: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """CRC32C, rotated and shifted by a constant, as TensorFlow masks it (tsl/lib/hash/crc32c.h)."""
    return (checksums >> np.uint32(15) | checksums << np.uint32(17)) + np.uint32(0xA282EAD8)


def _checksum(content: bytes) -> int:
    return int(_masked(np.array([crc32c(content)], np.uint32))[0])
