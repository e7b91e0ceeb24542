"""Records that are written alike: the same features in the same order, with a few comparisons of whole words for each.

Whoever writes a file of examples writes one like the next. A feature with a name of n bytes and values of p bytes is then

    0a L  0a n <name>  12 L-n-4  kind L-n-6  0a L-n-8  <values>        L = n + p + 8, in one byte

so all its headers follow from one of its bytes. What is written in another way is left to the general decoder (`examples`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcanary.tf.wire.decoded_columns import Column, Texts
from tfcanary.tf.wire.vectors import Octets, Positions

ENTRY, KEY, VALUE = 0x0A, 0x0A, 0x12
TEXTS, FLOATS, INTEGERS = 0x0A, 0x12, 0x1A
KINDS = (TEXTS, FLOATS, INTEGERS)

_AROUND = 10
"""Bytes of a feature's headers beside its name; two of them are not counted in its length."""
_LONGEST = 2 + 0x7F
"""Bytes of a feature whose length is one byte."""
_HIGH = np.int64(~0x7F)


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature as one record has it."""

    name: str
    kind: int
    length: int
    """L of that record: in another one the headers differ by the difference of the two."""
    headers: tuple[tuple[int, np.uint64, np.uint64], ...]
    """From which byte on, which eight bytes, and a one in those of them that grow with L."""
    size: int
    """Bytes of the headers and the name."""

    def values(self, source: Octets, at: Positions, limits: Positions) -> tuple[Positions, Positions] | None:
        """Where the values of this feature begin and end, if it stands at each of these positions; None where it does not."""
        if (at + self.size > limits).any():
            return None
        lengths = ((source.words[at] >> np.uint64(8)) & np.uint64(0xFF)).astype(np.int64)
        others = (lengths - self.length).view(np.uint64)
        begins, ends = at + self.size, at + lengths + 2
        differ = ((lengths | ends - begins) & _HIGH).view(np.uint64)
        for offset, word, grows in self.headers:
            differ |= source.words[at + offset] ^ (word + others * grows)
        return None if differ.any() else (begins, ends)

    def column(self, source: Octets, begins: Positions, ends: Positions) -> Column:
        """The values; raises Odd with the records whose bytes hold no whole numbers."""
        if self.kind == TEXTS:
            return Column(np.ones_like(begins), Texts(source.content, begins, ends))
        return Column(*numbers(source, self.kind, begins, ends))


def numbers(source: Octets, kind: int, begins: Positions, ends: Positions) -> tuple[Positions, NDArray[Any]]:
    """Packed floats or whole numbers: how many in each span, and all of them. Raises Odd where a span does not fit."""
    return source.fixed("<f4", begins, ends) if kind == FLOATS else source.varints(begins, ends)


def alike(source: Octets, begins: Positions, ends: Positions) -> dict[str, Column]:
    """The columns of messages of type Features that are all written like the first one; none where they are not.

    Raises Odd with those whose values cannot be read.
    """
    features = _features(source.content[begins[0] : ends[0]]) if len(begins) else ()
    found, at = [], begins
    for feature in features:
        if (where := feature.values(source, at, ends)) is None:
            return {}
        found.append((feature, *where))
        at = where[1]
    if (at != ends).any():
        return {}
    return {feature.name: feature.column(source, *where) for feature, *where in found}


def _features(message: bytes) -> tuple[Feature, ...]:
    """The features of one message; none where it is written in another way."""
    found: dict[str, Feature] = {}
    at = 0
    while at < len(message):
        feature = _feature(message[at : at + _LONGEST])
        if feature is None or feature.name in found:
            return ()
        found[feature.name] = feature
        at += feature.length + 2
    return tuple(found.values()) if at == len(message) else ()


def _feature(entry: bytes) -> Feature | None:
    """The one that these bytes begin with; None where its headers are not what they ought to be."""
    if len(entry) < _AROUND:
        return None
    length, name = entry[1], entry[3]
    size = name + _AROUND
    if not size <= length + 2 <= len(entry) or entry[size - 4] not in KINDS:
        return None
    kind = entry[size - 4]
    ought = bytes(
        (ENTRY, length, KEY, name, *entry[4 : 4 + name], VALUE, length - name - 4, kind, length - name - 6, ENTRY, length - size + 2)
    )
    try:
        return Feature(entry[4 : 4 + name].decode(), kind, length, _headers(ought), size) if entry[:size] == ought else None
    except UnicodeDecodeError:
        return None


def _headers(ought: bytes) -> tuple[tuple[int, Any, Any], ...]:
    """Eight bytes at a time; the last eight overlap those before."""
    grows = bytearray(len(ought))
    for place in (1, -5, -3, -1):
        grows[place] = 1
    words: NDArray[Any] = np.ndarray(len(ought) - 7, "<u8", ought, strides=(1,))
    growing: NDArray[Any] = np.ndarray(len(ought) - 7, "<u8", bytes(grows), strides=(1,))
    offsets = [*range(0, len(ought) - 8, 8), len(ought) - 8]
    return tuple((offset, words[offset], growing[offset]) for offset in offsets)
