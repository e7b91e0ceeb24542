"""Checks of a model's answers: finite numbers, declared shapes, expected labels, and independence of rows and repetitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcanary.core.domain import Evidence, Finding
from tfcanary.look.evaluate.answers import choose_reading
from tfcanary.look.savedmodel.compatible import accepts
from tfcanary.look.savedmodel.facts import SignatureFact, shape_text
from tfcanary.look.savedmodel.findings import quote
from tfcanary.look.savedmodel.samples import Feeds, TensorRequest

Outputs = Mapping[str, NDArray[Any]]
Ask = Callable[[Feeds], Outputs]

SAME = 1e-3
"""Largest difference, relative to the largest value of an output, that counts as none: a kernel may round a row alone differently."""
ROWS_ALONE = 8
"""Rows of a batch that are sent again one by one."""


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """A request, the model's outputs for it, and the seconds that they took."""

    request: TensorRequest
    outputs: Outputs
    seconds: float = 0.0


def check_finite(answers: Sequence[ModelAnswer]) -> Evidence:
    """Check for NaN and infinity, which TF Serving answers with the status OK, so that no error rate shows them."""
    faults = [(one.request, text) for one in answers for name, value in one.outputs.items() if (text := _not_finite(name, value))]
    ordinary = [one.request.what for one in answers if one.request.ordinary]
    affected = {request.what for request, _ in faults}
    # A made-up request may be outside of the model's domain, so such requests refuse the model only where all are affected.
    certain = [one for one in faults if one[0].recorded] or (faults if ordinary and affected.issuperset(ordinary) else [])
    finding = Finding.FAIL if certain else Finding.WARN if faults else Finding.PASS
    reason = next((f"{text} for {request.what}" for request, text in certain or faults), "every number in the answers is finite")
    return Evidence("trial/finite", finding, reason, figures={"answers": float(len(answers)), "not finite": float(len(faults))})


def _not_finite(name: str, value: NDArray[Any]) -> str | None:
    if not _is_fraction(value) or not value.size:
        return None
    count = int(value.size - np.isfinite(value).sum())
    return f"output {quote(name)}: {count} of {value.size} values are NaN or infinite" if count else None


def check_shapes(answers: Sequence[ModelAnswer], signature: SignatureFact) -> Evidence:
    """Check that the outputs have the types and shapes that the signature declares."""
    faults = [fault for one in answers for fault in _shape_faults(one, signature)]
    first = next((one for one in faults if one[0] is Finding.FAIL), faults[0] if faults else None)
    finding, reason = first or (Finding.PASS, "every answer has the declared type and shape")
    return Evidence("trial/shapes", finding, reason)


def _shape_faults(answer: ModelAnswer, signature: SignatureFact) -> Iterator[tuple[Finding, str]]:
    for name, declared in signature.outputs.items():
        value = answer.outputs[name]
        dtype = "string" if value.dtype.kind == "O" else value.dtype.name
        if dtype != declared.dtype or not accepts(declared.shape, value.shape):
            yield (
                Finding.FAIL,
                f"output {quote(name)}: declared {declared}, answered {dtype} {shape_text(value.shape)} to {answer.request.what}",
            )
        elif answer.request.rows and value.ndim and value.shape[0] != answer.request.rows:
            yield Finding.WARN, f"output {quote(name)}: {value.shape[0]} rows answered to {answer.request.what}"


def check_batching(ask: Ask, answers: Sequence[ModelAnswer], batched: Sequence[str], branches: bool = False) -> Evidence | None:
    """Check that the answer to a row does not depend on the other rows of its batch, which are other users' requests.

    `batched` are the inputs whose first dimension is the batch. Where the graph has `branches`, or an output does not have a row for
    each row of the request, one answer for the whole batch may be intended, so that a difference is only a warning. None where no
    batch was answered.
    """
    batches = [one for one in answers if one.request.ordinary and (one.request.rows or 0) > 1]
    largest = max(batches, key=_distinctness, default=None)
    if largest is None or largest.request.rows is None:
        return None
    worst, where, intended = 0.0, "", branches
    for row in range(min(largest.request.rows, ROWS_ALONE)):
        feeds = {name: value[row : row + 1] if name in batched else value for name, value in largest.request.feeds.items()}
        for name, value in ask(feeds).items():
            whole = largest.outputs[name]
            by_row = whole.ndim and whole.shape[0] == largest.request.rows
            in_batch = whole[row : row + 1] if by_row else whole
            # Only fractions of one shape are compared: labels change at a tie, and padding depends on the other rows.
            if value.ndim and _is_fraction(value) and value.shape == in_batch.shape and (gap := distance(value, in_batch)) > worst:
                worst, intended = gap, branches or not by_row
                where = f"output {quote(name)}: row {row + 1} of {largest.request.what} is answered differently when it is alone"
    finding = Finding.PASS if worst <= SAME else Finding.WARN if intended else Finding.FAIL
    reason = f"{where} (by {worst:.3g} of its largest value)" if worst > SAME else "a row alone is answered as in a batch"
    return Evidence("trial/batching", finding, reason, figures={"distance": worst})


def check_golden(answers: Sequence[ModelAnswer], tolerance: float) -> Evidence | None:
    """Check that the model answers golden requests with their labels; None where no request has a label.

    Of several outputs, the one that tells the class is compared, as in the comparison of predictions. `tolerance` is the largest
    difference of a single number, relative to its label.
    """
    labelled = [one for one in answers if one.request.label is not None]
    if not labelled:
        return None
    names = [_labelled_output(one) for one in labelled]
    wrong = [(one, name) for one, name in zip(labelled, names, strict=True) if not _agrees(one.outputs[name], one.request.label, tolerance)]
    figures = {"labelled": float(len(labelled)), "wrong": float(len(wrong))}
    if not wrong:
        return Evidence("trial/golden", Finding.PASS, f"{len(labelled)} golden answers are as expected", figures=figures)
    first, name = wrong[0]
    values = quote(", ".join(map(_text, first.outputs[name].reshape(-1)[:8])))
    example = f"output {quote(name)}: {first.request.what} has the label {quote(str(first.request.label))}, the answer is {values}"
    return Evidence("trial/golden", Finding.FAIL, f"{len(wrong)} of {len(labelled)} golden answers differ; {example}", figures=figures)


def _labelled_output(answer: ModelAnswer) -> str:
    """The name of the output that tells the class of the answer's first row."""
    first = {name: value[:1].tolist()[0] if value.ndim and len(value) else value.tolist() for name, value in answer.outputs.items()}
    row = {name: _plain(value) for name, value in first.items()}
    return choose_reading(row, answer.request.label).output


def _plain(value: object) -> object:
    """A value as in JSON: texts in place of bytes."""
    return [_plain(one) for one in value] if isinstance(value, list) else _text(value) if isinstance(value, bytes) else value


def _agrees(value: NDArray[Any], label: object, tolerance: float) -> bool:
    """Whether an output equals a label: a single value itself, or the index of the largest of several values."""
    flat = value.reshape(-1)
    if not flat.size:
        return False
    if value.dtype == object or isinstance(label, str):
        return flat.size == 1 and _text(flat[0]) == str(label)
    if not isinstance(label, int | float):
        return False
    if flat.size > 1:
        return bool(int(flat.astype("float64").argmax()) == label)
    actual, expected = float(flat[0]), float(label)
    return actual == expected if value.dtype.kind in "iub" else abs(actual - expected) <= tolerance * max(abs(expected), 1e-6)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _distinctness(answer: ModelAnswer) -> tuple[bool, int]:
    """The order of batches by their use for a comparison of rows: distinct rows above equal ones, then many above few."""
    return any(len(np.unique(value)) > 1 for value in answer.request.feeds.values()), answer.request.rows or 0


def check_repeat(ask: Ask, answers: Sequence[ModelAnswer]) -> Evidence:
    """Check that a repeated request gets an equal answer; a difference is only a warning, as some models sample on purpose."""
    gaps = [distance(value, one.outputs[name]) for one in answers[-2:] for name, value in ask(one.request.feeds).items()]
    worst = max(gaps, default=0.0)
    same = worst <= SAME
    reason = (
        "a repeated request gets an equal answer"
        if same
        else f"a repeated request gets another answer (different by {worst:.3g}), so comparisons will contain noise"
    )
    return Evidence("trial/repeat", Finding.PASS if same else Finding.WARN, reason, figures={"distance": worst})


def distance(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The largest difference of two outputs relative to their largest value, at most 1.

    It is 0 for equal outputs (NaN equals NaN) and 1 for different texts, whole numbers or shapes.
    """
    if one.shape != other.shape:
        return 1.0
    if not _is_fraction(one):
        return float(not np.array_equal(one, other))
    if not one.size or np.array_equal(one, other, equal_nan=True):
        return 0.0
    # In float64 a difference of half-precision numbers cannot overflow; as they are coarse, they may differ ten times as much.
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
    """Whether an output holds fractions, also of types that NumPy itself lacks, such as bfloat16."""
    return value.dtype.kind in "fc" or value.dtype.name.startswith(("bfloat", "float8"))
