"""Whether the candidate is about as large as the model that serves now: its servers have that one's memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from tfcanary.core.domain import Evidence
from tfcanary.core.errors import Refused
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.findings import Problem, evidence, warns
from tfcanary.look.savedmodel.protobuf_walk import Unreadable
from tfcanary.look.savedmodel.tensor_bundle import read_index
from tfcanary.look.savedmodel.tree import INDEX, look
from tfcanary.look.savedmodel.variables import SIZES

RATIO = 2.0
"""A model that grew or shrank by more is most often another one than was meant; no fault in itself."""


def check_size(case: Case) -> Evidence:
    """Bytes and parameters lie between half and twice the stable model's."""
    ours = _sizes(case.model)
    theirs = _sizes(case.stable_path) if case.stable_path else {}
    figures = {**ours, **{f"stable {name}": value for name, value in theirs.items()}}
    good = ", ".join(f"{value:,.0f} {name}" for name, value in ours.items())
    return evidence("size", _apart(ours, theirs), good, figures)


def _apart(ours: Mapping[str, float], theirs: Mapping[str, float]) -> Iterator[Problem]:
    for name, value in ours.items():
        before = theirs.get(name, 0.0)
        if before and not 1 / RATIO <= value / before <= RATIO:
            yield warns(f"{value:,.0f} {name}, the stable model has {before:,.0f}")


def _sizes(model: Path) -> dict[str, float]:
    """What can be counted; a damaged index is another check's matter."""
    sizes = {"bytes": float(sum(look(model).sizes.values()))}
    with suppress(Unreadable, Refused, OSError):
        entries = read_index(model / INDEX).entries
        sizes["parameters"] = float(sum(one.size // SIZES[one.dtype] for one in entries if one.dtype in SIZES))
    return sizes
