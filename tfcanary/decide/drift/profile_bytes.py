"""Profiles as bytes: a mark with a version, then a compressed header in JSON and the counts behind it.

The same profile always gives the same bytes before compression. What is read may come from anywhere: sizes are bounded, every count
is checked, and nothing in it is executed.
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
from tfcanary.decide.drift.counts import Tally
from tfcanary.decide.drift.entity_spread import COARSE, GROUPS
from tfcanary.decide.drift.layout import Column, Kind
from tfcanary.decide.drift.profiles import Profile, by_name

MARK = b"tfcanary drift 2\n"
"""The number is the version of the format."""
LARGEST = 1 << 30
"""Bytes of a profile, unpacked."""


def to_bytes(profile: Profile) -> bytes:
    """A profile to be written to a file; about 30 kB a numeric column of a million rows."""
    header = {
        "rows": profile.rows,
        "dropped": profile.dropped,
        "entity": profile.entity,
        "columns": [_described(tally) for tally in profile.tallies],
    }
    groups = [] if profile.by_group is None else [profile.by_group.astype("<u8").tobytes()]
    parts = [*groups, *(part for tally in profile.tallies for part in _arrays(tally))]
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    return MARK + zlib.compress(b"".join((len(text).to_bytes(4, "little"), text, *parts)))


def from_bytes(content: bytes) -> Profile:
    """The inverse of `to_bytes`; raises Refused where the bytes are none of its making."""
    if not content.startswith(MARK):
        raise Refused(f"no drift profile of this version: it begins with {content[: len(MARK)]!r}, not with {MARK!r}")
    try:
        unpacked = _unpacked(content[len(MARK) :])
        size = int.from_bytes(unpacked[:4], "little")
        header = json.loads(unpacked[4 : 4 + size])
        rest = _Rest(unpacked, 4 + size)
        entity = _text(header["entity"])
        groups = rest.take(GROUPS, "<u8").astype(np.int64) if entity else None
        tallies = tuple(_tally(one, rest) for one in header["columns"])
        profile = Profile(_whole(header["rows"]), tallies, entity, groups, _whole(header["dropped"]))
    except (zlib.error, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise Refused(f"damaged drift profile ({type(error).__name__}: {str(error)[:100]})") from error
    _check(profile, rest)
    return profile


def _unpacked(content: bytes) -> bytes:
    stream = zlib.decompressobj()
    unpacked = stream.decompress(content, LARGEST)
    if not stream.eof or stream.unused_data:
        raise ValueError(f"not complete, or more than {LARGEST} bytes")
    return unpacked


@dataclass(slots=True)
class _Rest:
    """The bytes behind the header, read from the front."""

    content: bytes
    at: int

    def take(self, number: int, kind: Any) -> Any:
        """So many numbers of a kind; raises ValueError where there are fewer."""
        values = np.frombuffer(self.content, kind, number, self.at)
        self.at += values.nbytes
        return values


def _described(tally: Tally) -> dict[str, Any]:
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


def _arrays(tally: Tally) -> list[bytes]:
    spread = [] if tally.spread is None else [tally.spread.astype("<u8").tobytes()]
    counts = tally.counts.astype("<u8").tobytes()
    if isinstance(tally.keys, np.ndarray):
        return [*spread, counts, tally.keys.astype("<u4").tobytes()]
    values = tally.keys.to_pylist()
    return [*spread, counts, np.array([len(value) for value in values], "<u4").tobytes(), b"".join(values)]


def _tally(one: dict[str, Any], rest: _Rest) -> Tally:
    number = _whole(one["keys"])
    centres = tuple(c for c in one["centres"] if isinstance(c, int | float) and np.isfinite(c))
    edges = tuple(_whole(edge) for edge in one["edges"])
    column = Column(_text(one["name"]), Kind(one["kind"]), centres, _whole(one["positions"]), edges)
    spread = rest.take(GROUPS * (COARSE + 2), "<u8").astype(np.int64).reshape(GROUPS, COARSE + 2) if one["spread"] else None
    counts = rest.take(number, "<u8").astype(np.int64)
    keys = _texts(rest, number) if one["texts"] else rest.take(number, "<u4").astype(np.uint32)
    types = tuple(_text(name) for name in one["types"])
    return Tally(column, types, _whole(one["nulls"]), _whole(one["nans"]), bool(one["whole"]), keys, counts, spread)


def _texts(rest: _Rest, number: int) -> Any:
    import pyarrow as pa

    lengths = rest.take(number, "<u4").astype(np.int64)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), number, [None, pa.py_buffer(offsets), pa.py_buffer(rest.take(int(offsets[-1]), "u1").tobytes())]
    )


def _check(profile: Profile, rest: _Rest) -> None:
    names = [tally.column.name for tally in profile.tallies]
    if names != sorted(set(names), key=by_name) or rest.at != len(rest.content):
        raise Refused("damaged drift profile (columns are not in order, or bytes are left over)")
    for tally in profile.tallies:
        if tally.rows != profile.rows or (tally.counts < 1).any() or not _rising(tally) or not _spread_fits(tally, profile):
            raise Refused(f"damaged drift profile (the counts of column {tally.column.name[:80]!r} cannot be)")


def _spread_fits(tally: Tally, profile: Profile) -> bool:
    """Whether each group has as many rows in the coarse table as in the whole profile."""
    if tally.spread is None or profile.by_group is None:
        return tally.spread is None and profile.by_group is None
    edges = tally.column.edges
    return bool((tally.spread >= 0).all() and (tally.spread.sum(axis=1) == profile.by_group).all()) and (
        len(edges) < COARSE and all(a < b for a, b in pairwise(edges)) and int(profile.by_group.sum()) == profile.rows
    )


def _rising(tally: Tally) -> bool:
    """Whether the keys fit the kind of the column, rise, and lie in its cells."""
    if not isinstance(tally.keys, np.ndarray):
        values = tally.keys.to_pylist()
        return tally.column.kind is Kind.CATEGORY and all(a < b for a, b in pairwise(values))
    most = CELLS * (len(tally.column.centres) if tally.column.kind.in_cells else 1)
    return bool((tally.keys[1:] > tally.keys[:-1]).all() and (tally.keys < most).all()) and _centres_rise(tally.column)


def _centres_rise(column: Column) -> bool:
    return all(a < b for a, b in pairwise(column.centres)) and bool(column.centres) == column.kind.in_cells


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError(f"{str(value)[:40]!r} is no count")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} is no text")
    return value
