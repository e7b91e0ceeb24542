"""What an answer says: a REST predict response as rows, and the class that a row stands for.

Called by the comparison of predictions. The answers are untrusted: any JSON value may come, and none raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Row = Mapping[str, object]
"""One row of an answer: output to value; the name is empty where the response names none."""
Numbers = NDArray[np.float64]


class Kind(StrEnum):
    """How a row says its class."""

    CLASSES = "the class with the highest score"
    LABELS = "the label"
    SCORES = "whether the score is above 0.5"


@dataclass(frozen=True, slots=True)
class Reading:
    """Which output is read, and how."""

    output: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.kind.value} in output {self.output!r}" if self.output else self.kind.value

    def of(self, row: Row) -> object:
        """What the row says; None where it says nothing, as with NaN: None never agrees with anything."""
        value = row.get(self.output)
        if self.kind is Kind.LABELS:
            return _label(value)
        found = numbers(value)
        if found is None or not found.size or not np.isfinite(found).all():
            return None
        if self.kind is Kind.SCORES:
            return int(found.flat[0] > 0.5) if found.size == 1 else None
        best = np.argmax(found, axis=-1) if found.ndim else np.zeros((), int)
        return int(best) if best.ndim == 0 else tuple(best.ravel().tolist())


def rows(body: Mapping[str, object]) -> list[Row] | None:
    """The rows of a response in row (`predictions`) or column (`outputs`) format; None where it is neither."""
    if isinstance(predictions := body.get("predictions"), list):
        return [row if _is_named(row) else {"": row} for row in predictions]
    if "outputs" not in body:
        return None
    outputs = body["outputs"]
    columns = outputs if isinstance(outputs, dict) and _is_named(outputs) else {"": outputs}
    lengths = {len(column) if isinstance(column, list) else None for column in columns.values()}
    if len(lengths) != 1 or None in lengths:
        return [columns]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def reading(row: Row, label: object = None) -> Reading:
    """How to read rows like this one.

    With several outputs: a text where the label is one, else what looks like probabilities, else scores, else whole
    numbers and texts, else a single score; the first by name among equals.
    """
    ranked = [_ranked(name, value, label) for name, value in row.items()]
    return min(ranked, key=lambda one: (one[0], one[1].output), default=(0, Reading("", Kind.LABELS)))[1]


def numbers(value: object) -> Numbers | None:
    """The numbers of an output, null as NaN; None where it holds something else."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiubO" or (array.dtype.kind == "O" and array.ndim == 0):
            return None
        return array.astype(np.float64)
    except (ValueError, TypeError, OverflowError):
        return None


def is_whole(value: object) -> bool:
    """Whether an output holds whole numbers only: they name classes, and their distance means nothing."""
    try:
        return np.asarray(value).dtype.kind in "iub"
    except ValueError:
        return False


def matches(said: object, label: float | str) -> bool:
    """Whether a row says the label; class 2 is also written "2" and 2.0."""
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    return said is not None and str(said) == str(label)


def _is_named(row: object) -> bool:
    # {"b64": ...} is how JSON carries one binary text.
    return isinstance(row, dict) and set(row) != {"b64"}


def _ranked(name: str, value: object, label: object) -> tuple[int, Reading]:
    said = _label(value)
    if isinstance(said, str):
        return (0 if isinstance(label, str) else 3), Reading(name, Kind.LABELS)
    found = numbers(value)
    if found is None or is_whole(value):
        return (3 if said is not None else 5), Reading(name, Kind.LABELS)
    if found.size < 2:
        return 4, Reading(name, Kind.SCORES)
    shares = found.ndim == 1 and bool((found >= 0).all()) and abs(float(found.sum()) - 1) < 0.001
    return (1 if shares else 2), Reading(name, Kind.CLASSES)


def _label(value: object) -> object:
    """A text or whole number as it is, also wrapped in a list of one; several of them as a tuple; else None."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, list):
        return _one_label(value)
    parts = tuple(_one_label(part) for part in value)
    return parts if parts and None not in parts else None


def _one_label(value: object) -> str | int | None:
    if isinstance(value, dict):
        value = value.get("b64")
        return value if isinstance(value, str) else None
    if isinstance(value, bool):
        return int(value)
    return value if isinstance(value, str | int) else None
