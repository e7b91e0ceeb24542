"""Whether the weights are all there, undamaged, and numbers.

TF Serving checks none of this before it says AVAILABLE where the index is missing, and never looks for NaN. A SavedModel's
fingerprint does not cover the weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from google_crc32c import extend

from tfcanary.core.domain import Evidence
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.findings import Problem, evidence, fails, shown, warns
from tfcanary.look.savedmodel.protobuf_walk import Unreadable, number
from tfcanary.look.savedmodel.tensor_bundle import Compressed, Entry, Index, read_index, same_checksum
from tfcanary.look.savedmodel.tree import INDEX, SHARD

TEXT_BYTES = 2**26
"""A longer tensor of texts is not looked into."""
SAVES = "SaveV2"
"""In the names of constants that say what is saved, which no server does."""
FRACTIONS = frozenset({"float16", "bfloat16", "float32", "float64", "complex64", "complex128"})
PIECE = 2**22
"""Bytes of a tensor that are looked at together; a multiple of every element's size."""
SIZES = {
    name: size
    for size, names in {
        1: "int8 uint8 bool qint8 quint8 float8_e5m2 float8_e4m3fn",
        2: "float16 bfloat16 int16 uint16 qint16 quint16",
        4: "float32 int32 uint32 qint32",
        8: "float64 int64 uint64 complex64",
        16: "complex128",
    }.items()
    for name in names.split()
}
"""Bytes of an element, where all elements have the same."""


def check_variables(case: Case) -> Evidence:
    """Index and shards are complete, every tensor has the bytes that it declares and the right checksum, and holds no NaN."""
    count = len(case.facts.variables)
    figures = {"variables": float(count)}
    problems = list(_files(case, count))
    if problems or INDEX not in case.tree.sizes:
        return evidence("variables", problems, "the model has no variables", figures)
    try:
        index = read_index(case.model / INDEX)
    except Compressed as error:
        return evidence("variables", [warns(f"{INDEX} {error}: only the trial can tell whether its weights are complete")], "", figures)
    except Unreadable as error:
        return evidence("variables", [fails(f"{INDEX}: {error}")], "", figures)
    tensors = [entry for entry in index.entries if entry.dtype in SIZES and not entry.sliced]
    elements = sum(entry.size // SIZES[entry.dtype] for entry in tensors)
    figures |= {"tensors": float(len(tensors)), "parameters": float(elements), "bytes": float(sum(entry.size for entry in tensors))}
    return evidence(
        "variables", _weights(case, index), f"{len(tensors)} tensors with {elements:,} parameters are complete and finite", figures
    )


def _files(case: Case, count: int) -> Iterator[Problem]:
    shards = [match for name in case.tree.sizes if (match := SHARD.fullmatch(name))]
    totals = {match[2] for match in shards}
    if count and INDEX not in case.tree.sizes:
        yield fails(
            f"{INDEX} is missing although the graph has {count} variables: a server loads it without a word and then fails every request"
        )
    if len(totals) > 1 or any(len(shards) != int(total) for total in totals):
        yield fails(f"variables/ has {len(shards)} shards, by their names of {' or '.join(sorted(totals))}: the copy is not complete")
    if INDEX in case.tree.sizes and not shards:
        yield fails(f"{INDEX} is there, but no shard with the weights")


def _wanted(case: Case, index: Index) -> Iterator[Problem]:
    """What the graph restores is in the index."""
    there = {entry.name for entry in index.entries}
    asked = {name for _, node in case.facts.all_nodes() if node.constant and SAVES not in node.name for name in node.constant.texts}
    if missing := sorted(asked - there):
        others = f", nor {len(missing) - 1} others" if missing[1:] else ""
        yield fails(f"the checkpoint has no variable {shown(missing[0])}{others}, which the graph restores: they are of different exports")


def _weights(case: Case, index: Index) -> Iterator[Problem]:
    yield from _wanted(case, index)
    shards = {int(match[1]): name for name in case.tree.sizes if (match := SHARD.fullmatch(name))}
    if index.shards != len(shards):
        yield fails(f"{INDEX} speaks of {index.shards} shards, there are {len(shards)}: index and shards are of different models")
        return
    ends = dict.fromkeys(shards, 0)
    blank = Blank()
    for entry in index.entries:
        name, end = shards.get(entry.shard), entry.offset + entry.size
        if name is None or not 0 <= entry.offset <= end <= case.tree.sizes[name]:
            yield fails(f"variable {shown(entry.name)} ends at byte {end:,}, beyond the end of its shard: the copy is not complete")
        elif entry.size and entry.offset < ends[entry.shard]:
            yield fails(f"variable {shown(entry.name)} lies in the bytes of another one")
        elif not entry.sliced:
            ends[entry.shard] = max(ends[entry.shard], end)
            yield from _tensor(case.model / name, entry, blank)
    yield from blank.problems()
    for shard, end in ends.items():
        if (spare := case.tree.sizes[shards[shard]] - end) > 0 and not any(one.sliced for one in index.entries):
            yield fails(
                f"{shown(shards[shard])} ends with {spare:,} bytes that no variable of the index has: they are of different exports"
            )


@dataclass(slots=True)
class Blank:
    """Whether any weight at all is a number other than zero."""

    fractions: int = 0
    zeros: list[str] = field(default_factory=list)
    infinite: list[str] = field(default_factory=list)

    def add(self, entry: Entry, seen: _Seen) -> None:
        """One tensor of fractions."""
        if entry.dtype in FRACTIONS and entry.size > SIZES[entry.dtype]:
            self.fractions += 1
            if not seen.nonzero:
                self.zeros.append(entry.name)
            if seen.infinite * SIZES[entry.dtype] >= entry.size:
                self.infinite.append(entry.name)

    def problems(self) -> Iterator[Problem]:
        """A model of nothing but zeros or infinities was never trained."""
        if len(self.zeros) == self.fractions > 1:
            yield fails("every weight is zero: all zeros are what an export before its training has")
        if self.infinite:
            yield fails(f"variable {shown(self.infinite[0])} has nothing but infinite values")


def _texts(shard: Path, entry: Entry) -> Iterator[Problem]:
    """A tensor of texts: their lengths, a checksum of these, and the texts (tensorflow/core/util/tensor_bundle, WriteStringTensor)."""
    if entry.size > TEXT_BYTES:
        yield warns(f"variable {shown(entry.name)} has {entry.size:,} bytes of text and was not looked into")
        return
    with shard.open("rb") as file:
        file.seek(entry.offset)
        content = file.read(entry.size)
    count = math.prod(entry.shape) if min(entry.shape, default=0) >= 0 else -1
    if not 0 <= count <= entry.size:
        yield fails(f"variable {shown(entry.name)}: string {list(entry.shape)[:8]} does not fit into its {entry.size:,} bytes")
        return
    lengths, at = [], 0
    for _ in range(count):
        length, at = number(content, at)
        lengths.append(length)
    checksum = extend(0, b"".join(length.to_bytes(4 if length < 2**32 else 8, "little") for length in lengths))
    if at + 4 + sum(lengths) != entry.size or not same_checksum(int.from_bytes(content[at : at + 4], "little"), checksum):
        yield fails(f"variable {shown(entry.name)} is damaged: the checksum of its lengths is wrong")
    elif not same_checksum(entry.checksum, extend(checksum, content[at:])):
        yield fails(f"variable {shown(entry.name)} is damaged: its checksum is wrong")


def _tensor(shard: Path, entry: Entry, blank: Blank) -> Iterator[Problem]:
    if entry.dtype == "string":
        try:
            yield from _texts(shard, entry)
        except (Unreadable, OSError) as error:
            yield fails(f"variable {shown(entry.name)} is damaged ({error})")
        return
    if entry.dtype not in SIZES:
        return
    expected = math.prod(entry.shape) * SIZES[entry.dtype] if min(entry.shape, default=0) >= 0 else -1
    if expected != entry.size:
        yield fails(f"variable {shown(entry.name)}: {entry.dtype} {list(entry.shape)[:8]} does not fit into its {entry.size:,} bytes")
        return
    try:
        seen = _look_through(shard, entry)
    except OSError as error:
        yield fails(f"variable {shown(entry.name)} cannot be read ({error.strerror})")
        return
    blank.add(entry, seen)
    if not same_checksum(entry.checksum, seen.checksum):
        yield fails(f"variable {shown(entry.name)} is damaged: its checksum is wrong")
    if seen.nan:
        yield fails(f"variable {shown(entry.name)} has {seen.nan:,} NaN")
    if seen.infinite:
        yield warns(f"variable {shown(entry.name)} has {seen.infinite:,} infinite values")
    if not seen.nonzero and len(entry.shape) > 1 and expected:
        yield warns(f"variable {shown(entry.name)} is all zeros")


@dataclass(slots=True)
class _Seen:
    """What a tensor's bytes are, summed up piece by piece."""

    checksum: int = 0
    nan: int = 0
    infinite: int = 0
    nonzero: bool = False


def _look_through(shard: Path, entry: Entry) -> _Seen:
    seen = _Seen()
    with shard.open("rb") as file:
        file.seek(entry.offset)
        left = entry.size
        while left > 0 and len(piece := file.read(min(PIECE, left))) == min(PIECE, left):
            left -= PIECE
            seen.checksum = extend(seen.checksum, piece)
            seen.nonzero = seen.nonzero or piece.count(0) < len(piece)
            _count(entry.dtype, piece, seen)
    return seen


def _count(dtype: str, piece: bytes, seen: _Seen) -> None:
    """Add the piece's NaN and infinities."""
    if dtype == "bfloat16":
        values = (np.frombuffer(piece, "<u2").astype("<u4") << np.uint32(16)).view("<f4")
    elif dtype in ("float16", "float32", "float64", "complex64", "complex128"):
        values = np.frombuffer(piece, dtype)
    else:
        return
    if not np.isfinite(values).all():
        nan = int(np.isnan(values).sum())
        seen.nan += nan
        seen.infinite += int(values.size - np.isfinite(values).sum()) - nan
