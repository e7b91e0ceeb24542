"""Checks that the weights are complete, undamaged and finite.

Where the index is missing, TF Serving reports a version as AVAILABLE without its weights, and it never checks for NaN. The
fingerprint of a SavedModel does not cover the weights.
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
from tfcanary.look.savedmodel.findings import Problem, evidence, failure, quote, warning
from tfcanary.look.savedmodel.protobuf_walk import Unreadable, number
from tfcanary.look.savedmodel.tensor_bundle import CompressedIndex, Entry, Index, read_index, same_checksum
from tfcanary.look.savedmodel.tree import INDEX, SHARD

TEXT_BYTES = 2**26
"""Largest tensor of texts in bytes whose content is checked."""
SAVES = "SaveV2"
"""Part of the names of constants that list the variables to save; no server saves."""
FRACTIONS = frozenset({"float16", "bfloat16", "float32", "float64", "complex64", "complex128"})
PIECE = 2**22
"""Bytes of a tensor that are read at once; a multiple of the size of every type's element."""
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
"""Bytes of an element, for each type whose elements all have one size."""


def check_variables(case: Case) -> Evidence:
    """Check that index and shards are complete, and that each tensor has its declared size, the right checksum and no NaN."""
    count = len(case.facts.variables)
    figures = {"variables": float(count)}
    problems = list(_file_problems(case, count))
    if problems or INDEX not in case.tree.sizes:
        return evidence("variables", problems, "the model has no variables", figures)
    try:
        index = read_index(case.model / INDEX)
    except CompressedIndex as error:
        return evidence("variables", [warning(f"{INDEX} {error}: only the trial can check whether its weights are complete")], "", figures)
    except Unreadable as error:
        return evidence("variables", [failure(f"{INDEX}: {error}")], "", figures)
    tensors = [entry for entry in index.entries if entry.dtype in SIZES and not entry.sliced]
    elements = sum(entry.size // SIZES[entry.dtype] for entry in tensors)
    figures |= {"tensors": float(len(tensors)), "parameters": float(elements), "bytes": float(sum(entry.size for entry in tensors))}
    return evidence(
        "variables", _weight_problems(case, index), f"{len(tensors)} tensors with {elements:,} parameters are complete and finite", figures
    )


def _file_problems(case: Case, count: int) -> Iterator[Problem]:
    shards = [match for name in case.tree.sizes if (match := SHARD.fullmatch(name))]
    totals = {match[2] for match in shards}
    if count and INDEX not in case.tree.sizes:
        yield failure(
            f"{INDEX} is missing although the graph has {count} variables: "
            "a server loads the model without an error and then fails every request"
        )
    if len(totals) > 1 or any(len(shards) != int(total) for total in totals):
        total = " or ".join(sorted(totals))
        yield failure(f"variables/ has {len(shards)} shards, but by their names there are {total}: the copy is incomplete")
    if INDEX in case.tree.sizes and not shards:
        yield failure(f"{INDEX} exists, but no shard with the weights")


def _missing_variables(case: Case, index: Index) -> Iterator[Problem]:
    """The variables that the graph restores and that the index lacks."""
    stored = {entry.name for entry in index.entries}
    restored = {name for _, node in case.facts.all_nodes() if node.constant and SAVES not in node.name for name in node.constant.texts}
    if missing := sorted(restored - stored):
        others = f" and lacks {len(missing) - 1} others" if missing[1:] else ""
        yield failure(
            f"the checkpoint has no variable {quote(missing[0])}{others}, which the graph restores: graph and checkpoint are of different exports"
        )


def _weight_problems(case: Case, index: Index) -> Iterator[Problem]:
    yield from _missing_variables(case, index)
    shards = {int(match[1]): name for name in case.tree.sizes if (match := SHARD.fullmatch(name))}
    if index.shards != len(shards):
        yield failure(f"{INDEX} names {index.shards} shards, but there are {len(shards)}: index and shards are of different models")
        return
    ends = dict.fromkeys(shards, 0)
    summary = WeightSummary()
    for entry in index.entries:
        name, end = shards.get(entry.shard), entry.offset + entry.size
        if name is None or not 0 <= entry.offset <= end <= case.tree.sizes[name]:
            yield failure(f"variable {quote(entry.name)} ends at byte {end:,}, beyond the end of its shard: the copy is incomplete")
        elif entry.size and entry.offset < ends[entry.shard]:
            yield failure(f"variable {quote(entry.name)} overlaps the bytes of another variable")
        elif not entry.sliced:
            ends[entry.shard] = max(ends[entry.shard], end)
            yield from _tensor_problems(case.model / name, entry, summary)
    yield from summary.problems()
    for shard, end in ends.items():
        if (spare := case.tree.sizes[shards[shard]] - end) > 0 and not any(one.sliced for one in index.entries):
            yield failure(
                f"{quote(shards[shard])} ends with {spare:,} bytes that no variable of the index has: "
                "index and shard are of different exports"
            )


@dataclass(slots=True)
class WeightSummary:
    """The tensors of fractions of a checkpoint, and which of them hold only zeros or only infinities."""

    fractions: int = 0
    """Number of tensors of fractions with more than one element."""
    zeros: list[str] = field(default_factory=list)
    infinite: list[str] = field(default_factory=list)

    def add(self, entry: Entry, values: _TensorSummary) -> None:
        """Add one tensor; tensors of other types and of single elements do not count."""
        if entry.dtype in FRACTIONS and entry.size > SIZES[entry.dtype]:
            self.fractions += 1
            if not values.nonzero:
                self.zeros.append(entry.name)
            if values.infinite * SIZES[entry.dtype] >= entry.size:
                self.infinite.append(entry.name)

    def problems(self) -> Iterator[Problem]:
        """The problems of the weights as a whole: all zeros, or a tensor of infinities alone, which an untrained model has."""
        if len(self.zeros) == self.fractions > 1:
            yield failure("every weight is zero, as in an export before training")
        if self.infinite:
            yield failure(f"variable {quote(self.infinite[0])} holds only infinite values")


def _text_problems(shard: Path, entry: Entry) -> Iterator[Problem]:
    """Problems of a tensor of texts.

    It is stored as the texts' lengths, a checksum of these and the texts (tensorflow/core/util/tensor_bundle,
    WriteStringTensor). Raises Unreadable where a length is damaged, OSError where the shard cannot be read.
    """
    if entry.size > TEXT_BYTES:
        yield warning(f"variable {quote(entry.name)} has {entry.size:,} bytes of text, too many to be checked")
        return
    with shard.open("rb") as file:
        file.seek(entry.offset)
        content = file.read(entry.size)
    count = math.prod(entry.shape) if min(entry.shape, default=0) >= 0 else -1
    if not 0 <= count <= entry.size:
        yield failure(f"variable {quote(entry.name)}: string {list(entry.shape)[:8]} does not fit into its {entry.size:,} bytes")
        return
    lengths, at = [], 0
    for _ in range(count):
        length, at = number(content, at)
        lengths.append(length)
    checksum = extend(0, b"".join(length.to_bytes(4 if length < 2**32 else 8, "little") for length in lengths))
    if at + 4 + sum(lengths) != entry.size or not same_checksum(int.from_bytes(content[at : at + 4], "little"), checksum):
        yield failure(f"variable {quote(entry.name)} is damaged: the checksum of its lengths is wrong")
    elif not same_checksum(entry.checksum, extend(checksum, content[at:])):
        yield failure(f"variable {quote(entry.name)} is damaged: its checksum is wrong")


def _tensor_problems(shard: Path, entry: Entry, summary: WeightSummary) -> Iterator[Problem]:
    if entry.dtype == "string":
        try:
            yield from _text_problems(shard, entry)
        except (Unreadable, OSError) as error:
            yield failure(f"variable {quote(entry.name)} is damaged ({error})")
        return
    if entry.dtype not in SIZES:
        return
    expected = math.prod(entry.shape) * SIZES[entry.dtype] if min(entry.shape, default=0) >= 0 else -1
    if expected != entry.size:
        yield failure(f"variable {quote(entry.name)}: {entry.dtype} {list(entry.shape)[:8]} does not fit into its {entry.size:,} bytes")
        return
    try:
        values = _summarize(shard, entry)
    except OSError as error:
        yield failure(f"variable {quote(entry.name)} cannot be read ({error.strerror})")
        return
    summary.add(entry, values)
    if not same_checksum(entry.checksum, values.checksum):
        yield failure(f"variable {quote(entry.name)} is damaged: its checksum is wrong")
    if values.nan:
        yield failure(f"variable {quote(entry.name)} has {values.nan:,} NaN")
    if values.infinite:
        yield warning(f"variable {quote(entry.name)} has {values.infinite:,} infinite values")
    if not values.nonzero and len(entry.shape) > 1 and expected:
        yield warning(f"variable {quote(entry.name)} holds only zeros")


@dataclass(slots=True)
class _TensorSummary:
    """Checksum and counts of a tensor's values, added up piece by piece."""

    checksum: int = 0
    nan: int = 0
    infinite: int = 0
    nonzero: bool = False


def _summarize(shard: Path, entry: Entry) -> _TensorSummary:
    summary = _TensorSummary()
    with shard.open("rb") as file:
        file.seek(entry.offset)
        left = entry.size
        while left > 0 and len(piece := file.read(min(PIECE, left))) == min(PIECE, left):
            left -= PIECE
            summary.checksum = extend(summary.checksum, piece)
            summary.nonzero = summary.nonzero or piece.count(0) < len(piece)
            _count(entry.dtype, piece, summary)
    return summary


def _count(dtype: str, piece: bytes, summary: _TensorSummary) -> None:
    """Add the numbers of NaN and of infinities in a piece."""
    if dtype == "bfloat16":
        values = (np.frombuffer(piece, "<u2").astype("<u4") << np.uint32(16)).view("<f4")
    elif dtype in ("float16", "float32", "float64", "complex64", "complex128"):
        values = np.frombuffer(piece, dtype)
    else:
        return
    if not np.isfinite(values).all():
        nan = int(np.isnan(values).sum())
        summary.nan += nan
        summary.infinite += int(values.size - np.isfinite(values).sum()) - nan
