"""Walks through a protobuf file without holding it: the reader of a SavedModel stands on it.

A message of 2 GiB and a message of two-byte fields that a parser would blow up fiftyfold are both only stepped over;
what is small and wanted is read and parsed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from google.protobuf.message import DecodeError

SMALL = 2**20
"""Largest piece that is read and parsed at once, in bytes."""
STEPS = 500_000
"""Fields that may be looked at in one file: some seconds of work."""
WINDOW = 2**16
"""Bytes that are read at once."""
HEADER = 20
"""Bytes of the longest tag and length."""
ROOM = 120 * 2**20
"""Estimated bytes that may be kept of one file."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Unreadable(ValueError):
    """The bytes are not what they should be; the text is the whole reason. It never leaves the package."""


class Field(NamedTuple):
    """One field: where its header, its content and its end lie in the file; `value` of a varint."""

    number: int
    kind: int
    at: int
    start: int
    end: int
    value: int = 0

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self.end - self.start


class Walk:
    """A file, and how many steps and bytes may still be spent on it."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.whole = Field(0, BYTES, 0, 0, size)
        self._file = file
        self._base, self._window = 0, b""
        self._steps = STEPS
        self._room = ROOM

    def fields(self, message: Field) -> Iterator[Field]:
        """The fields of a message, in the order of the file."""
        at = message.start
        while at < message.end:
            self._steps -= 1
            if self._steps < 0:
                raise Unreadable(f"more than {STEPS:,} fields: larger than any graph that the gate can judge")
            field = self._field(at, message.end)
            yield field
            at = field.end

    def nested(self, message: Field, *numbers: int) -> Iterator[Field]:
        """The length-delimited fields with these numbers."""
        return (field for field in self.fields(message) if field.kind == BYTES and field.number in numbers)

    def read(self, field: Field, limit: int = SMALL) -> bytes:
        """The content of a small field."""
        if field.size > limit:
            raise Unreadable(f"field {field.number} at byte {field.at} has {field.size:,} bytes, at most {limit:,} make sense there")
        return self._bytes(field.start, field.end)

    def raw(self, field: Field) -> bytes:
        """Header and content of a small field."""
        return self._bytes(field.at, field.end)

    def parse(self, kind: Any, field: Field) -> Any:
        """A small field as a message of this class."""
        return parse(kind, self.read(field))

    def keep(self, cost: int) -> None:
        """Account for something that is kept in memory."""
        self._room -= cost
        if self._room < 0:
            raise Unreadable("the graph is larger than any that the gate can judge")

    def _bytes(self, start: int, end: int) -> bytes:
        """These bytes, through the window where they are few: a node's header and content mostly lie in one."""
        if end - start > WINDOW // 2:
            self._file.seek(start)
            return self._file.read(end - start)
        at = self._show(start, end)
        return self._window[at : at + end - start]

    def _show(self, start: int, end: int) -> int:
        """Where `start` lies in the window, which now reaches to `end`, or to the end of the file."""
        if not self._base <= start <= end <= self._base + len(self._window):
            self._file.seek(start)
            self._base, self._window = start, self._file.read(WINDOW)
        return start - self._base

    def _field(self, at: int, end: int) -> Field:
        shown = at - self._base
        if not 0 <= shown <= len(self._window) - HEADER:
            shown = self._show(at, min(at + HEADER, self.whole.end))
        window = self._window
        # Most tags and lengths are one byte.
        tag, used = (window[shown], shown + 1) if shown < len(window) and window[shown] < 0x80 else number(window, shown, at)
        key, kind = tag >> 3, tag & 7
        if tag >= 2**32:
            raise Unreadable(f"damaged at byte {at}: no field has such a number")
        value = 0
        if kind == BYTES:
            length, used = (window[used], used + 1) if used < len(window) and window[used] < 0x80 else number(window, used, at)
            start = at + used - shown
            stop = start + length
        elif kind == VARINT:
            start = at + used - shown
            value, used = number(window, used, at)
            stop = at + used - shown
        elif kind in (FIXED32, FIXED64):
            start = at + used - shown
            stop = start + (8 if kind == FIXED64 else 4)
        else:
            raise Unreadable(f"damaged at byte {at}: wire type {kind} does not occur in TensorFlow's messages")
        if key == 0 or stop > end:
            raise Unreadable(f"damaged or cut off: the field at byte {at} ends at byte {stop}, its message at {end}")
        return Field(key, kind, at, start, stop, value)


def parse(kind: Any, content: bytes) -> Any:
    """A message of this class; raises Unreadable where the bytes are none."""
    try:
        return kind.FromString(content)
    except DecodeError as error:
        raise Unreadable(f"damaged: not a {kind.DESCRIPTOR.name} ({error})") from error


def number(content: bytes, at: int, offset: int | None = None) -> tuple[int, int]:
    """The variable-length number at `at`, and where it ends; `offset` is where that lies in the file, for the sentence."""
    value = shift = 0
    for index in range(at, min(at + 10, len(content))):
        byte = content[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), index + 1
        shift += 7
    raise Unreadable(f"damaged or cut off at byte {at if offset is None else offset}")
