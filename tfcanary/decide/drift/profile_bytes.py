"""Profiles as bytes: a mark with a version, then a compressed JSON header and the counts behind it.

Equal profiles give equal bytes before compression. The bytes that are read may come from anybody: sizes are bounded, every count is
checked, and nothing in them is executed.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tfcanary.core.errors import Refused
from tfcanary.decide.drift.cells import CELLS
from tfcanary.decide.drift.counts import ColumnCounts
from tfcanary.decide.drift.entity_spread import COARSE, GROUPS
from tfcanary.decide.drift.layout import ColumnKind, ColumnLayout
from tfcanary.decide.drift.profiles import Profile, by_name

MARK = b"tfcanary drift 2\n"
"""The number is the version of the format."""
LARGEST = 1 << 30
"""Largest number of bytes of a profile, unpacked."""


def to_bytes(profile: Profile) -> bytes:
    """Return a profile as bytes, to be written to a file; about 30 kB for a numeric column of a million rows."""
    header = {
        "rows": profile.rows,
        "dropped": profile.dropped,
        "entity": profile.entity,
        "columns": [_header_fields(tally) for tally in profile.tallies],
    }
    groups = [] if profile.by_group is None else [profile.by_group.astype("<u8").tobytes()]
    parts = [*groups, *(part for tally in profile.tallies for part in _arrays(tally))]
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    return MARK + zlib.compress(b"".join((len(text).to_bytes(4, "little"), text, *parts)))


def from_bytes(content: bytes) -> Profile:
    """Return the profile that `to_bytes` wrote. Raises Refused where the bytes were not written by it, or are damaged."""
    if not content.startswith(MARK):
        raise Refused(f"no drift profile of this version: it begins with {content[: len(MARK)]!r}, not with {MARK!r}")
    try:
        unpacked = _unpack(content[len(MARK) :])
        size = int.from_bytes(unpacked[:4], "little")
        header = json.loads(unpacked[4 : 4 + size])
        reader = _NumberReader(unpacked, 4 + size)
        entity = _checked_text(header["entity"])
        groups = reader.take(GROUPS, "<u8").astype(np.int64) if entity else None
        tallies = tuple(_tally(one, reader) for one in header["columns"])
        profile = Profile(_checked_count(header["rows"]), tallies, entity, groups, _checked_count(header["dropped"]))
    except (zlib.error, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise Refused(f"damaged drift profile ({type(error).__name__}: {str(error)[:100]})") from error
    _check(profile, reader)
    return profile


def _unpack(content: bytes) -> bytes:
    stream = zlib.decompressobj()
    unpacked = stream.decompress(content, LARGEST)
    if not stream.eof or stream.unused_data:
        raise ValueError(f"not complete, or more than {LARGEST} bytes")
    return unpacked


@dataclass(slots=True)
class _NumberReader:
    """Reads the bytes behind the header from the front."""

    content: bytes
    at: int

    def take(self, number: int, kind: Any) -> Any:
        """Return the next `number` numbers of a kind. Raises ValueError where there are fewer."""
        values = np.frombuffer(self.content, kind, number, self.at)
        self.at += values.nbytes
        return values


def _header_fields(tally: ColumnCounts) -> dict[str, Any]:
    column = tally.column
    return {
        "name": column.name,
        "kind": column.kind.value,
        "centres": column.centres,
        "positions": column.positions,
        "edges": column.edges,
        "spread": tally.spread is not None,
        "types": tally.types,
        "nulls": tally.nulls,
        "nans": tally.nans,
        "whole": tally.whole,
        "keys": len(tally.counts),
        "texts": not isinstance(tally.keys, np.ndarray),
    }


def _arrays(tally: ColumnCounts) -> list[bytes]:
    spread = [] if tally.spread is None else [tally.spread.astype("<u8").tobytes()]
    counts = tally.counts.astype("<u8").tobytes()
    if isinstance(tally.keys, np.ndarray):
        return [*spread, counts, tally.keys.astype("<u4").tobytes()]
    values = tally.keys.to_pylist()
    return [*spread, counts, np.array([len(value) for value in values], "<u4").tobytes(), b"".join(values)]


def _tally(one: dict[str, Any], reader: _NumberReader) -> ColumnCounts:
    number = _checked_count(one["keys"])
    centres = tuple(c for c in one["centres"] if isinstance(c, int | float) and np.isfinite(c))
    edges = tuple(_checked_count(edge) for edge in one["edges"])
    column = ColumnLayout(_checked_text(one["name"]), ColumnKind(one["kind"]), centres, _checked_count(one["positions"]), edges)
    spread = reader.take(GROUPS * (COARSE + 2), "<u8").astype(np.int64).reshape(GROUPS, COARSE + 2) if one["spread"] else None
    counts = reader.take(number, "<u8").astype(np.int64)
    keys = _texts(reader, number) if one["texts"] else reader.take(number, "<u4").astype(np.uint32)
    types = tuple(_checked_text(name) for name in one["types"])
    return ColumnCounts(column, types, _checked_count(one["nulls"]), _checked_count(one["nans"]), bool(one["whole"]), keys, counts, spread)


def _texts(reader: _NumberReader, number: int) -> Any:
    import pyarrow as pa

    lengths = reader.take(number, "<u4").astype(np.int64)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), number, [None, pa.py_buffer(offsets), pa.py_buffer(reader.take(int(offsets[-1]), "u1").tobytes())]
    )


def _check(profile: Profile, reader: _NumberReader) -> None:
    names = [tally.column.name for tally in profile.tallies]
    if names != sorted(set(names), key=by_name) or reader.at != len(reader.content):
        raise Refused("damaged drift profile (columns are not in order, or bytes are left over)")
    for tally in profile.tallies:
        if tally.rows != profile.rows or (tally.counts < 1).any() or not _keys_fit(tally) or not _spread_fits(tally, profile):
            raise Refused(f"damaged drift profile (the counts of column {tally.column.name[:80]!r} cannot be)")


def _spread_fits(tally: ColumnCounts, profile: Profile) -> bool:
    """Return whether each group has as many rows in the coarse table as in the whole profile."""
    if tally.spread is None or profile.by_group is None:
        return tally.spread is None and profile.by_group is None
    edges = tally.column.edges
    return bool((tally.spread >= 0).all() and (tally.spread.sum(axis=1) == profile.by_group).all()) and (
        len(edges) < COARSE and all(a < b for a, b in pairwise(edges)) and int(profile.by_group.sum()) == profile.rows
    )


def _keys_fit(tally: ColumnCounts) -> bool:
    """Return whether the keys fit the column's kind, rise, and lie in its cells, and whether its centres rise."""
    column = tally.column
    if not isinstance(tally.keys, np.ndarray):
        values = tally.keys.to_pylist()
        return column.kind is ColumnKind.CATEGORY and all(a < b for a, b in pairwise(values))
    most = CELLS * (len(column.centres) if column.kind.in_cells else 1)
    keys_rise = bool((tally.keys[1:] > tally.keys[:-1]).all() and (tally.keys < most).all())
    return keys_rise and all(a < b for a, b in pairwise(column.centres)) and bool(column.centres) == column.kind.in_cells


def _checked_count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError(f"{str(value)[:40]!r} is no count")
    return value


def _checked_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} is no text")
    return value
