"""Gives each name of a feature or tensor a number, for all records at once: the same few names stand in every record."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tfcanary.core.errors import Refused
from tfcanary.tf.wire.vectors import MASKS, Octets, Positions, raise_unusual

MAX_NAMES = 10_000
"""The most different names in one file."""
MAX_NAME_SIZE = 256
"""The most bytes of one name."""

_SLOT_BITS = 12
_TO_SLOT = np.uint64(64 - _SLOT_BITS)
# Powers of the odd number 2**64 divided by the golden ratio: one factor for the length and one for each word.
_FACTORS = np.array([pow(0x9E3779B97F4A7C15, power, 1 << 64) for power in range(1, MAX_NAME_SIZE // 8 + 2)], np.uint64)


class NameTable:
    """The names that were read so far, numbered in the order in which they first occurred."""

    def __init__(self) -> None:
        self.names: dict[bytes, str] = {}
        self._hashes = np.zeros(0, np.uint64)
        """The hashes of all names, sorted."""
        self._order = np.zeros(0, np.int64)
        """The number of the name of each sorted hash."""
        self._slots = np.zeros(1 << _SLOT_BITS, np.int64)
        """The number of one name for each value of the first bits of a hash; names may share these bits."""
        self._lengths = np.full(1, -1)
        self._words: list[NDArray[np.uint64]] = []

    def add(self, names: Iterable[str]) -> None:
        """Add names that are decoded already; raises Refused where the table has too many names."""
        before = len(self.names)
        self.names.update((name.encode(), name) for name in names)
        if len(self.names) > before:
            self._update_index()

    def numbers(self, source: Octets, begins: Positions, ends: Positions, owners: Positions) -> Positions:
        """Return the number of the name at each of these positions; new names are added.

        Raises UnusualEncoding with the owners of names that are not UTF-8, and Refused where there are too many names or
        one is too long.
        """
        lengths = ends - begins
        if begins.size and lengths.max() > MAX_NAME_SIZE:
            raise Refused(f"a name of {lengths.max()} bytes; at most {MAX_NAME_SIZE} are read")
        words = _words(source, begins, lengths)
        hashes = _hashes(words, lengths)
        numbers, is_right = self._find(hashes, words, lengths)
        if not is_right.all():
            new = np.flatnonzero(~is_right)
            first = new[np.unique(hashes[new], return_index=True)[1]]
            self._learn(source, begins[first], ends[first], owners[first])
            numbers, is_right = self._find(hashes, words, lengths)
        if not is_right.all():
            raise Refused("some names were made to look like others: their hashes are equal")
        return numbers

    def _find(self, hashes: NDArray[np.uint64], words: list[NDArray[np.uint64]], lengths: Positions) -> tuple[Positions, NDArray[np.bool_]]:
        """Return the number of each name, and whether it is right: it is wrong where the table lacks the name."""
        numbers = self._slots[(hashes >> _TO_SLOT).astype(np.int64)]
        is_right = self._equals(numbers, words, lengths)
        if self.names and not is_right.all():
            wrong = np.flatnonzero(~is_right)
            place = np.minimum(np.searchsorted(self._hashes, hashes[wrong]), len(self.names) - 1)
            numbers[wrong] = self._order[place]
            is_right[wrong] = self._equals(numbers[wrong], [word[wrong] for word in words], lengths[wrong])
        return numbers, is_right

    def _equals(self, numbers: Positions, words: list[NDArray[np.uint64]], lengths: Positions) -> NDArray[np.bool_]:
        is_equal: NDArray[np.bool_] = self._lengths[numbers] == lengths
        for word, expected in zip(words, self._words, strict=False):
            is_equal &= expected[numbers] == word
        return is_equal

    def _learn(self, source: Octets, begins: Positions, ends: Positions, owners: Positions) -> None:
        unusual = []
        for begin, end, owner in zip(begins.tolist(), ends.tolist(), owners.tolist(), strict=True):
            octets = source.content[begin:end]
            try:
                self.names[octets] = octets.decode()
            except UnicodeDecodeError:
                unusual.append(owner)
        self._update_index()
        raise_unusual(np.array(unusual, np.int64))

    def _update_index(self) -> None:
        """Set the arrays by the names; raises Refused where there are too many."""
        if len(self.names) > MAX_NAMES:
            raise Refused(f"more than {MAX_NAMES} different names")
        self._lengths = np.array([len(octets) for octets in self.names], np.int64)
        begins = np.cumsum(self._lengths) - self._lengths
        self._words = _words(Octets(b"".join(self.names)), begins, self._lengths)
        hashes = _hashes(self._words, self._lengths)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]
        self._slots[(hashes >> _TO_SLOT).astype(np.int64)] = np.arange(len(hashes))


def _words(source: Octets, begins: Positions, lengths: Positions) -> list[NDArray[np.uint64]]:
    """Return the names' bytes as arrays of eight bytes each, with zeros after a name's end."""
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
    """Return a hash of each name; words of zeros add nothing, so it does not depend on the longest name among them."""
    hashes: NDArray[np.uint64] = lengths.astype(np.uint64) * _FACTORS[0]
    for word, factor in zip(words, _FACTORS[1:], strict=False):
        hashes ^= (word ^ word >> np.uint64(29)) * factor
    return hashes
