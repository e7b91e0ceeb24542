"""Protobuf's wire format read for many messages at once: the same step for all of them, in numpy.

A step looks at one field of each message. It understands what every protobuf library writes; a message that is written
in another way (fields twice, split or unpacked lists, unknown fields) is reported as odd, and its reader has protobuf
write it anew. No position is followed before it was checked to lie inside its message, and no step is taken more often
than `MOST` times: bytes from anywhere are safe.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]

MOST = 10_000
"""Repeated fields in one message that are stepped through one after the other."""

_FAR = np.int64(1 << 40)
_TOPS = np.uint64(0x8080808080808080)
# By number of bytes: a mask for them, and the top bits of a varint that long.
MASKS = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)
_CONTINUED = np.array([0] + [0x8080808080808080 & (1 << 8 * (n - 1)) - 1 for n in range(1, 9)], np.uint64)
_PADDING = bytes(16)


class Odd(Exception):
    """Some messages are not written as expected; `which` are their indices."""

    def __init__(self, which: Positions) -> None:
        super().__init__(f"{len(which)} odd messages")
        self.which = which


@dataclass(frozen=True, slots=True)
class Members:
    """The fields of some messages, message by message."""

    messages: int
    owners: Positions
    """The index of the message."""
    tags: NDArray[np.uint8]
    numbers: Positions
    """The value of a whole number; the length of everything else."""
    begins: Positions
    ends: Positions

    def all(self, tag: int) -> Members:
        """Those with this tag."""
        kept = self.tags == tag
        return Members(self.messages, self.owners[kept], self.tags[kept], self.numbers[kept], self.begins[kept], self.ends[kept])

    def one(self, tag: int) -> Members:
        """The same for a field that is not repeated: exactly one each message, empty or 0 where it is not written."""
        some = self.all(tag)
        raise_odd(some.owners[1:][some.owners[1:] == some.owners[:-1]])
        numbers, begins, ends = np.zeros((3, self.messages), np.int64)
        numbers[some.owners], begins[some.owners], ends[some.owners] = some.numbers, some.begins, some.ends
        return Members(self.messages, np.arange(self.messages), np.full(self.messages, tag, np.uint8), numbers, begins, ends)


class Octets:
    """Bytes with messages in them, and what is found at many positions at once."""

    __slots__ = ("content", "octets", "words")

    def __init__(self, content: bytes) -> None:
        self.content = content + _PADDING
        self.octets = np.frombuffer(self.content, np.uint8)
        self.words = self._at_any("<u8")

    def _at_any(self, kind: str) -> NDArray[Any]:
        """A view whose element i is the number that starts at byte i."""
        width = np.dtype(kind).itemsize
        return np.ndarray(len(self.content) - width + 1, kind, self.content, strides=(1,))

    def fields(self, at: Positions, limits: Positions) -> tuple[NDArray[np.uint8], Positions, Positions]:
        """The tag of a length-delimited field at each position, where its content begins, and where it ends.

        Begin and end are both the limit, or the end lies far beyond it, where the field does not fit.
        """
        words = self.words[at]
        length, size = _small(words >> np.uint64(8))
        begins = at + (size + 1)
        ends = begins + length
        fits = ends <= limits
        if not fits.all():
            begins, ends = np.where(fits, begins, limits), np.where(fits, ends, _FAR)
        return words.astype(np.uint8), begins, ends

    def members(self, begins: Positions, ends: Positions) -> Members:
        """All fields of messages with different ones, in order: length-delimited ones and small whole numbers.

        Raises Odd where a message holds something else, or more fields than `MOST`.
        """
        active = np.flatnonzero(begins < ends)
        at, limits = begins[active], ends[active]
        counts = np.zeros(len(begins), np.int64)
        rounds: list[tuple[NDArray[Any], ...]] = []
        odd = [np.zeros(0, np.int64)]
        while active.size and len(rounds) < MOST:
            words = self.words[at]
            tags = words.astype(np.uint8)
            number, size = _small(words >> np.uint64(8))
            begin = at + (size + 1)
            end = begin + np.where(tags & 7 == 2, number, 0)
            good = (end <= limits) & (number < _FAR) & (tags >= 8) & (tags & 0x85 == 0)  # a tag of one byte; wire type 0 or 2
            if not good.all():
                odd.append(active[~good])
                active, tags, number, begin, end, limits = (part[good] for part in (active, tags, number, begin, end, limits))
            rounds.append((active, tags, number, begin, end))
            counts[active] += 1
            left = end < limits
            active, at, limits = active[left], end[left], limits[left]
        raise_odd(np.concatenate([*odd, active]))
        return _members(rounds, counts)

    def repeated(self, tag: int, begins: Positions, ends: Positions) -> tuple[Positions, Positions, Positions]:
        """Messages that hold nothing but fields of one tag: how many each, and where all of these begin and end, in order.

        Raises Odd where a message holds something else.
        """
        active = np.flatnonzero(begins < ends)
        at, limits = begins[active], ends[active]
        counts = np.zeros(len(begins), np.int64)
        rounds: list[tuple[Positions, Positions, Positions]] = []
        odd = [np.zeros(0, np.int64)]
        while active.size and len(rounds) < MOST:
            tags, begin, end = self.fields(at, limits)
            good = (tags == tag) & (end <= limits)
            if not good.all():
                odd.append(active[~good])
                active, begin, end, limits = active[good], begin[good], end[good], limits[good]
            rounds.append((active, begin, end))
            left = end < limits
            if not left.all():
                counts[active[~left]] = len(rounds)
                active, end, limits = active[left], end[left], limits[left]
            at = end
        raise_odd(np.concatenate([*odd, active]))
        first = np.cumsum(counts) - counts
        all_begins, all_ends = np.empty((2, int(counts.sum())), np.int64)
        for number, (which, begin, end) in enumerate(rounds):
            place = first[which] + number
            all_begins[place], all_ends[place] = begin, end
        return counts, all_begins, all_ends

    def fixed(self, kind: str, begins: Positions, ends: Positions) -> tuple[Positions, NDArray[Any]]:
        """Packed numbers of fixed width: how many in each span, and all of them. Raises Odd where a span does not fit."""
        width = np.dtype(kind).itemsize
        sizes = ends - begins
        raise_odd(np.flatnonzero(sizes & (width - 1)))
        counts = sizes >> (width.bit_length() - 1)  # width is a power of two, and dividing is ten times as slow
        return counts, self._at_any(kind)[spread(begins, counts, width)]

    def varints(self, begins: Positions, ends: Positions) -> tuple[Positions, NDArray[np.int64]]:
        """Packed varints: how many in each span, and all of them. Raises Odd where a span does not fit."""
        sizes = ends - begins
        words = self.words[begins]
        shown = np.clip(sizes, 0, 8)
        single = (sizes > 0) & (sizes <= 8) & (words & _TOPS & MASKS[shown] == _CONTINUED[shown])
        if single.all():
            return np.ones(len(begins), np.int64), self._numbers(begins, sizes)
        counts, at, lengths = self._boundaries(begins, sizes)
        return counts, self._numbers(at, lengths)

    def _boundaries(self, begins: Positions, sizes: Positions) -> tuple[Positions, Positions, Positions]:
        """Varints in each span, and where each begins and how long it is."""
        places = spread(begins, sizes, 1)
        is_last = self.octets[places] < 0x80
        spans = np.repeat(np.arange(len(begins)), sizes)
        span_ends = np.cumsum(sizes)[sizes > 0] - 1
        raise_odd(np.flatnonzero(sizes > 0)[~is_last[span_ends]])
        lasts = np.flatnonzero(is_last)
        firsts = np.concatenate([[0], lasts[:-1] + 1]) if lasts.size else lasts
        lengths = lasts - firsts + 1
        raise_odd(spans[lasts[lengths > 10]])
        at = places[firsts]
        raise_odd(spans[lasts[(lengths == 10) & (self.octets[at + 9] > 1)]])
        return np.bincount(spans[lasts], minlength=len(begins)).astype(np.int64), at, lengths

    def _numbers(self, at: Positions, lengths: Positions) -> NDArray[np.int64]:
        """The varints at these positions; seven bits of each byte, the lowest first."""
        bits = self.words[at] & MASKS[np.minimum(lengths, 8)] & ~_TOPS
        for shift, kept in ((1, 0x007F007F007F007F), (2, 0x00003FFF00003FFF), (4, 0x000000000FFFFFFF)):
            low = np.uint64(kept)
            bits = (bits & low) | ((bits & ~low) >> np.uint64(shift))
        if (long := np.flatnonzero(lengths > 8)).size:
            bits[long] |= (self.octets[at[long] + 8].astype(np.uint64) & np.uint64(0x7F)) << np.uint64(56)
            longest = long[lengths[long] == 10]
            bits[longest] |= self.octets[at[longest] + 9].astype(np.uint64) << np.uint64(63)
        return bits.view(np.int64)


@contextmanager
def owned(owners: Positions) -> Iterator[None]:
    """What is odd inside belongs to these: the index of a part becomes the index of the whole."""
    try:
        yield
    except Odd as odd:
        raise Odd(owners[odd.which]) from None


def raise_odd(which: Positions) -> None:
    """Raise Odd where there is any."""
    if which.size:
        raise Odd(which)


def spread(begins: Positions, counts: Positions, width: int) -> Positions:
    """The positions of all elements of these spans, one after the other."""
    if (counts == 1).all():
        return begins
    before = np.cumsum(counts) - counts
    return np.repeat(begins - width * before, counts) + width * np.arange(int(counts.sum()))


def _members(rounds: list[tuple[NDArray[Any], ...]], counts: Positions) -> Members:
    """What was found round by round, message by message: the k-th round found the k-th field."""
    first = np.cumsum(counts) - counts
    tags = np.empty(int(counts.sum()), np.uint8)
    owners, numbers, begins, ends = np.empty((4, len(tags)), np.int64)
    for number, found in enumerate(rounds):
        place = first[found[0]] + number
        owners[place], tags[place], numbers[place], begins[place], ends[place] = found
    return Members(len(counts), owners, tags, numbers, begins, ends)


def _small(words: NDArray[np.uint64]) -> tuple[Positions, Positions | np.int64]:
    """The varints of up to four bytes in these words, and their sizes; far beyond any buffer where one is longer."""
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
