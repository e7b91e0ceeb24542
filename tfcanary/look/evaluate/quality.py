"""Compares the accuracy of both tracks on labelled requests: the canary must not be worse by more than a margin, in each slice.

Labels arrive later than the answers and from other systems; they join the recorded answers by the request's id. The tracks answered
different requests, so their shares of right answers are compared, each with an interval that holds at every look.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfcanary.core.domain import Absence, Evidence, Finding, Look
from tfcanary.core.errors import Refused
from tfcanary.core.plan import LabelledPlan
from tfcanary.look.evaluate import betting, slices, sources
from tfcanary.look.evaluate.answers import Reading, choose_reading, matches
from tfcanary.look.evaluate.tally import display_text
from tfcanary.tf.wire.bodies import INPUT, OUTPUT

ID, LABEL = "id", "label"
MOST_LABELS = 10_000_000
"""Largest number of labels in memory."""
ACCURACY, SLICES, LABELS = "quality/accuracy", "quality/slices", "quality/labels"

Labels = Mapping[str, Mapping[str, Any]]
"""The row of each label, with its other columns, by the request's id."""


@dataclass(slots=True)
class TrackAccuracy:
    """The counts of one track's answers, labels and right answers."""

    answered: int = 0
    labelled: int = 0
    right: int = 0
    reading: Reading | None = None
    """The way in which an answer tells its class; None before the first answer."""
    slices: slices.Slices = field(default_factory=slices.Slices)

    @property
    def quality(self) -> tuple[float, float, float]:
        """Sum and sum of squares of the right answers, and number of labelled answers, as in `domain.Counters.quality`."""
        return float(self.right), float(self.right), float(self.labelled)


def read_labels(path: Path) -> Labels:
    """Read labels by id from data of any known format. Raises Refused where a column is missing or an id has two labels."""
    labels: dict[str, Mapping[str, Any]] = {}
    for piece in sources.pieces(path):
        for batch, at in sources.read(piece, sources.Selection(), lambda _: None):
            for name in (ID, LABEL):
                if name not in batch.schema.names:
                    raise Refused(f"{at}: column {name!r} is missing; there are {', '.join(batch.schema.names[:20])}")
            for row in batch.to_pylist():
                _add_label(labels, row, at)
    return labels


def _add_label(labels: dict[str, Mapping[str, Any]], row: Mapping[str, Any], at: str) -> None:
    request_id, label = row[ID], row[LABEL]
    request_id = request_id.decode("utf-8", "replace") if isinstance(request_id, bytes) else str(request_id)
    if isinstance(label, bytes):
        label = label.decode("utf-8", "replace")
    if label is None:
        return
    if request_id in labels and labels[request_id][LABEL] != label:
        first = display_text(labels[request_id][LABEL])
        raise Refused(f"{at}: id {display_text(request_id)!r} has two labels, {first} and {display_text(label)}")
    if len(labels) >= MOST_LABELS:
        raise Refused(f"{at}: more than {MOST_LABELS:,} labels; give only those of the window")
    labels[request_id] = {**row, LABEL: label}


def evaluate(stable: Iterable[Any], canary: Iterable[Any], labels: Labels, plan: LabelledPlan) -> Look:
    """Compare the accuracy of both tracks.

    Args:
        stable: Arrow record batches with `id`, `input.<name>` and `output.<name>`, as `RequestLog.answered` returns them.
        canary: Record batches of the canary, with the same columns.
        labels: The right answers, by id.
        plan: Margin, alpha and slices.
    """
    first, second = (count(batches, labels, plan.slices) for batches in (stable, canary))
    results = (_labels(first, second), _accuracy(first, second, plan), _slices(first, second, plan))
    evidence = tuple(one for one in results if isinstance(one, Evidence))
    return Look("quality", evidence, tuple(one for one in results if isinstance(one, Absence)))


def count(batches: Iterable[Any], labels: Labels, names: tuple[str, ...] = ()) -> TrackAccuracy:
    """Count a track's answers with a label and the right ones among them; a failed request counts as a wrong answer.

    `names` are the columns, of the inputs or of the labels, that divide the answers into slices.
    """
    counts = TrackAccuracy()
    for row, label in _labelled_rows(batches, labels, counts):
        outputs = {name.removeprefix(OUTPUT): value for name, value in row.items() if name.startswith(OUTPUT)}
        if counts.reading is None and any(value is not None for value in outputs.values()):
            counts.reading = choose_reading(outputs, label[LABEL])
        right = counts.reading is not None and matches(counts.reading.of(outputs), label[LABEL])
        counts.labelled += 1
        counts.right += right
        for name in names:
            part = counts.slices.of(name, row.get(INPUT + name, label.get(name)))
            part.labelled += 1
            part.canary_right += right
    return counts


def _labelled_rows(batches: Iterable[Any], labels: Labels, counts: TrackAccuracy) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The rows that have a label, each with the row of its label; only these rows are converted to Python values."""
    for batch in batches:
        counts.answered += batch.num_rows
        ids = batch.column(ID).to_pylist() if ID in batch.schema.names else []
        places = [place for place, one in enumerate(ids) if str(one) in labels]
        for place, row in zip(places, batch.take(places).to_pylist() if places else [], strict=True):
            yield row, labels[str(ids[place])]


def _labels(stable: TrackAccuracy, canary: TrackAccuracy) -> Evidence:
    figures: dict[str, float | str] = {
        "stable_answered": stable.answered,
        "stable_labelled": stable.labelled,
        "canary_answered": canary.answered,
        "canary_labelled": canary.labelled,
    }
    reason = f"labels for {canary.labelled:,} of the canary's {canary.answered:,} answers and {stable.labelled:,} of stable's {stable.answered:,}"
    missing = [name for name, side in (("canary", canary), ("stable", stable)) if not side.labelled]
    if missing:
        reason += f": no label has the id of an answer of {' or '.join(missing)}; do the ids agree with x-request-id?"
        return Evidence(LABELS, Finding.INCONCLUSIVE, reason, figures=figures)
    return Evidence(LABELS, Finding.PASS, reason, figures=figures)


def _accuracy(stable: TrackAccuracy, canary: TrackAccuracy, plan: LabelledPlan) -> Evidence:
    interval = betting.difference((canary.right, canary.labelled), (stable.right, stable.labelled), plan.alpha / 2)
    finding = betting.not_below(interval, -plan.margin)
    shares = [side.right / max(1, side.labelled) for side in (canary, stable)]
    few = "; too few labels to decide" if finding is Finding.INCONCLUSIVE else ""
    reason = (
        f"accuracy {shares[0]:.3f} on {canary.labelled:,} labelled answers against stable's {shares[1]:.3f} on {stable.labelled:,}: "
        f"difference {interval.estimate:+.3f} ({interval.low:+.3f} to {interval.high:+.3f}), allowed {-plan.margin:.3f}{few}"
    )
    figures: dict[str, float | str] = {"canary_accuracy": shares[0], "stable_accuracy": shares[1], "compared": str(canary.reading or "")}
    unit = "difference of accuracy, canary - stable"
    return Evidence(ACCURACY, finding, reason, unit=unit, interval=interval, margin=-plan.margin, figures=figures)


def _slices(stable: TrackAccuracy, canary: TrackAccuracy, plan: LabelledPlan) -> Evidence | Absence:
    """Whether the canary is worse in a slice, whatever the mean is; all slices share half of alpha."""
    if not plan.slices:
        return Absence(SLICES, "absent by plan")
    both = sorted(canary.slices.by_name.keys() & stable.slices.by_name.keys())
    if not both:
        return Evidence(SLICES, Finding.INCONCLUSIVE, "no slice has labels on both tracks")
    alpha = plan.alpha / 2 / len(both)
    intervals = {}
    for name in both:
        ours, theirs = canary.slices.by_name[name], stable.slices.by_name[name]
        interval = betting.difference((ours.canary_right, ours.labelled), (theirs.canary_right, theirs.labelled), alpha)
        intervals[display_text(name)] = interval
    return slices.slices_evidence(intervals, plan.margin, SLICES, gating=True)
