"""Reads the index of a checkpoint, which names the shard and the bytes of each variable.

The index is a table in LevelDB's format (github.com/google/leveldb, doc/table_format.md): blocks of sorted keys with shared
prefixes, one block that points to these blocks, and a footer that points to that block. The key "" holds the header, and
every other key holds the entry of one tensor.
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
"""Largest number of bytes in a block, more than TensorFlow ever writes."""
NAME_BYTES = 300
ENTRIES = 100_000
"""Largest number of tensors in a checkpoint that the gate can check."""


class CompressedIndex(Unreadable):
    """Raised for an index of TensorFlow 1 that is compressed with Snappy: TensorFlow can read it, this module cannot."""


class Entry(NamedTuple):
    """The type, the shape and the place of one tensor of a checkpoint."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    """CRC32C of the tensor's bytes, masked."""
    sliced: bool
    """Whether the values are in entries of their own, one for each slice of the tensor."""


class Index(NamedTuple):
    """The number of shards that a checkpoint should have, and its tensors in the order of the shards."""

    shards: int
    entries: list[Entry]


def read_index(path: Path) -> Index:
    """Read an index and compare its checksums. Raises Unreadable where it is damaged, CompressedIndex where it is compressed."""
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
        raise Unreadable(f"a shape of {len(found.shape.dim):,} dimensions; TensorFlow supports {RANK}")
    shape = tuple(dim.size for dim in found.shape.dim)
    name = key[:NAME_BYTES].decode(errors="replace")
    return Entry(name, dtype_name(found.dtype), shape, found.shard_id, found.offset, found.size, found.crc32c, bool(found.slices))


def _records(path: Path) -> Iterator[tuple[bytes, bytes]]:
    size = left = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - FOOTER))
        footer = file.read(FOOTER)
        if len(footer) < FOOTER or struct.unpack("<Q", footer[-8:])[0] != MAGIC:
            raise Unreadable("damaged or cut off: it does not end with the footer of an index")
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
        raise CompressedIndex("is compressed, as TensorFlow 1 wrote it")
    return bytes(content[:length])


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a block; each key shares a prefix with the key before it."""
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
    """A CRC32C in the masked form in which LevelDB and TensorFlow store it."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def same_checksum(stored: int, checksum: int) -> bool:
    """Whether the checksum equals the stored one, which is masked."""
    return stored == _masked(checksum)
