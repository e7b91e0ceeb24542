"""How right both tracks were, once labels are known: the canary not worse than stable by more than a margin, in each slice.

Labels come late and from elsewhere; they join the recorded answers by the request's id. Both tracks answered different requests, so
their shares are compared, each with an interval that holds at every look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfcanary.core.domain import Absence, Evidence, Finding, Interval, Look
from tfcanary.core.errors import Refused
from tfcanary.core.plan import LabelledPlan
from tfcanary.look.evaluate import betting, slices, sources
from tfcanary.look.evaluate.answers import Reading, matches, reading
from tfcanary.look.evaluate.tally import shown
from tfcanary.tf.wire.bodies import INPUT, OUTPUT

ID, LABEL = "id", "label"
MOST_LABELS = 10_000_000
"""Labels that are held in memory at once."""
ACCURACY, SLICES, JOINED = "quality/accuracy", "quality/slices", "quality/labels"

Labels = Mapping[str, Mapping[str, Any]]
"""By id: the label, and whatever stands beside it."""


@dataclass(slots=True)
class Counted:
    """What was counted of one track."""

    answered: int = 0
    labelled: int = 0
    right: int = 0
    read: Reading | None = None
    slices: slices.Slices = field(default_factory=slices.Slices)

    @property
    def quality(self) -> tuple[float, float, float]:
        """Sum, sum of squares and number of right answers, as `domain.Counters.quality` holds them."""
        return float(self.right), float(self.right), float(self.labelled)


def read_labels(path: Path) -> Labels:
    """Labels by id, from data in any form; raises Refused where a column is missing or an id has two labels."""
    found: dict[str, Mapping[str, Any]] = {}
    for piece in sources.pieces(path):
        for batch, at in sources.read(piece, sources.Selection(), lambda _: None):
            for name in (ID, LABEL):
                if name not in batch.schema.names:
                    raise Refused(f"{at}: column {name!r} is missing; there are {', '.join(batch.schema.names[:20])}")
            for row in batch.to_pylist():
                _keep(found, row, at)
    return found


def _keep(found: dict[str, Mapping[str, Any]], row: Mapping[str, Any], at: str) -> None:
    one, label = row[ID], row[LABEL]
    one = one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one)
    if isinstance(label, bytes):
        label = label.decode("utf-8", "replace")
    if label is None:
        return
    if one in found and found[one][LABEL] != label:
        raise Refused(f"{at}: id {shown(one)!r} has two labels, {shown(found[one][LABEL])} and {shown(label)}")
    if len(found) >= MOST_LABELS:
        raise Refused(f"{at}: more than {MOST_LABELS:,} labels; give those of the window")
    found[one] = {**row, LABEL: label}


def evaluate(stable: Iterable[Any], canary: Iterable[Any], labels: Labels, plan: LabelledPlan) -> Look:
    """Compare how right both tracks were.

    Args:
        stable: Arrow record batches with `id`, `input.<name>` and `output.<name>`, as `RequestLog.answered` gives them.
        canary: The same.
        labels: What the answers should have been, by id.
        plan: Margin, alpha and slices.
    """
    first, second = (count(batches, labels, plan.slices) for batches in (stable, canary))
    found = (_joined(first, second), _accuracy(first, second, plan), _slices(first, second, plan))
    return Look("quality", tuple(e for e in found if isinstance(e, Evidence)), tuple(a for a in found if isinstance(a, Absence)))


def count(batches: Iterable[Any], labels: Labels, names: tuple[str, ...] = ()) -> Counted:
    """How many of a track's answers have a label, and how many of those are right; a failed request is a wrong answer."""
    counted = Counted()
    for row, known in _joined_rows(batches, labels, counted):
        outputs = {name.removeprefix(OUTPUT): value for name, value in row.items() if name.startswith(OUTPUT)}
        if counted.read is None and any(value is not None for value in outputs.values()):
            counted.read = reading(outputs, known[LABEL])
        right = counted.read is not None and matches(counted.read.of(outputs), known[LABEL])
        counted.labelled += 1
        counted.right += right
        for name in names:
            part = counted.slices.of(name, row.get(INPUT + name, known.get(name)))
            part.labelled += 1
            part.canary_right += right
    return counted


def _joined_rows(batches: Iterable[Any], labels: Labels, counted: Counted) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The rows that have a label, each with it: only they are turned into Python's values."""
    for batch in batches:
        counted.answered += batch.num_rows
        ids = batch.column(ID).to_pylist() if ID in batch.schema.names else []
        joined = [place for place, one in enumerate(ids) if str(one) in labels]
        for place, row in zip(joined, batch.take(joined).to_pylist() if joined else [], strict=True):
            yield row, labels[str(ids[place])]


def _joined(stable: Counted, canary: Counted) -> Evidence:
    figures: dict[str, float | str] = {
        "stable_answered": stable.answered,
        "stable_labelled": stable.labelled,
        "canary_answered": canary.answered,
        "canary_labelled": canary.labelled,
    }
    said = f"labels for {canary.labelled:,} of the canary's {canary.answered:,} answers and {stable.labelled:,} of stable's {stable.answered:,}"
    missing = [name for name, side in (("canary", canary), ("stable", stable)) if not side.labelled]
    if missing:
        why = f"{said}: no label joins an answer of {' or '.join(missing)}; do the ids agree with x-request-id?"
        return Evidence(JOINED, Finding.INCONCLUSIVE, why, figures=figures)
    return Evidence(JOINED, Finding.PASS, said, figures=figures)


def _accuracy(stable: Counted, canary: Counted, plan: LabelledPlan) -> Evidence:
    interval = betting.difference((canary.right, canary.labelled), (stable.right, stable.labelled), plan.alpha / 2)
    finding = _finding(interval, plan.margin)
    shares = [side.right / max(1, side.labelled) for side in (canary, stable)]
    few = "; too few labels to tell" if finding is Finding.INCONCLUSIVE else ""
    reason = (
        f"accuracy {shares[0]:.3f} on {canary.labelled:,} labelled answers against stable's {shares[1]:.3f} on {stable.labelled:,}: "
        f"difference {interval.estimate:+.3f} ({interval.low:+.3f} to {interval.high:+.3f}), allowed {-plan.margin:.3f}{few}"
    )
    figures: dict[str, float | str] = {"canary_accuracy": shares[0], "stable_accuracy": shares[1], "compared": str(canary.read or "")}
    unit = "difference of accuracy, canary - stable"
    return Evidence(ACCURACY, finding, reason, unit=unit, interval=interval, margin=-plan.margin, figures=figures)


def _slices(stable: Counted, canary: Counted, plan: LabelledPlan) -> Evidence | Absence:
    """All slices share half of alpha: one that is surely worse is named, whatever the mean."""
    if not plan.slices:
        return Absence(SLICES, "absent by plan")
    both = sorted(canary.slices.by_name.keys() & stable.slices.by_name.keys())
    if not both:
        return Evidence(SLICES, Finding.INCONCLUSIVE, "no slice has labels on both tracks")
    alpha = plan.alpha / 2 / len(both)
    found = {shown(name): _difference(canary.slices.by_name[name], stable.slices.by_name[name], alpha) for name in both}
    return slices.worse(found, plan.margin, SLICES, gating=True)


def _difference(canary: slices.Slice, stable: slices.Slice, alpha: float) -> Interval:
    return betting.difference((canary.canary_right, canary.labelled), (stable.canary_right, stable.labelled), alpha)


def _finding(interval: Interval, margin: float) -> Finding:
    if interval.low > -margin:
        return Finding.PASS
    return Finding.FAIL if interval.high < -margin else Finding.INCONCLUSIVE
