"""Counts how the answers of two tracks to the same requests differ, one request at a time and in bounded memory."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np

from tfcanary.core.codec import broken
from tfcanary.core.domain import Prediction, Request
from tfcanary.look.evaluate.answers import Kind, Numbers, Reading, Row, is_whole, matches, numbers, reading, rows
from tfcanary.look.evaluate.slices import Slice, Slices, named
from tfcanary.tf.wire import bodies

CLASS = "class"
"""The slices by what stable says."""
WORST = 5
"""Rows that are kept to be shown."""
FARTHEST = 1e290
"""Changes beyond it count as this, so that their sum stays finite."""


@dataclass(slots=True)
class Tally:
    """What was counted so far. A request counts as answered when both tracks answered with 200."""

    names: tuple[str, ...] = ()
    """Inputs that divide the rows into slices."""
    slices: Slices = field(default_factory=Slices)

    sent: int = 0
    answered: int = 0
    canary_failed: int = 0
    """Stable answered, the canary did not."""
    stable_failed: int = 0
    both_failed: int = 0
    other_form: int = 0
    """Answered by both, but with other outputs or another number of rows."""
    other_size: int = 0
    """Rows whose outputs have another number of values."""
    first: dict[str, str] = field(default_factory=dict)
    """The first request of each kind of trouble, in words."""
    unreachable: str = ""

    readings: dict[frozenset[str], Reading] = field(default_factory=dict)
    """How rows are read, by their outputs: signatures differ in them."""
    rows: int = 0
    flips: int = 0
    lowest: float = 0.0
    highest: float = 1.0
    """The range of single scores, with 0 and 1: within it they are shares, beyond it just numbers."""
    numbers: int = 0
    largest: float = 0.0
    total: float = 0.0
    """Sum of the absolute changes of `numbers` numbers."""
    with_numbers: int = 0
    canary_broken: int = 0
    """Rows with NaN, null or infinity where stable has numbers."""
    both_broken: int = 0
    worst: list[tuple[bool, float, int, str]] = field(default_factory=list)

    labels: int = 0
    """Requests that carry a label."""
    labelled: int = 0
    """Those whose answers have one row, so that the label can be compared."""
    stable_right: int = 0
    canary_right: int = 0
    only_stable_right: int = 0
    only_canary_right: int = 0

    stable_seconds: list[float] = field(default_factory=list)
    canary_seconds: list[float] = field(default_factory=list)

    def add(self, request: Request, stable: Prediction, canary: Prediction) -> None:
        """Count one request's two answers."""
        self.sent += 1
        self.labels += request.label is not None
        if stable.status == canary.status == 200:
            self.answered += 1
            self.stable_seconds.append(stable.seconds)
            self.canary_seconds.append(canary.seconds)
            self._compare(request, rows(stable.body), rows(canary.body))
        elif stable.status == 200:
            self.canary_failed += 1
            self._remember("canary", request, _failure(canary))
        else:
            both = canary.status != 200
            self.both_failed += both
            self.stable_failed += not both
            self._remember("both" if both else "stable", request, _failure(stable))

    @property
    def has_classes(self) -> bool:
        """Whether answers stand for classes: single scores do where all are shares."""
        scores = any(reading.kind is Kind.SCORES for reading in self.readings.values())
        return not scores or (self.lowest == 0 and self.highest == 1)

    @property
    def read(self) -> str:
        """What is taken for the answer of a row, in words."""
        return "; ".join(sorted({str(reading) for reading in self.readings.values()}))

    def _compare(self, request: Request, stable: list[Row] | None, canary: list[Row] | None) -> None:
        if stable is None or canary is None or [set(row) for row in stable] != [set(row) for row in canary]:
            self.other_form += 1
            self._remember("form", request, f"{_form(canary)}; stable: {_form(stable)}")
            return
        said = [self._row(request, i, *pair) for i, pair in enumerate(zip(stable, canary, strict=True))]
        parts = self._parts(request, said)
        if request.label is not None and len(said) == 1:
            self._label(request.label, *said[0], parts[0])

    def _parts(self, request: Request, said: list[tuple[object, object]]) -> list[list[Slice]]:
        """The slices of each row, with its flip counted in them."""
        asked = bodies.request_rows(request.body) if self.names else []
        inputs = asked if len(asked) == len(said) else [{}] * len(said)
        parts = [
            [self.slices.of(*one) for one in [(CLASS, shown(both[0])), *named(row, self.names)]]
            for row, both in zip(inputs, said, strict=True)
        ]
        for both, slices in zip(said, parts, strict=True):
            for part in slices:
                part.rows += 1
                part.flips += both[0] is None or both[0] != both[1]
        return parts

    def _row(self, request: Request, number: int, stable: Row, canary: Row) -> tuple[object, object]:
        """Count one row; returns what each track says."""
        outputs = frozenset(stable)
        if outputs not in self.readings:
            self.readings[outputs] = reading(stable, request.label)
        read = self.readings[outputs]
        said = read.of(stable), read.of(canary)
        flipped = said[0] is None or said[0] != said[1]
        change = self._change(stable, canary)
        self.rows += 1
        self.flips += flipped
        if read.kind is Kind.SCORES:
            self._widen(stable.get(read.output), canary.get(read.output))
        self._keep_worst(
            (flipped, change, -self.rows), f"{shown(request.id)} row {number}", stable.get(read.output), canary.get(read.output)
        )
        return said

    def _keep_worst(self, rank: tuple[bool, float, int], name: str, stable: object, canary: object) -> None:
        if rank[:2] == (False, 0.0) or (len(self.worst) == WORST and rank < self.worst[0][:3]):
            return
        keep = heapq.heappushpop if len(self.worst) == WORST else heapq.heappush
        keep(self.worst, (*rank, f"{name}: {shown(stable)} -> {shown(canary)}"))

    def _change(self, stable: Row, canary: Row) -> float:
        """Count the numbers of one row, all outputs but whole numbers, which are labels; returns its largest absolute change."""
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
        values = [found[np.isfinite(found)] for found in map(numbers, scores) if found is not None]
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

    def _label(self, label: float | str, stable: object, canary: object, parts: list[Slice]) -> None:
        right = matches(stable, label), matches(canary, label)
        for part in parts:
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

    def _remember(self, trouble: str, request: Request, text: str) -> None:
        self.first.setdefault(trouble, f"request {shown(request.id)}: {text}")


def _newly_broken(stable: Numbers, canary: Numbers) -> bool:
    if stable.shape != canary.shape:
        return bool(np.isfinite(stable).all() and not np.isfinite(canary).all())
    return bool((np.isfinite(stable) & ~np.isfinite(canary)).any())


def shown(value: object, most: int = 60) -> str:
    """What came from outside, short, and without what Argo and Kubernetes would expand."""
    text = broken(value if isinstance(value, str) else repr(value))
    return text if len(text) <= most else text[: most - 3] + "..."


def _failure(prediction: Prediction) -> str:
    return f"{prediction.status} {shown(prediction.body.get('error', ''), 120)}".rstrip()


def _form(answer: list[Row] | None) -> str:
    if answer is None:
        return "neither predictions nor outputs"
    names = sorted({name for row in answer for name in row})
    return f"{len(answer)} rows" + (f" with {', '.join(shown(name) for name in names)}" if names not in ([], [""]) else "")
