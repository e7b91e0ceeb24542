"""Reads and writes TFRecord files, plain or GZIP: recorded requests, warm-up files and examples.

A TFRecord file is a sequence of records: a length (8 bytes), the checksum of the length (4), the content, and the
checksum of the content (4). A checksum is a masked CRC32C. No byte is used before its checksum was compared, and no more
than one block, or one larger record, is in memory at once.
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
"""Most bytes of one record: a larger length is damage or an attack, and is refused before memory is allocated."""
BLOCK_SIZE = 1 << 20
"""Bytes that are read at once: the arrays that are decoded from them fit into the processor's cache."""

_LENGTH = struct.Struct("<Q")
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_FRAME_SIZE = _HEADER.size + _FOOTER.size


@dataclass(frozen=True, slots=True)
class RecordBlock:
    """Some consecutive records of a file, inside the bytes that were read at once."""

    content: bytes
    """The bytes that were read."""
    first: int
    """The number of the first record in its file, counted from 1."""
    begins: NDArray[np.int64]
    """The position of each record's first byte in `content`."""
    ends: NDArray[np.int64]
    """The position after each record's last byte in `content`."""

    def __len__(self) -> int:
        return len(self.begins)

    def records(self) -> list[bytes]:
        """Return a copy of each record."""
        content = self.content
        return [content[begin:end] for begin, end in zip(self.begins.tolist(), self.ends.tolist(), strict=True)]


def read(path: Path) -> Iterator[bytes]:
    """Yield every record of a file; raises Refused, with the file and the record's number, where one is damaged or cut off."""
    for block in read_blocks(path):
        yield from block.records()


def read_blocks(path: Path, size: int = BLOCK_SIZE) -> Iterator[RecordBlock]:
    """Yield the records of a file in blocks of about `size` bytes, or of one record where it is larger.

    Raises Refused, with the file and the record's number, where a record is damaged or cut off; the blocks before it are
    yielded first.
    """
    first, rest = 1, b""
    try:
        with _open(path) as file:
            while more := file.read(max(size, _missing_bytes(rest))):
                block = _parse_block(path, rest + more, first)
                first += len(block)
                rest = block.content[block.ends[-1] + _FOOTER.size :] if len(block) else block.content
                if len(block):
                    yield block
    except (OSError, EOFError, zlib.error) as error:
        raise Refused(f"{path}: record {first}: cannot be read ({error})") from error
    if rest:
        raise Refused(f"{path}: record {first}: the file ends in the middle of it")


def write(path: Path, records: Iterable[bytes], compressed: bool = False) -> None:
    """Write a new file with these records, as GZIP where `compressed`."""
    with gzip.open(path, "wb") if compressed else path.open("wb") as file:
        for record in records:
            file.write(frame(record))


def frame(record: bytes) -> bytes:
    """Return one record with its length and its checksums, as it stands in a file."""
    length = struct.pack("<Q", len(record))
    return length + _FOOTER.pack(_checksum(length)) + record + _FOOTER.pack(_checksum(record))


def is_tfrecord(start: bytes) -> bool:
    """Tell whether a file may be a TFRecord file, plain or GZIP, by its first 12 bytes."""
    return _has_header(start) or start[:2] == b"\x1f\x8b"


def _has_header(start: bytes) -> bool:
    """Tell whether the bytes begin with a length and the right checksum of it."""
    return len(start) >= _HEADER.size and _checksum(start[:8]) == _HEADER.unpack_from(start)[1]


def _open(path: Path) -> BinaryIO:
    # A plain file may begin like GZIP (a record of 35,615 bytes does); the length's checksum tells them apart.
    with path.open("rb") as file:
        start = file.read(_HEADER.size)
    compressed = is_tfrecord(start) and not _has_header(start)
    return gzip.open(path, "rb") if compressed else path.open("rb")  # type: ignore[return-value]  # GzipFile is a BinaryIO


def _missing_bytes(rest: bytes) -> int:
    """Return how many bytes follow until the record whose beginning is `rest` is whole; its header was checked before."""
    return _FRAME_SIZE + int(_HEADER.unpack_from(rest)[0]) - len(rest) if len(rest) >= _HEADER.size else 0


def _parse_block(path: Path, content: bytes, first: int) -> RecordBlock:
    """Return the whole records in `content`; raises Refused where a checksum is wrong or a length too large."""
    starts, checksums = _walk(content)
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
    block = RecordBlock(content, first, begins[:whole], ends[:whole])
    damaged = np.flatnonzero(_mask(checksums[:whole]) != _numbers(content, block.ends, "<u4"))
    if damaged.size:
        raise Refused(f"{path}: record {first + damaged[0]}: the checksum of its content is wrong: damaged")
    return block


def _walk(content: bytes) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Return where each record starts, and the CRC32C of its content; the last record may be cut off.

    The lengths are not checked here, so the caller compares all of them with their checksums.
    """
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
    """Return the little-endian numbers of dtype `kind` that start at these positions."""
    width = np.dtype(kind).itemsize
    return np.ndarray(max(0, len(content) - width + 1), kind, content, strides=(1,))[at]


def _length_checksums(content: bytes, starts: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return the masked checksums of all lengths at once.

    CRC is linear over XOR: the checksum of a length is that of eight zeros XOR what each of its bytes contributes.
    """
    tables = _contributions()
    octets = np.frombuffer(content, np.uint8)
    checksums = np.full(len(starts), crc32c(bytes(8)), np.uint32)
    for i in range(8):
        checksums ^= tables[i][octets[starts + i]]
    return _mask(checksums)


@cache
def _contributions() -> NDArray[np.uint32]:
    """Return, by the position and the value of one byte, the checksum of a length XOR the checksum of eight zeros."""
    lengths = (bytes(i) + bytes([value]) + bytes(7 - i) for i in range(8) for value in range(256))
    table = np.fromiter(map(crc32c, lengths), np.uint32, 8 * 256) ^ np.uint32(crc32c(bytes(8)))
    return table.reshape(8, 256)


def _mask(checksums: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return CRC32C checksums as TensorFlow writes them: rotated by 15 bits, plus a constant (tsl/lib/hash/crc32c.h)."""
    return (checksums >> np.uint32(15) | checksums << np.uint32(17)) + np.uint32(0xA282EAD8)


def _checksum(content: bytes) -> int:
    return int(_mask(np.array([crc32c(content)], np.uint32))[0])
