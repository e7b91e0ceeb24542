"""Reads a REST predict response as rows, and the class that a row stands for.

The comparison of predictions calls these functions. The answers are untrusted: no JSON value makes a function raise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

OutputRow = Mapping[str, object]
"""One row of an answer: the value of each output by its name, which is empty where the response names none."""
Numbers = NDArray[np.float64]


class Kind(StrEnum):
    """The ways in which an output tells the class of a row."""

    CLASSES = "the class with the highest score"
    LABELS = "the label"
    SCORES = "whether the score is above 0.5"


@dataclass(frozen=True, slots=True)
class Reading:
    """The output that is read, and the way in which it tells the class."""

    output: str
    kind: Kind
    names: str = ""
    """The output with the names of the classes, in the order of their scores; empty where the place of a score is its class."""

    def __str__(self) -> str:
        where = f"{self.kind.value} in output {self.output!r}" if self.output else self.kind.value
        return f"{where}, by its name in output {self.names!r}" if self.names else where

    def of(self, row: OutputRow) -> object:
        """The class of a row; None where it has none, for example because of NaN. None agrees with no class."""
        value = row.get(self.output)
        if self.kind is Kind.LABELS:
            return _label(value)
        scores = numbers(value)
        if scores is None or not scores.size or not np.isfinite(scores).all():
            return None
        if self.kind is Kind.SCORES:
            return int(scores.flat[0] > 0.5) if scores.size == 1 else None
        best = np.argmax(scores, axis=-1) if scores.ndim else np.zeros((), int)
        if best.ndim:
            return tuple(best.ravel().tolist())
        names = _label(row.get(self.names)) if self.names else None
        return names[int(best)] if isinstance(names, tuple) and len(names) == scores.size else int(best)


def rows(body: Mapping[str, object]) -> list[OutputRow] | None:
    """The rows of a response in row format (`predictions`) or column format (`outputs`); None for any other response."""
    if isinstance(predictions := body.get("predictions"), list):
        return [row if _has_names(row) else {"": row} for row in predictions]
    if "outputs" not in body:
        return None
    outputs = body["outputs"]
    columns = outputs if isinstance(outputs, dict) and _has_names(outputs) else {"": outputs}
    lengths = {len(column) if isinstance(column, list) else None for column in columns.values()}
    if len(lengths) != 1 or None in lengths:
        return [columns]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def choose_reading(row: OutputRow, label: object = None) -> Reading:
    """Choose the output that tells the class, from one row and, where it is known, the label of the row.

    The order of preference is: a text where the label is a text, probabilities, several scores, whole numbers and texts, a
    single score. Among equals it is the first output by name. Where another output lists the names of all classes and the label is
    one of them, the highest score tells the name, as in an answer of a classifier.
    """
    ranks = [_rank(name, value, label) for name, value in row.items()]
    reading = min(ranks, key=lambda one: (one[0], one[1].output), default=(0, Reading("", Kind.LABELS)))[1]
    if reading.kind is Kind.CLASSES and isinstance(label, str):
        lists = {name: names for name, value in sorted(row.items()) if isinstance(names := _label(value), tuple)}
        return replace(reading, names=next((name for name, names in lists.items() if label in names), ""))
    return reading


def reading_of(readings: dict[frozenset[str], Reading], row: OutputRow, label: object) -> Reading:
    """The reading of a row: that of the first row with the same outputs, as `readings` holds it, so that all rows are read alike."""
    outputs = frozenset(row)
    if outputs not in readings:
        readings[outputs] = choose_reading(row, label)
    return readings[outputs]


def numbers(value: object) -> Numbers | None:
    """The numbers of an output, with null as NaN; None where the output holds anything else."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiubO" or (array.dtype.kind == "O" and array.ndim == 0):
            return None
        return array.astype(np.float64)
    except (ValueError, TypeError, OverflowError):
        return None


def is_whole(value: object) -> bool:
    """Whether an output holds only whole numbers: they name classes, so a difference between them has no meaning."""
    try:
        return np.asarray(value).dtype.kind in "iub"
    except ValueError:
        return False


def matches(answer: object, label: float | str) -> bool:
    """Whether the class of a row equals the label; the texts "2" and 2.0 both mean class 2."""
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    return answer is not None and str(answer) == str(label)


def _has_names(row: object) -> bool:
    """Whether a row is an object of outputs; {"b64": ...} is one binary text."""
    return isinstance(row, dict) and set(row) != {"b64"}


def _rank(name: str, value: object, label: object) -> tuple[int, Reading]:
    """The reading of an output and its rank; the lowest rank is preferred."""
    text = _label(value)
    if isinstance(text, str):
        return (0 if isinstance(label, str) else 3), Reading(name, Kind.LABELS)
    scores = numbers(value)
    if scores is None or is_whole(value):
        return (3 if text is not None else 5), Reading(name, Kind.LABELS)
    if scores.size < 2:
        return 4, Reading(name, Kind.SCORES)
    shares = scores.ndim == 1 and bool((scores >= 0).all()) and abs(float(scores.sum()) - 1) < 0.001
    return (1 if shares else 2), Reading(name, Kind.CLASSES)


def _label(value: object) -> object:
    """A text or whole number itself, also out of a list of one; several of them as a tuple; None for anything else."""
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
