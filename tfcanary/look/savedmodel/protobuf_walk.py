"""Walks through a protobuf file without loading it; the base of the SavedModel reader.

The walk skips over large messages, and over messages of many tiny fields that would take fifty times their size when
parsed. Only small fields that a caller wants are read and parsed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from google.protobuf.message import DecodeError

SMALL = 2**20
"""Largest piece that is read and parsed at once, in bytes."""
STEPS = 500_000
"""Largest number of fields that are visited in one file: some seconds of work."""
WINDOW = 2**16
"""Bytes that are read at once."""
HEADER = 20
"""Bytes of the longest header of a field, which is its tag and its length."""
ROOM = 120 * 2**20
"""Largest estimated number of bytes that are kept in memory for one file."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Unreadable(ValueError):
    """Raised where bytes are damaged or too large, with the reason as its text; callers outside the package never get it."""


class Field(NamedTuple):
    """One field of a message: the places of its header, content and end in the file, and the value of a varint."""

    number: int
    kind: int
    at: int
    start: int
    end: int
    value: int = 0

    @property
    def size(self) -> int:
        """Number of bytes of the content."""
        return self.end - self.start


class Walk:
    """A file with the number of fields and bytes that may still be read from it."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.whole = Field(0, BYTES, 0, 0, size)
        self._file = file
        self._base, self._window = 0, b""
        self._steps = STEPS
        self._room = ROOM

    def fields(self, message: Field) -> Iterator[Field]:
        """The fields of a message, in the order of the file. Raises Unreadable where the message is damaged or has too many."""
        at = message.start
        while at < message.end:
            self._steps -= 1
            if self._steps < 0:
                raise Unreadable(f"more than {STEPS:,} fields: the graph is larger than the gate can check")
            field = self._field(at, message.end)
            yield field
            at = field.end

    def nested(self, message: Field, *numbers: int) -> Iterator[Field]:
        """The length-delimited fields of a message that have one of these numbers."""
        return (field for field in self.fields(message) if field.kind == BYTES and field.number in numbers)

    def read(self, field: Field, limit: int = SMALL) -> bytes:
        """The content of a field. Raises Unreadable where the field is longer than `limit` bytes."""
        if field.size > limit:
            raise Unreadable(f"field {field.number} at byte {field.at} has {field.size:,} bytes; at most {limit:,} are valid there")
        return self._bytes(field.start, field.end)

    def raw(self, field: Field) -> bytes:
        """The header and content of a field as bytes."""
        return self._bytes(field.at, field.end)

    def parse(self, kind: Any, field: Field) -> Any:
        """A small field, parsed as a message of the class `kind`. Raises Unreadable where it is too large or no such message."""
        return parse(kind, self.read(field))

    def keep(self, cost: int) -> None:
        """Count `cost` bytes that the caller keeps in memory. Raises Unreadable where the file takes too many."""
        self._room -= cost
        if self._room < 0:
            raise Unreadable("the graph is larger than the gate can check")

    def _bytes(self, start: int, end: int) -> bytes:
        """The bytes of the file from `start` to `end`; few bytes go through the window, which often holds them already."""
        if end - start > WINDOW // 2:
            self._file.seek(start)
            return self._file.read(end - start)
        at = self._move_window(start, end)
        return self._window[at : at + end - start]

    def _move_window(self, start: int, end: int) -> int:
        """The position of `start` in the window, moved where it does not yet hold everything up to `end`."""
        if not self._base <= start <= end <= self._base + len(self._window):
            self._file.seek(start)
            self._base, self._window = start, self._file.read(WINDOW)
        return start - self._base

    def _field(self, at: int, end: int) -> Field:
        place = at - self._base
        if not 0 <= place <= len(self._window) - HEADER:
            place = self._move_window(at, min(at + HEADER, self.whole.end))
        window = self._window
        # Most tags and lengths are one byte.
        tag, used = (window[place], place + 1) if place < len(window) and window[place] < 0x80 else number(window, place, at)
        key, kind = tag >> 3, tag & 7
        if tag >= 2**32:
            raise Unreadable(f"damaged at byte {at}: the number of the field is too large")
        value = 0
        if kind == BYTES:
            length, used = (window[used], used + 1) if used < len(window) and window[used] < 0x80 else number(window, used, at)
            start = at + used - place
            stop = start + length
        elif kind == VARINT:
            start = at + used - place
            value, used = number(window, used, at)
            stop = at + used - place
        elif kind in (FIXED32, FIXED64):
            start = at + used - place
            stop = start + (8 if kind == FIXED64 else 4)
        else:
            raise Unreadable(f"damaged at byte {at}: wire type {kind} does not occur in TensorFlow's messages")
        if key == 0 or stop > end:
            raise Unreadable(f"damaged or cut off: the field at byte {at} ends at byte {stop}, its message at {end}")
        return Field(key, kind, at, start, stop, value)


def parse(kind: Any, content: bytes) -> Any:
    """The bytes, parsed as a message of the class `kind`. Raises Unreadable where they are no such message."""
    try:
        return kind.FromString(content)
    except DecodeError as error:
        raise Unreadable(f"damaged: not a {kind.DESCRIPTOR.name} ({error})") from error


def number(content: bytes, at: int, offset: int | None = None) -> tuple[int, int]:
    """The varint at `at` and the position after it. `offset` is the place in the file that an error names.

    Raises Unreadable where the varint has no end.
    """
    value = shift = 0
    for index in range(at, min(at + 10, len(content))):
        byte = content[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), index + 1
        shift += 7
    raise Unreadable(f"damaged or cut off at byte {at if offset is None else offset}")
