"""Checks that the candidate is about as large as the stable model, whose servers it will use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from tfcanary.core.domain import Evidence
from tfcanary.core.errors import Refused
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.findings import Problem, evidence, warning
from tfcanary.look.savedmodel.protobuf_walk import Unreadable
from tfcanary.look.savedmodel.tensor_bundle import read_index
from tfcanary.look.savedmodel.tree import INDEX, list_files
from tfcanary.look.savedmodel.variables import SIZES

RATIO = 2.0
"""Largest ratio of sizes without a warning; a model that grew or shrank by more is often not the intended one."""


def check_size(case: Case) -> Evidence:
    """Check that the numbers of bytes and of parameters are between half and twice those of the stable model."""
    ours = _sizes(case.model)
    theirs = _sizes(case.stable_path) if case.stable_path else {}
    figures = {**ours, **{f"stable {name}": value for name, value in theirs.items()}}
    good = ", ".join(f"{value:,.0f} {name}" for name, value in ours.items())
    return evidence("size", _problems(ours, theirs), good, figures)


def _problems(ours: Mapping[str, float], theirs: Mapping[str, float]) -> Iterator[Problem]:
    for name, value in ours.items():
        before = theirs.get(name, 0.0)
        if before and not 1 / RATIO <= value / before <= RATIO:
            yield warning(f"{value:,.0f} {name}, the stable model has {before:,.0f}")


def _sizes(model: Path) -> dict[str, float]:
    """Numbers of bytes and parameters of a model; a damaged index has no number of parameters, and another check reports it."""
    sizes = {"bytes": float(sum(list_files(model).sizes.values()))}
    with suppress(Unreadable, Refused, OSError):
        entries = read_index(model / INDEX).entries
        sizes["parameters"] = float(sum(one.size // SIZES[one.dtype] for one in entries if one.dtype in SIZES))
    return sizes
