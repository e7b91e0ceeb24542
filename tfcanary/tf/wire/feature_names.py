"""Names of features and tensors, told apart in numpy: the same few names stand in every record."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tfcanary.core.errors import Refused
from tfcanary.tf.wire.vectors import MASKS, Octets, Positions, raise_odd

MOST = 10_000
"""Different names in one file."""
LONGEST = 256
"""Bytes in a name."""

_SLOT_BITS = 12
_TO_SLOT = np.uint64(64 - _SLOT_BITS)
# Odd powers of the golden ratio's bits, one for the length and one for each word.
_FACTORS = np.array([pow(0x9E3779B97F4A7C15, power, 1 << 64) for power in range(1, LONGEST // 8 + 2)], np.uint64)


class Names:
    """The names met so far, each with a number, in the order of their first appearance."""

    def __init__(self) -> None:
        self.known: dict[bytes, str] = {}
        self._hashes = np.zeros(0, np.uint64)
        self._order = np.zeros(0, np.int64)
        self._table = np.zeros(1 << _SLOT_BITS, np.int64)
        """A guess by the first bits of the hash: right but for the few that share them."""
        self._lengths = np.full(1, -1)
        self._words: list[NDArray[np.uint64]] = []

    def add(self, names: Iterable[str]) -> None:
        """Names that somebody else has read; raises Refused where there are too many."""
        known = len(self.known)
        self.known.update((name.encode(), name) for name in names)
        if len(self.known) > known:
            self._bounded()
            self._index()

    def numbers(self, source: Octets, begins: Positions, ends: Positions, owners: Positions) -> Positions:
        """The number of each name; a new one is learnt.

        Raises Odd with the owners of names that are not UTF-8, and Refused where there are too many or too long ones.
        """
        lengths = ends - begins
        if begins.size and lengths.max() > LONGEST:
            raise Refused(f"a name of {lengths.max()} bytes; at most {LONGEST} are read")
        words = _words(source, begins, lengths)
        hashes = _hashes(words, lengths)
        numbers, right = self._find(hashes, words, lengths)
        if not right.all():
            new = np.flatnonzero(~right)
            first = new[np.unique(hashes[new], return_index=True)[1]]
            self._learn(source, begins[first], ends[first], owners[first])
            numbers, right = self._find(hashes, words, lengths)
        if not right.all():
            raise Refused("some names were made to look like others")
        return numbers

    def _find(self, hashes: NDArray[np.uint64], words: list[NDArray[np.uint64]], lengths: Positions) -> tuple[Positions, NDArray[np.bool_]]:
        """The number of each name that is known; and whether it is."""
        numbers = self._table[(hashes >> _TO_SLOT).astype(np.int64)]
        right = self._is(numbers, words, lengths)
        if self.known and not right.all():
            wrong = np.flatnonzero(~right)
            place = np.minimum(np.searchsorted(self._hashes, hashes[wrong]), len(self.known) - 1)
            numbers[wrong] = self._order[place]
            right[wrong] = self._is(numbers[wrong], [word[wrong] for word in words], lengths[wrong])
        return numbers, right

    def _is(self, numbers: Positions, words: list[NDArray[np.uint64]], lengths: Positions) -> NDArray[np.bool_]:
        right: NDArray[np.bool_] = self._lengths[numbers] == lengths
        for word, known in zip(words, self._words, strict=False):
            right &= known[numbers] == word
        return right

    def _learn(self, source: Octets, begins: Positions, ends: Positions, owners: Positions) -> None:
        odd = []
        for begin, end, owner in zip(begins.tolist(), ends.tolist(), owners.tolist(), strict=True):
            octets = source.content[begin:end]
            try:
                self.known[octets] = octets.decode()
            except UnicodeDecodeError:
                odd.append(owner)
        self._bounded()
        self._index()
        raise_odd(np.array(odd, np.int64))

    def _bounded(self) -> None:
        if len(self.known) > MOST:
            raise Refused(f"more than {MOST} different names")

    def _index(self) -> None:
        """Arrays of what is known: hashes in their order, and lengths and words by number."""
        self._lengths = np.array([len(octets) for octets in self.known], np.int64)
        begins = np.cumsum(self._lengths) - self._lengths
        self._words = _words(Octets(b"".join(self.known)), begins, self._lengths)
        hashes = _hashes(self._words, self._lengths)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]
        self._table[(hashes >> _TO_SLOT).astype(np.int64)] = np.arange(len(hashes))


def _words(source: Octets, begins: Positions, lengths: Positions) -> list[NDArray[np.uint64]]:
    """The names' bytes, eight at a time, with zeros after the end."""
    longest = int(lengths.max()) if lengths.size else 0
    words = []
    shortest = int(lengths.min()) if lengths.size else 0
    for first in range(0, longest, 8):
        if first + 8 <= shortest:
            words.append(source.words[begins + first])
        else:
            left = np.clip(lengths - first, 0, 8)
            words.append(source.words[begins + np.minimum(lengths, first)] & MASKS[left])
    return words


def _hashes(words: list[NDArray[np.uint64]], lengths: Positions) -> NDArray[np.uint64]:
    """Equal for equal names, however long the longest among them; words of zeros count for nothing."""
    hashes: NDArray[np.uint64] = lengths.astype(np.uint64) * _FACTORS[0]
    for word, factor in zip(words, _FACTORS[1:], strict=False):
        hashes ^= (word ^ word >> np.uint64(29)) * factor
    return hashes
