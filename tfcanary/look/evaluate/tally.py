"""Counts the differences between two tracks' answers to the same requests, one request at a time and in bounded memory."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np

from tfcanary.core.codec import broken
from tfcanary.core.domain import Prediction, Request
from tfcanary.look.evaluate.answers import Kind, Numbers, OutputRow, Reading, is_whole, matches, numbers, reading_of, rows
from tfcanary.look.evaluate.slices import Slice, Slices
from tfcanary.tf.wire import bodies

CLASS = "class"
"""Name of the slices by the class of stable's answer."""
WORST = 5
"""Number of rows with the largest changes that are kept for the report."""
FARTHEST = 1e290
"""Value of any larger change, so that the sum of the changes stays finite."""


@dataclass(slots=True)
class Tally:
    """The counts so far. A request counts as answered where both tracks answered it with the status 200."""

    names: tuple[str, ...] = ()
    """Names of the inputs that divide the rows into slices."""
    slices: Slices = field(default_factory=Slices)

    sent: int = 0
    answered: int = 0
    canary_failed: int = 0
    """Requests that stable answered and the canary did not."""
    stable_failed: int = 0
    both_failed: int = 0
    other_form: int = 0
    """Requests that both answered, with different outputs or numbers of rows."""
    other_size: int = 0
    """Rows whose outputs have different numbers of values."""
    first: dict[str, str] = field(default_factory=dict)
    """A sentence about the first request of each kind of failure."""
    unreachable: str = ""
    """Why a track could not be reached; empty where both could."""

    readings: dict[frozenset[str], Reading] = field(default_factory=dict)
    """The way in which rows tell their class, by the names of their outputs, in which signatures differ."""
    rows: int = 0
    flips: int = 0
    lowest: float = 0.0
    highest: float = 1.0
    """The range of single scores, at least 0 to 1; where it is wider, the scores are numbers and not shares."""
    numbers: int = 0
    largest: float = 0.0
    """Largest absolute change of a number."""
    total: float = 0.0
    """Sum of the absolute changes of `numbers` numbers."""
    with_numbers: int = 0
    """Rows with at least one number."""
    canary_broken: int = 0
    """Rows with NaN, null or infinity where stable has numbers."""
    both_broken: int = 0
    worst: list[tuple[bool, float, int, str]] = field(default_factory=list)

    labels: int = 0
    """Requests with a label."""
    labelled: int = 0
    """Requests with a label whose answers have one row, so that the label can be compared."""
    stable_right: int = 0
    canary_right: int = 0
    only_stable_right: int = 0
    only_canary_right: int = 0

    stable_seconds: list[float] = field(default_factory=list)
    canary_seconds: list[float] = field(default_factory=list)

    def add(self, request: Request, stable: Prediction, canary: Prediction) -> None:
        """Count both answers to one request."""
        self.sent += 1
        self.labels += request.label is not None
        if stable.status == canary.status == 200:
            self.answered += 1
            self.stable_seconds.append(stable.seconds)
            self.canary_seconds.append(canary.seconds)
            self._compare(request, rows(stable.body), rows(canary.body))
        elif stable.status == 200:
            self.canary_failed += 1
            self._note_first("canary", request, _failure(canary))
        else:
            both = canary.status != 200
            self.both_failed += both
            self.stable_failed += not both
            self._note_first("both" if both else "stable", request, _failure(stable))

    @property
    def has_classes(self) -> bool:
        """Whether the answers stand for classes; single scores do where all are between 0 and 1."""
        scores = any(reading.kind is Kind.SCORES for reading in self.readings.values())
        return not scores or (self.lowest == 0 and self.highest == 1)

    @property
    def readings_text(self) -> str:
        """The ways in which rows tell their class, for a sentence."""
        return "; ".join(sorted({str(reading) for reading in self.readings.values()}))

    def _compare(self, request: Request, stable: list[OutputRow] | None, canary: list[OutputRow] | None) -> None:
        if stable is None or canary is None or [set(row) for row in stable] != [set(row) for row in canary]:
            self.other_form += 1
            self._note_first("form", request, f"{_form(canary)}; stable: {_form(stable)}")
            return
        classes = [self._row(request, i, *pair) for i, pair in enumerate(zip(stable, canary, strict=True))]
        slices = self._count_slices(request, classes)
        if request.label is not None and len(classes) == 1:
            self._label(request.label, *classes[0], slices[0])

    def _count_slices(self, request: Request, classes: list[tuple[object, object]]) -> list[list[Slice]]:
        """Count the rows and their flips in their slices; returns the slices of each row."""
        rows = bodies.request_rows(request.body) if self.names else []
        inputs = rows if len(rows) == len(classes) else [{}] * len(classes)
        by_row = []
        for row, (stable, canary) in zip(inputs, classes, strict=True):
            names = [(CLASS, display_text(stable)), *((name, row.get(name)) for name in self.names)]
            slices = [self.slices.of(*one) for one in names]
            for one in slices:
                one.rows += 1
                one.flips += stable is None or stable != canary
            by_row.append(slices)
        return by_row

    def _row(self, request: Request, number: int, stable: OutputRow, canary: OutputRow) -> tuple[object, object]:
        """Count one row; returns its class on each track."""
        reading = reading_of(self.readings, stable, request.label)
        classes = reading.of(stable), reading.of(canary)
        flip = classes[0] is None or classes[0] != classes[1]
        change = self._change(stable, canary)
        self.rows += 1
        self.flips += flip
        values = stable.get(reading.output), canary.get(reading.output)
        if reading.kind is Kind.SCORES:
            self._widen(*values)
        self._keep_worst((flip, change, -self.rows), f"{display_text(request.id)} row {number}", *values)
        return classes

    def _keep_worst(self, rank: tuple[bool, float, int], name: str, stable: object, canary: object) -> None:
        if rank[:2] == (False, 0.0) or (len(self.worst) == WORST and rank < self.worst[0][:3]):
            return
        keep = heapq.heappushpop if len(self.worst) == WORST else heapq.heappush
        keep(self.worst, (*rank, f"{name}: {display_text(stable)} -> {display_text(canary)}"))

    def _change(self, stable: OutputRow, canary: OutputRow) -> float:
        """Count the numbers of one row, without whole numbers, which are labels; returns the row's largest absolute change."""
        both = ((numbers(stable[name]), numbers(canary[name])) for name in stable if not is_whole(stable[name]))
        pairs = [(a, b) for a, b in both if a is not None and b is not None]
        self.with_numbers += bool(pairs)
        broken = [b for _, b in pairs if not np.isfinite(b).all()]
        newly = any(_newly_broken(a, b) for a, b in pairs)
        self.canary_broken += newly
        self.both_broken += bool(broken) and not newly
        self.other_size += any(a.shape != b.shape for a, b in pairs)
        return max((self._distance(a, b) for a, b in pairs if a.shape == b.shape), default=0.0)

    def _widen(self, *scores: object) -> None:
        """Extend the range of single scores."""
        values = [array[np.isfinite(array)] for array in map(numbers, scores) if array is not None]
        self.lowest = min([self.lowest, *(float(v.min()) for v in values if v.size)])
        self.highest = max([self.highest, *(float(v.max()) for v in values if v.size)])

    def _distance(self, stable: Numbers, canary: Numbers) -> float:
        finite = np.isfinite(stable) & np.isfinite(canary)
        with np.errstate(over="ignore"):
            distances = np.minimum(np.abs(stable[finite] - canary[finite]), FARTHEST)
        if not distances.size:
            return 0.0
        self.numbers += distances.size
        self.total += float(distances.sum())
        self.largest = max(self.largest, float(distances.max()))
        return float(distances.max())

    def _label(self, label: float | str, stable: object, canary: object, slices: list[Slice]) -> None:
        """Count which tracks answered the label."""
        right = matches(stable, label), matches(canary, label)
        for part in slices:
            part.labelled += 1
            part.stable_right += right[0]
            part.canary_right += right[1]
            part.only_stable_right += right == (True, False)
            part.only_canary_right += right == (False, True)
        self.labelled += 1
        self.stable_right += right[0]
        self.canary_right += right[1]
        self.only_stable_right += right == (True, False)
        self.only_canary_right += right == (False, True)

    def _note_first(self, kind: str, request: Request, text: str) -> None:
        self.first.setdefault(kind, f"request {display_text(request.id)}: {text}")


def _newly_broken(stable: Numbers, canary: Numbers) -> bool:
    if stable.shape != canary.shape:
        return bool(np.isfinite(stable).all() and not np.isfinite(canary).all())
    return bool((np.isfinite(stable) & ~np.isfinite(canary)).any())


def display_text(value: object, most: int = 60) -> str:
    """A foreign value as text of at most `most` characters, without anything that Argo or Kubernetes would expand."""
    text = broken(value if isinstance(value, str) else repr(value))
    return text if len(text) <= most else text[: most - 3] + "..."


def _failure(prediction: Prediction) -> str:
    return f"{prediction.status} {display_text(prediction.body.get('error', ''), 120)}".rstrip()


def _form(answer: list[OutputRow] | None) -> str:
    if answer is None:
        return "neither predictions nor outputs"
    names = sorted({name for row in answer for name in row})
    return f"{len(answer)} rows" + (f" with {', '.join(map(display_text, names))}" if names not in ([], [""]) else "")
