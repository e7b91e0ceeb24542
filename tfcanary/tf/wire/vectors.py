"""Reads protobuf's wire format for many messages at once, in numpy: each step reads one field of every message.

A step understands the encoding that every protobuf library writes. A message in another encoding (a field twice, a split
or unpacked list, unknown fields) is reported with UnusualEncoding, and the caller has protobuf serialize it again. The
bytes may come from anybody: a position is checked to lie inside its message before it is read, and no message is stepped
through more often than `MAX_FIELDS` times.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]

MAX_FIELDS = 10_000
"""The most fields of one message that are read one after the other."""

_FAR = np.int64(1 << 40)
"""A position beyond the end of any buffer."""
_TOP_BITS = np.uint64(0x8080808080808080)
MASKS = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)
"""By n, from 0 to 8: the first n bytes of a word."""
# By n: the top bits of a varint of n bytes; they are set in all bytes but the last.
_CONTINUATION_BITS = np.array([0] + [0x8080808080808080 & (1 << 8 * (n - 1)) - 1 for n in range(1, 9)], np.uint64)
_PADDING = bytes(16)


class UnusualEncoding(Exception):
    """Some messages are not encoded as protobuf libraries write them; `which` are their indices."""

    def __init__(self, which: Positions) -> None:
        super().__init__(f"{len(which)} messages in an unusual encoding")
        self.which = which


@dataclass(frozen=True, slots=True)
class MessageFields:
    """The fields of some messages, one message after the other."""

    messages: int
    """The number of messages."""
    owners: Positions
    """The index of the message of each field."""
    tags: NDArray[np.uint8]
    """The tag of each field: its number times eight, plus its wire type."""
    numbers: Positions
    """The value of each whole number; the length in bytes of every other field."""
    begins: Positions
    """The position of each field's content."""
    ends: Positions
    """The position after each field's content."""

    def all(self, tag: int) -> MessageFields:
        """Return the fields with this tag."""
        is_one = self.tags == tag
        return MessageFields(
            self.messages, self.owners[is_one], self.tags[is_one], self.numbers[is_one], self.begins[is_one], self.ends[is_one]
        )

    def one(self, tag: int) -> MessageFields:
        """Return exactly one field with this tag for each message, empty and 0 where the message lacks it.

        Raises UnusualEncoding where a message has the field twice.
        """
        some = self.all(tag)
        raise_unusual(some.owners[1:][some.owners[1:] == some.owners[:-1]])
        numbers, begins, ends = np.zeros((3, self.messages), np.int64)
        numbers[some.owners], begins[some.owners], ends[some.owners] = some.numbers, some.begins, some.ends
        return MessageFields(self.messages, np.arange(self.messages), np.full(self.messages, tag, np.uint8), numbers, begins, ends)


class Octets:
    """A buffer with messages in it, and functions that read at many positions at once."""

    __slots__ = ("content", "octets", "words")

    def __init__(self, content: bytes) -> None:
        self.content = content + _PADDING
        self.octets = np.frombuffer(self.content, np.uint8)
        self.words = self._at_any("<u8")

    def _at_any(self, kind: str) -> NDArray[Any]:
        """Return a view whose element i is the number of dtype `kind` that starts at byte i."""
        width = np.dtype(kind).itemsize
        return np.ndarray(len(self.content) - width + 1, kind, self.content, strides=(1,))

    def fields(self, at: Positions, limits: Positions) -> tuple[NDArray[np.uint8], Positions, Positions]:
        """Read a length-delimited field at each position: return the tags, and where the contents begin and end.

        Where a field does not fit, it begins at its limit and its end lies far beyond it.
        """
        words = self.words[at]
        length, size = _short_varints(words >> np.uint64(8))
        begins = at + (size + 1)
        ends = begins + length
        fits = ends <= limits
        if not fits.all():
            begins, ends = np.where(fits, begins, limits), np.where(fits, ends, _FAR)
        return words.astype(np.uint8), begins, ends

    def members(self, begins: Positions, ends: Positions) -> MessageFields:
        """Return all fields of messages whose fields differ, in order: length-delimited ones and small whole numbers.

        Raises UnusualEncoding where a message holds something else, or more than `MAX_FIELDS` fields.
        """
        active = np.flatnonzero(begins < ends)
        at, limits = begins[active], ends[active]
        counts = np.zeros(len(begins), np.int64)
        rounds: list[tuple[NDArray[Any], ...]] = []
        unusual = [np.zeros(0, np.int64)]
        while active.size and len(rounds) < MAX_FIELDS:
            words = self.words[at]
            tags = words.astype(np.uint8)
            number, size = _short_varints(words >> np.uint64(8))
            begin = at + (size + 1)
            end = begin + np.where(tags & 7 == 2, number, 0)
            good = (end <= limits) & (number < _FAR) & (tags >= 8) & (tags & 0x85 == 0)  # a tag of one byte; wire type 0 or 2
            if not good.all():
                unusual.append(active[~good])
                active, tags, number, begin, end, limits = (part[good] for part in (active, tags, number, begin, end, limits))
            rounds.append((active, tags, number, begin, end))
            counts[active] += 1
            has_more = end < limits
            active, at, limits = active[has_more], end[has_more], limits[has_more]
        raise_unusual(np.concatenate([*unusual, active]))
        return _by_message(rounds, counts)

    def repeated(self, tag: int, begins: Positions, ends: Positions) -> tuple[Positions, Positions, Positions]:
        """Read messages that hold fields of one tag only: return the number in each, and where all fields begin and end, in order.

        Raises UnusualEncoding where a message holds something else, or more than `MAX_FIELDS` fields.
        """
        active = np.flatnonzero(begins < ends)
        at, limits = begins[active], ends[active]
        counts = np.zeros(len(begins), np.int64)
        rounds: list[tuple[Positions, Positions, Positions]] = []
        unusual = [np.zeros(0, np.int64)]
        while active.size and len(rounds) < MAX_FIELDS:
            tags, begin, end = self.fields(at, limits)
            good = (tags == tag) & (end <= limits)
            if not good.all():
                unusual.append(active[~good])
                active, begin, end, limits = active[good], begin[good], end[good], limits[good]
            rounds.append((active, begin, end))
            has_more = end < limits
            if not has_more.all():
                counts[active[~has_more]] = len(rounds)
                active, end, limits = active[has_more], end[has_more], limits[has_more]
            at = end
        raise_unusual(np.concatenate([*unusual, active]))
        first = np.cumsum(counts) - counts
        all_begins, all_ends = np.empty((2, int(counts.sum())), np.int64)
        for number, (which, begin, end) in enumerate(rounds):
            place = first[which] + number
            all_begins[place], all_ends[place] = begin, end
        return counts, all_begins, all_ends

    def fixed(self, kind: str, begins: Positions, ends: Positions) -> tuple[Positions, NDArray[Any]]:
        """Read packed numbers of dtype `kind`: return the number in each span, and all values.

        Raises UnusualEncoding where the size of a span is no multiple of the number's size.
        """
        width = np.dtype(kind).itemsize
        sizes = ends - begins
        raise_unusual(np.flatnonzero(sizes & (width - 1)))
        counts = sizes >> (width.bit_length() - 1)  # width is a power of two, and dividing is ten times as slow
        return counts, self._at_any(kind)[spread(begins, counts, width)]

    def varints(self, begins: Positions, ends: Positions) -> tuple[Positions, NDArray[np.int64]]:
        """Read packed varints: return the number in each span, and all values; raises UnusualEncoding where one is cut off or too long."""
        sizes = ends - begins
        words = self.words[begins]
        in_word = np.clip(sizes, 0, 8)
        is_single = (sizes > 0) & (sizes <= 8) & (words & _TOP_BITS & MASKS[in_word] == _CONTINUATION_BITS[in_word])
        if is_single.all():
            return np.ones(len(begins), np.int64), self._numbers(begins, sizes)
        counts, at, lengths = self._boundaries(begins, sizes)
        return counts, self._numbers(at, lengths)

    def _boundaries(self, begins: Positions, sizes: Positions) -> tuple[Positions, Positions, Positions]:
        """Return the number of varints in each span, and where each varint begins and its length in bytes."""
        places = spread(begins, sizes, 1)
        is_last = self.octets[places] < 0x80
        spans = np.repeat(np.arange(len(begins)), sizes)
        span_ends = np.cumsum(sizes)[sizes > 0] - 1
        raise_unusual(np.flatnonzero(sizes > 0)[~is_last[span_ends]])
        lasts = np.flatnonzero(is_last)
        firsts = np.concatenate([[0], lasts[:-1] + 1]) if lasts.size else lasts
        lengths = lasts - firsts + 1
        raise_unusual(spans[lasts[lengths > 10]])
        at = places[firsts]
        raise_unusual(spans[lasts[(lengths == 10) & (self.octets[at + 9] > 1)]])
        return np.bincount(spans[lasts], minlength=len(begins)).astype(np.int64), at, lengths

    def _numbers(self, at: Positions, lengths: Positions) -> NDArray[np.int64]:
        """Return the varints at these positions: seven bits of each byte, the lowest bits first."""
        bits = self.words[at] & MASKS[np.minimum(lengths, 8)] & ~_TOP_BITS
        for shift, mask in ((1, 0x007F007F007F007F), (2, 0x00003FFF00003FFF), (4, 0x000000000FFFFFFF)):
            low = np.uint64(mask)
            bits = (bits & low) | ((bits & ~low) >> np.uint64(shift))
        if (long := np.flatnonzero(lengths > 8)).size:
            bits[long] |= (self.octets[at[long] + 8].astype(np.uint64) & np.uint64(0x7F)) << np.uint64(56)
            longest = long[lengths[long] == 10]
            bits[longest] |= self.octets[at[longest] + 9].astype(np.uint64) << np.uint64(63)
        return bits.view(np.int64)


@contextmanager
def attribute_to(owners: Positions) -> Iterator[None]:
    """Translate the indices in an UnusualEncoding: index i of a part becomes `owners[i]`, the index of the whole message."""
    try:
        yield
    except UnusualEncoding as error:
        raise UnusualEncoding(owners[error.which]) from None


def raise_unusual(which: Positions) -> None:
    """Raise UnusualEncoding with these indices, unless there are none."""
    if which.size:
        raise UnusualEncoding(which)


def spread(begins: Positions, counts: Positions, width: int) -> Positions:
    """Return the positions of all elements of these spans, one span after the other; an element has `width` bytes."""
    if (counts == 1).all():
        return begins
    before = np.cumsum(counts) - counts
    return np.repeat(begins - width * before, counts) + width * np.arange(int(counts.sum()))


def _by_message(rounds: list[tuple[NDArray[Any], ...]], counts: Positions) -> MessageFields:
    """Return the fields message by message; round k read the k-th field of every message that has so many."""
    first = np.cumsum(counts) - counts
    tags = np.empty(int(counts.sum()), np.uint8)
    owners, numbers, begins, ends = np.empty((4, len(tags)), np.int64)
    for number, (active, *fields) in enumerate(rounds):
        place = first[active] + number
        owners[place] = active
        tags[place], numbers[place], begins[place], ends[place] = fields
    return MessageFields(len(counts), owners, tags, numbers, begins, ends)


def _short_varints(words: NDArray[np.uint64]) -> tuple[Positions, Positions | np.int64]:
    """Return the varint at the start of each word, and its size in bytes; `_FAR` where it has more than four bytes."""
    if not (words & np.uint64(0x80)).any():
        return (words & np.uint64(0x7F)).astype(np.int64), np.int64(1)
    value, size = words & np.uint64(0x7F), np.ones(len(words), np.int64)
    goes_on = (words & np.uint64(0x80)) != 0
    for place in (1, 2, 3):
        octet = words >> np.uint64(8 * place)
        value |= np.where(goes_on, (octet & np.uint64(0x7F)) << np.uint64(7 * place), np.uint64(0))
        size += goes_on
        goes_on &= (octet & np.uint64(0x80)) != 0
    return np.where(goes_on, _FAR, value.astype(np.int64)), size
