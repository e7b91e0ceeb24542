"""What a model that answers must answer: finite numbers in the declared shapes, the same for a row alone and among others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcanary.core.domain import Evidence, Finding
from tfcanary.look.savedmodel.compatible import accepts
from tfcanary.look.savedmodel.facts import SignatureFact, shape_text
from tfcanary.look.savedmodel.findings import shown
from tfcanary.look.savedmodel.samples import Feeds, Sample

Outputs = Mapping[str, NDArray[Any]]
Ask = Callable[[Feeds], Outputs]

SAME = 1e-3
"""Relative to the largest value of an output: kernels may round a row differently alone and in a batch."""
ROWS_ALONE = 8
"""Rows of a batch that are asked again one by one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A sample and what the model made of it."""

    sample: Sample
    outputs: Outputs
    seconds: float = 0.0


def finite(answers: Sequence[Answer]) -> Evidence:
    """NaN and infinity are answers for TF Serving: status OK, and no error rate ever shows them."""
    wrong = [(one.sample, text) for one in answers for name, value in one.outputs.items() if (text := _not_finite(name, value))]
    asked = [one.sample for one in answers if one.sample.ordinary]
    sick = {sample.what for sample, _ in wrong}
    # What is made up may lie outside of what a model is for: only where no answer at all is a number is the model to blame.
    blamed = [(s, text) for s, text in wrong if s.given] or (wrong if asked and all(s.what in sick for s in asked) else [])
    finding = Finding.FAIL if blamed else Finding.WARN if wrong else Finding.PASS
    shown_ = next(iter(blamed or wrong), None)
    reason = f"{shown_[1]} for {shown_[0].what}" if shown_ else "every answer is a finite number"
    return Evidence("trial/finite", finding, reason, figures={"answers": float(len(answers)), "not finite": float(len(wrong))})


def _not_finite(name: str, value: NDArray[Any]) -> str | None:
    if not _is_fraction(value) or not value.size:
        return None
    count = int(value.size - np.isfinite(value).sum())
    return f"output {shown(name)}: {count} of {value.size} values are NaN or infinite" if count else None


def shapes(answers: Sequence[Answer], signature: SignatureFact) -> Evidence:
    """The answers are what the signature says they are."""
    wrong = [found for one in answers for found in _misshapen(one, signature)]
    first = next((one for one in wrong if one[0] is Finding.FAIL), wrong[0] if wrong else None)
    finding, reason = first or (Finding.PASS, "every answer has the declared type and shape")
    return Evidence("trial/shapes", finding, reason)


def _misshapen(answer: Answer, signature: SignatureFact) -> Iterator[tuple[Finding, str]]:
    for name, declared in signature.outputs.items():
        value = answer.outputs[name]
        dtype = "string" if value.dtype.kind == "O" else value.dtype.name
        if dtype != declared.dtype or not accepts(declared.shape, value.shape):
            yield (
                Finding.FAIL,
                f"output {shown(name)}: declared {declared}, answered {dtype} {shape_text(value.shape)} to {answer.sample.what}",
            )
        elif answer.sample.rows and declared.shape and declared.shape[0] is None and value.shape[0] != answer.sample.rows:
            yield Finding.WARN, f"output {shown(name)}: {value.shape[0]} rows answered to {answer.sample.what}"


def alone(ask: Ask, answers: Sequence[Answer], batched: Sequence[str], branches: bool = False) -> Evidence | None:
    """A row's answer may not depend on its neighbours: they are other users' requests. None where no batch was answered.

    Where the graph branches, somebody may have wanted a decision for the whole batch: that is shown.
    """
    largest = max(
        (one for one in answers if one.sample.ordinary and (one.sample.rows or 0) > 1), key=lambda one: _spread(one), default=None
    )
    if largest is None or largest.sample.rows is None:
        return None
    worst, where = 0.0, ""
    for row in range(min(largest.sample.rows, ROWS_ALONE)):
        feeds = {name: value[row : row + 1] if name in batched else value for name, value in largest.sample.feeds.items()}
        for name, value in ask(feeds).items():
            among = largest.outputs[name][row : row + 1] if _rows(largest.outputs[name]) == largest.sample.rows else value[:0]
            # Whole numbers and texts flip at a tie, and what is padded has another shape alone: only fractions are compared.
            if _is_fraction(value) and value.shape == among.shape and (gap := distance(value, among)) > worst:
                worst, where = gap, f"output {shown(name)}: row {row + 1} of {largest.sample.what} is answered differently when it is alone"
    finding = Finding.PASS if worst <= SAME else Finding.WARN if branches else Finding.FAIL
    reason = f"{where} (by {worst:.3g} of its largest value)" if worst > SAME else "a row alone is answered as in a batch"
    return Evidence("trial/batching", finding, reason, figures={"distance": worst})


def _rows(value: NDArray[Any]) -> int | None:
    return value.shape[0] if value.ndim else None


def golden(answers: Sequence[Answer], signature: SignatureFact, tolerance: float) -> Evidence | None:
    """The labels of the plan's golden requests are what the model answers. None where no request has one."""
    labelled = [one for one in answers if one.sample.label is not None]
    if not labelled:
        return None
    name = sorted(signature.outputs)[0]
    wrong = [one for one in labelled if not _agrees(one.outputs[name], one.sample.label, tolerance)]
    figures = {"labelled": float(len(labelled)), "wrong": float(len(wrong))}
    if not wrong:
        return Evidence("trial/golden", Finding.PASS, f"{len(labelled)} golden answers are as expected", figures=figures)
    first = wrong[0]
    said = f"output {shown(name)}: {first.sample.what} wants {shown(str(first.sample.label))}, answered {_said(first.outputs[name])}"
    return Evidence("trial/golden", Finding.FAIL, f"{len(wrong)} of {len(labelled)} golden answers differ; {said}", figures=figures)


def _agrees(value: NDArray[Any], label: object, tolerance: float) -> bool:
    """A single value is compared, of several the largest one's place."""
    flat = value.reshape(-1)
    if not flat.size:
        return False
    if value.dtype == object or isinstance(label, str):
        return flat.size == 1 and _text(flat[0]) == str(label)
    if not isinstance(label, int | float):
        return False
    if flat.size > 1:
        return bool(int(flat.astype("float64").argmax()) == label)
    given, wanted = float(flat[0]), float(label)
    return given == wanted if value.dtype.kind in "iub" else abs(given - wanted) <= tolerance * max(abs(wanted), 1e-6)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _said(value: NDArray[Any]) -> str:
    return shown(", ".join(_text(one) for one in value.reshape(-1)[:8]))


def _spread(answer: Answer) -> tuple[bool, int]:
    """Random rows before equal ones, many before few."""
    return any(len(np.unique(value)) > 1 for value in answer.sample.feeds.values()), answer.sample.rows or 0


def repeated(ask: Ask, answers: Sequence[Answer]) -> Evidence:
    """The same request twice. Some models sample on purpose, so a difference is shown and passes."""
    gaps = [distance(value, one.outputs[name]) for one in answers[-2:] for name, value in ask(one.sample.feeds).items()]
    worst = max(gaps, default=0.0)
    same = worst <= SAME
    reason = (
        "the same request is answered the same again"
        if same
        else f"the same request is answered differently again (by {worst:.3g}): comparisons will see noise"
    )
    return Evidence("trial/repeat", Finding.PASS if same else Finding.WARN, reason, figures={"distance": worst})


def distance(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Largest difference relative to the largest value, 0 for equal (NaN equals NaN), 1 for what is no number and differs."""
    if one.shape != other.shape:
        return 1.0
    if not _is_fraction(one):
        return float(not np.array_equal(one, other))
    if not one.size or np.array_equal(one, other, equal_nan=True):
        return 0.0
    # In float64, so that a gap of half-precision numbers does not overflow; they are coarse, and may differ ten times as much.
    first, second = (value.astype("complex128" if value.dtype.kind == "c" else "float64") for value in (one, other))
    numbers = np.isfinite(first)
    if not np.array_equal(first[~numbers], second[~numbers], equal_nan=True) or not np.isfinite(second[numbers]).all():
        return 1.0
    first, second = first[numbers], second[numbers]
    if not first.size:
        return 0.0
    gap, scale = np.abs(first - second).max(), max(np.abs(first).max(), np.abs(second).max(), 1e-6)
    coarse = 10.0 if one.dtype.itemsize <= 2 else 1.0
    return float(min(gap / scale / coarse, 1.0))


def _is_fraction(value: NDArray[Any]) -> bool:
    """Also of the kinds that NumPy itself does not have, such as bfloat16."""
    return value.dtype.kind in "fc" or value.dtype.name.startswith(("bfloat", "float8"))
