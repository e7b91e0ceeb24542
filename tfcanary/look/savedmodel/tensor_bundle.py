"""Reads the index of a checkpoint: which variable lies where in which shard.

The index is a table as LevelDB writes it (github.com/google/leveldb, doc/table_format.md): blocks of sorted keys with
shared prefixes, a block that points to them, and a footer that points to that. The key "" holds the header, every other
one the entry of a tensor.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from google_crc32c import value as crc32c

from tfcanary.look.savedmodel.facts import dtype_name
from tfcanary.look.savedmodel.nodes import RANK
from tfcanary.look.savedmodel.protobuf_walk import Unreadable, number, parse
from tfcanary.tf.wire import messages

FOOTER = 48
MAGIC = 0xDB4775248B80FB57
TRAILER = 5
BLOCK_BYTES = 2**24
"""Larger than any block that TensorFlow writes."""
NAME_BYTES = 300
ENTRIES = 100_000
"""More tensors than any checkpoint that the gate can judge."""


class Compressed(Unreadable):
    """An index of TensorFlow 1, compressed with Snappy: TensorFlow reads it, this does not."""


class Entry(NamedTuple):
    """Where a tensor lies, and what it is."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    """CRC32C of its bytes, masked."""
    sliced: bool
    """Its values lie in entries of their own."""


class Index(NamedTuple):
    """How many shards there should be, and every tensor, in the order of the shards."""

    shards: int
    entries: list[Entry]


def read_index(path: Path) -> Index:
    """The whole index, checksums compared. Raises Unreadable where it is damaged, Compressed where it is of the old kind."""
    header: Any = None
    entries: dict[bytes, Entry] = {}
    try:
        for key, value in _records(path):
            if key:
                entries[key] = _entry(key, value)
            else:
                header = parse(messages.BundleHeaderProto, value)
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror})") from error
    if header is None:
        raise Unreadable("has no header")
    if header.endianness:
        raise Unreadable("was written on a big-endian machine")
    return Index(header.num_shards, sorted(entries.values(), key=lambda one: (one.shard, one.offset)))


def _entry(key: bytes, value: bytes) -> Entry:
    found = parse(messages.BundleEntryProto, value)
    if len(found.shape.dim) > RANK:
        raise Unreadable(f"a shape of {len(found.shape.dim):,} dimensions; TensorFlow knows {RANK}")
    shape = tuple(dim.size for dim in found.shape.dim)
    name = key[:NAME_BYTES].decode(errors="replace")
    return Entry(name, dtype_name(found.dtype), shape, found.shard_id, found.offset, found.size, found.crc32c, bool(found.slices))


def _records(path: Path) -> Iterator[tuple[bytes, bytes]]:
    size = left = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - FOOTER))
        footer = file.read(FOOTER)
        if len(footer) < FOOTER or struct.unpack("<Q", footer[-8:])[0] != MAGIC:
            raise Unreadable("damaged or cut off: it does not end as an index does")
        _, at = _handle(footer, 0)
        where, _ = _handle(footer, at)
        count = 0
        for _, pointer in _entries(_block(file, size, where)):
            handle, _ = _handle(pointer, 0)
            left -= handle[1] + TRAILER
            if left < 0:
                raise Unreadable("damaged: it points to the same block more than once")
            for record in _entries(_block(file, size, handle)):
                count += 1
                if count > ENTRIES:
                    raise Unreadable(f"more than {ENTRIES:,} tensors")
                yield record


def _handle(content: bytes, at: int) -> tuple[tuple[int, int], int]:
    offset, at = number(content, at)
    length, at = number(content, at)
    return (offset, length), at


def _block(file: Any, size: int, handle: tuple[int, int]) -> bytes:
    offset, length = handle
    if length > BLOCK_BYTES or offset + length + TRAILER > size:
        raise Unreadable(f"damaged or cut off: a block of {length:,} bytes at byte {offset:,}")
    file.seek(offset)
    content = file.read(length + TRAILER)
    if _masked(crc32c(content[: length + 1])) != struct.unpack("<I", content[-4:])[0]:
        raise Unreadable(f"damaged: the checksum of the block at byte {offset:,} is wrong")
    if content[length] != 0:
        raise Compressed("is compressed, as TensorFlow 1 wrote it")
    return bytes(content[:length])


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values; each key repeats the beginning of the one before."""
    restarts = struct.unpack("<I", block[-4:])[0] if len(block) >= 4 else 0
    end, at, key = len(block) - 4 * (restarts + 1), 0, b""
    while at < end:
        shared, at = number(block, at)
        fresh, at = number(block, at)
        length, at = number(block, at)
        if shared > len(key) or at + fresh + length > end:
            raise Unreadable("damaged: an entry is longer than its block")
        key = key[:shared] + block[at : at + fresh]
        at += fresh
        yield key, block[at : at + length]
        at += length


def _masked(checksum: int) -> int:
    """As LevelDB and TensorFlow store a CRC32C."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def same_checksum(stored: int, checksum: int) -> bool:
    """Whether a CRC32C is the one that is stored in an entry."""
    return stored == _masked(checksum)
