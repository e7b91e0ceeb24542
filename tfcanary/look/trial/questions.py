"""Checks of a model's answers: finite numbers, declared shapes, and independence of rows and repetitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfcanary.core.domain import Evidence, Finding
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


FiniteFault = tuple[TensorRequest, str]
ShapeFault = tuple[Finding, str]


def check_finite(answers: Sequence[ModelAnswer], others: Sequence[FiniteFault] = (), count: int = 0) -> Evidence:
    """Check for NaN and infinity, which TF Serving answers with the status OK, so that no error rate shows them.

    `others` are the faults of `count` further answers.
    """
    faults = [*(fault for one in answers for fault in finite_faults(one)), *others]
    total = len(answers) + count
    ordinary = [one.request.what for one in answers if one.request.ordinary]
    affected = {request.what for request, _ in faults}
    # A made-up request may be outside of the model's domain, so such requests refuse the model only where all are affected.
    certain = [one for one in faults if one[0].recorded] or (faults if ordinary and affected.issuperset(ordinary) else [])
    finding = Finding.FAIL if certain else Finding.WARN if faults else Finding.PASS
    good = f"every number in {total:,} of {total:,} answers is finite"
    reason = next((f"{text} for {request.what}" for request, text in certain or faults), good)
    if faults:
        reason += f"; {len({id(request) for request, _ in faults}):,} of {total:,} answers are affected"
    return Evidence("trial/finite", finding, reason, figures={"answers": float(total), "not finite": float(len(faults))})


def finite_faults(answer: ModelAnswer) -> list[FiniteFault]:
    """The outputs of an answer that hold NaN or infinity, each with the request."""
    return [(answer.request, text) for name, value in answer.outputs.items() if (text := _not_finite(name, value))]


def _not_finite(name: str, value: NDArray[Any]) -> str | None:
    if not _is_fraction(value) or not value.size:
        return None
    count = int(value.size - np.isfinite(value).sum())
    return f"output {quote(name)}: {count} of {value.size} values are NaN or infinite" if count else None


def check_shapes(answers: Sequence[ModelAnswer], signature: SignatureFact, others: Sequence[ShapeFault] = ()) -> Evidence:
    """Check that the outputs have the types and shapes that the signature declares; `others` are the faults of further answers."""
    faults = [*(fault for one in answers for fault in shape_faults(one, signature)), *others]
    first = next((one for one in faults if one[0] is Finding.FAIL), faults[0] if faults else None)
    finding, reason = first or (Finding.PASS, "every answer has the declared type and shape")
    return Evidence("trial/shapes", finding, reason)


def shape_faults(answer: ModelAnswer, signature: SignatureFact) -> Iterator[ShapeFault]:
    """The outputs of an answer that have another type, shape or number of rows than declared, each as a finding with a sentence."""
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
