"""Decodes records that have one layout: the same features in the same order, with a few comparisons of words for each feature.

A program that writes a file of examples usually writes all of them alike. A feature with a name of n bytes and values of
p bytes then is, in hexadecimal where it is a constant,

    0a L  0a n <name>  12 L-n-4  kind L-n-6  0a L-n-8  <values>        L = n + p + 8, in one byte

so all bytes of its headers follow from L and the name. Records with another layout are left to the general decoder
(`examples`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcanary.tf.wire.decoded_columns import RaggedColumn, Texts
from tfcanary.tf.wire.vectors import Octets, Positions

# Tags of the fields of Features, of its map entries, and of Feature (example.proto).
ENTRY, KEY, VALUE = 0x0A, 0x0A, 0x12
TEXTS, FLOATS, INTEGERS = 0x0A, 0x12, 0x1A
KINDS = (TEXTS, FLOATS, INTEGERS)

_HEADERS_SIZE = 10
"""Bytes of a feature's headers without its name; two of them are not counted in L."""
_MAX_SIZE = 2 + 0x7F
"""The most bytes of a feature whose L is one byte."""
_HIGH = np.int64(~0x7F)


@dataclass(frozen=True, slots=True)
class FeatureLayout:
    """The layout of one feature, taken from one record."""

    name: str
    kind: int
    """The tag of the list of values, one of KINDS."""
    length: int
    """L of that record: in another record the headers differ by the difference of the two L."""
    headers: tuple[tuple[int, np.uint64, np.uint64], ...]
    """Parts of eight bytes: their offset, the bytes themselves, and a 1 in each of them that grows with L."""
    size: int
    """Bytes of the headers and the name."""

    def values(self, source: Octets, at: Positions, limits: Positions) -> tuple[Positions, Positions] | None:
        """Return where the values of this feature begin and end; None where it does not stand at every position `at`."""
        if (at + self.size > limits).any():
            return None
        lengths = ((source.words[at] >> np.uint64(8)) & np.uint64(0xFF)).astype(np.int64)
        growth = (lengths - self.length).view(np.uint64)
        begins, ends = at + self.size, at + lengths + 2
        differences = ((lengths | ends - begins) & _HIGH).view(np.uint64)
        for offset, word, grows in self.headers:
            differences |= source.words[at + offset] ^ (word + growth * grows)
        return None if differences.any() else (begins, ends)

    def column(self, source: Octets, begins: Positions, ends: Positions) -> RaggedColumn:
        """Return the values in these spans; raises UnusualEncoding with the records whose numbers cannot be read."""
        if self.kind == TEXTS:
            return RaggedColumn(np.ones_like(begins), Texts(source.content, begins, ends))
        return RaggedColumn(*numbers(source, self.kind, begins, ends))


def numbers(source: Octets, kind: int, begins: Positions, ends: Positions) -> tuple[Positions, NDArray[Any]]:
    """Read packed FLOATS or INTEGERS: return the number in each span, and all values. Raises UnusualEncoding where a span does not fit."""
    return source.fixed("<f4", begins, ends) if kind == FLOATS else source.varints(begins, ends)


def uniform_columns(source: Octets, begins: Positions, ends: Positions) -> dict[str, RaggedColumn]:
    """Return the columns of Features messages that have one layout, by name; an empty dictionary where they do not.

    Raises UnusualEncoding with the messages whose numbers cannot be read.
    """
    layouts = _layouts(source.content[begins[0] : ends[0]]) if len(begins) else ()
    spans, at = [], begins
    for layout in layouts:
        if (span := layout.values(source, at, ends)) is None:
            return {}
        spans.append((layout, *span))
        at = span[1]
    if (at != ends).any():
        return {}
    return {layout.name: layout.column(source, *span) for layout, *span in spans}


def _layouts(message: bytes) -> tuple[FeatureLayout, ...]:
    """Return the layouts of the features in one message; an empty tuple where its encoding is another one."""
    layouts: dict[str, FeatureLayout] = {}
    at = 0
    while at < len(message):
        layout = _layout(message[at : at + _MAX_SIZE])
        if layout is None or layout.name in layouts:
            return ()
        layouts[layout.name] = layout
        at += layout.length + 2
    return tuple(layouts.values()) if at == len(message) else ()


def _layout(entry: bytes) -> FeatureLayout | None:
    """Return the layout of the feature that these bytes begin with; None where its encoding is another one."""
    if len(entry) < _HEADERS_SIZE:
        return None
    length, name = entry[1], entry[3]
    size = name + _HEADERS_SIZE
    if not size <= length + 2 <= len(entry) or entry[size - 4] not in KINDS:
        return None
    kind = entry[size - 4]
    expected = bytes(
        (ENTRY, length, KEY, name, *entry[4 : 4 + name], VALUE, length - name - 4, kind, length - name - 6, ENTRY, length - size + 2)
    )
    try:
        return FeatureLayout(entry[4 : 4 + name].decode(), kind, length, _headers(expected), size) if entry[:size] == expected else None
    except UnicodeDecodeError:
        return None


def _headers(expected: bytes) -> tuple[tuple[int, Any, Any], ...]:
    """Return the headers in parts of eight bytes; the last part overlaps the one before it."""
    grows = bytearray(len(expected))
    for place in (1, -5, -3, -1):  # the four lengths
        grows[place] = 1
    words: NDArray[Any] = np.ndarray(len(expected) - 7, "<u8", expected, strides=(1,))
    growing: NDArray[Any] = np.ndarray(len(expected) - 7, "<u8", bytes(grows), strides=(1,))
    offsets = [*range(0, len(expected) - 8, 8), len(expected) - 8]
    return tuple((offset, words[offset], growing[offset]) for offset in offsets)
